"""Write a notification with its cause, take it back, look at it, choose what one wants to be told.

A notification is written by the act that causes it, in its transaction. Who may still know of it, and whether it may
be shown yet, is answered by ``reviews.notices`` each time: it depends on cases and on who is blind.
"""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import NotInTransaction, record
from diagnostics.scans.models import Scan

from .models import Kind, MailState, Notification, NotificationChoices

# A read can be undone for ten seconds, and what it caused is taken back with it: no mail leaves before.
MAIL_AFTER_SECONDS = 15


def notify(
    *, people: Iterable[int], kind: Kind, scan: Scan, case: uuid.UUID | None = None, comment: uuid.UUID | None = None
) -> int:
    """Write a notification for each of ``people`` who wants it, in the caller's transaction; for how many.

    ``people`` are ids of users, ``case`` and ``comment`` ids too: their rooms come later. The same matter twice,
    unread, is once.

    Raises
    ------
    NotInTransaction
        The cause and its notification could then part: one kept, the other lost.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{kind}: notify inside the transaction of the cause.")
    wanted = list(dict.fromkeys(people))
    chosen = {each.user_id: each for each in NotificationChoices.objects.filter(user__in=wanted)}
    now = timezone.now()
    rows = []
    for person in wanted:
        choices = chosen.get(person, NotificationChoices())
        in_portal, by_mail = kind not in choices.not_in_portal, kind not in choices.not_by_mail
        if in_portal or by_mail:
            rows.append(
                Notification(
                    recipient_id=person,
                    institution_id=scan.institution_id,
                    kind=kind,
                    scan=scan,
                    case_id=case,
                    comment_id=comment,
                    in_portal=in_portal,
                    mail_state=MailState.WAITING if by_mail else MailState.NONE,
                    mail_due_at=mail_due(choices, now) if by_mail else None,
                )
            )
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def mail_due(choices: NotificationChoices, now: datetime) -> datetime:
    """When the mail about something that happens now may leave: soon, or with the next digest."""
    if not choices.digest:
        return now + timedelta(seconds=MAIL_AFTER_SECONDS)
    local = timezone.localtime(now)
    today = local.replace(hour=settings.DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if today > local else today + timedelta(days=1)


def over(*, kinds: Collection[Kind], scan: Scan | uuid.UUID) -> None:
    """What these told of is over or was taken back, in the caller's transaction: whoever has not read them yet need
    not, and no mail leaves."""
    Notification.objects.filter(scan=scan, kind__in=kinds, read_at__isnull=True).delete()


def touch(case_id: uuid.UUID, now: datetime) -> None:
    """Move the times of mentions on a case that may just have become visible to somebody, or hidden."""
    Notification.objects.filter(case=case_id, comment__isnull=False).update(updated_at=now)


def mark_read(notifications: QuerySet[Notification], *, read: bool = True) -> int:
    """Mark some of a person's own notifications as read, or (``read=False``) as new again; how many changed.

    Not audited: it says something of the person's desk, nothing of a patient.
    """
    now = timezone.now()
    return notifications.filter(read_at__isnull=read).update(read_at=now if read else None, updated_at=now)


def mark_unread(notification: Notification) -> bool:
    """Put one back among the new ones; False where a newer one tells of the same already."""
    newer = Notification.objects.filter(
        recipient=notification.recipient_id, kind=notification.kind, scan=notification.scan_id, comment__isnull=True
    )
    with transaction.atomic():
        if notification.comment_id is None and newer.filter(read_at__isnull=True).exists():
            return False
        return bool(mark_read(Notification.objects.filter(pk=notification.pk), read=False))


def choices_of(user: Actor) -> NotificationChoices:
    """What ``user`` has chosen, or what holds without a choice."""
    return NotificationChoices.objects.filter(user=account_of(user)).first() or NotificationChoices(
        user=account_of(user)
    )


@transaction.atomic
def choose(*, by: Actor, in_portal: Collection[str], by_mail: Collection[str], digest: bool) -> NotificationChoices:
    """Say which kinds one wants in the portal and by mail, and whether mails come once a day.

    What waits to be mailed follows: a kind that is no longer wanted is not sent, and a digest takes single mails in.

    Raises
    ------
    ValueError
        There is no such kind.
    """
    unknown = (set(in_portal) | set(by_mail)) - set(Kind.values)
    if unknown:
        raise ValueError(f"Unknown: {', '.join(sorted(unknown))}. Choose of: {', '.join(Kind.values)}.")
    kept, _made = NotificationChoices.objects.update_or_create(
        user=account_of(by),
        defaults={
            "not_in_portal": [kind for kind in Kind.values if kind not in in_portal],
            "not_by_mail": [kind for kind in Kind.values if kind not in by_mail],
            "digest": digest,
        },
    )
    waiting = Notification.objects.filter(recipient=account_of(by), mail_state=MailState.WAITING)
    waiting.filter(kind__in=kept.not_by_mail).update(mail_state=MailState.NONE, mail_due_at=None)
    waiting.exclude(kind__in=kept.not_by_mail).update(mail_due_at=mail_due(kept, timezone.now()))
    record(by=by, act="notifications_chosen", target=account_of(by), digest=digest, not_by_mail=kept.not_by_mail)
    return kept
