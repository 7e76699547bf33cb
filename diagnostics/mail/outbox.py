"""Which mails are due, who works on them, and what became of them. A mail is the rows of one person that it tells of.

A worker first *prepares* a mail: should it die, another takes the rows. Then it *hands over*: should it die in that
moment, nobody can tell whether the mail left, so it is never sent a second time.
"""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from diagnostics.jobs.leases import Leases
from diagnostics.notifications.models import MailState, Notification

UNSURE = "The worker ended while it handed the mail over. Nobody can tell whether it left, so it is not sent again."
TRIED_OFTEN = "The worker ended each time before it could hand the mail over, so it was given up."


def _leases(running: MailState) -> Leases[Notification]:
    return Leases(
        Notification,
        waiting=MailState.WAITING,
        running=running,
        seconds=lambda: settings.MAIL_LEASE_SECONDS,
        attempts=lambda: settings.MAIL_ATTEMPTS,
        prefix="mail_",
    )


PREPARING = _leases(MailState.CLAIMED)
HANDING_OVER = _leases(MailState.SENDING)


def anything_to_mail() -> bool:
    """Whether a mail is due, or its worker has died."""
    now = timezone.now()
    due = Q(mail_due_at__lte=now) & PREPARING.claimable(now)
    return Notification.objects.filter(due | HANDING_OVER.lost(now)).exists()


def claim_mail() -> tuple[uuid.UUID, list[Notification]] | None:
    """Take everything that is due for one person, for one mail; None when nothing is.

    What a worker took and had not begun to hand over is taken anew when its lease has run out.
    """
    give_up()
    now = timezone.now()
    due = Notification.objects.filter(PREPARING.free(now), mail_due_at__lte=now).order_by("mail_due_at", "id")
    person = due.values_list("recipient", flat=True).first()
    if person is None:
        return None
    ids = list(due.filter(recipient=person).values_list("pk", flat=True)[: settings.MAIL_LINES])
    # What was put off meanwhile is no longer due.
    fence = PREPARING.claim(Notification.objects.filter(pk__in=ids, mail_due_at__lte=now))
    if fence is None:
        return None
    mine = list(PREPARING.held(fence).select_related("recipient").order_by("created_at", "id"))
    return (fence, mine) if mine else None


def give_up() -> None:
    """End what may have left already, and what was tried too often."""
    left = Notification.objects.filter(HANDING_OVER.lost(timezone.now()))
    HANDING_OVER.abandon(left, state=MailState.FAILED, mail_failure=UNSURE)
    for rows in PREPARING.exhausted():
        PREPARING.abandon(rows, state=MailState.FAILED, mail_failure=TRIED_OFTEN)


def begin_sending(fence: uuid.UUID, ids: Collection[object]) -> list[Notification]:
    """The mail about these is handed over now: those that are still ours. From here on none goes back by itself."""
    ours = PREPARING.held(fence, ids).filter(mail_lease_until__gt=timezone.now())
    until = timezone.now() + timedelta(seconds=settings.MAIL_LEASE_SECONDS)
    ours.update(mail_state=MailState.SENDING, mail_lease_until=until)
    return list(HANDING_OVER.held(fence).order_by("created_at", "id"))


def sent(fence: uuid.UUID) -> int:
    """The server has taken the mail."""
    return HANDING_OVER.finish(fence, state=MailState.SENT, mail_sent_at=timezone.now())


def not_sent(fence: uuid.UUID, why: str) -> None:
    """The server did not take the mail: it is tried again later, some times, then given up with the reason."""
    for row in HANDING_OVER.held(fence):
        later = timezone.now() + timedelta(seconds=60 * 2**row.mail_attempts)
        if row.mail_attempts < settings.MAIL_ATTEMPTS:
            HANDING_OVER.give_back(fence, only=[row.pk], mail_due_at=later)
        else:
            HANDING_OVER.finish(fence, state=MailState.FAILED, only=[row.pk], mail_due_at=later, mail_failure=why)


def put_back(fence: uuid.UUID, ids: Collection[object], *, due: datetime) -> None:
    """These may not be told yet: look again later. That was no attempt."""
    PREPARING.give_back(fence, only=ids, counted=False, mail_due_at=due)


def drop(fence: uuid.UUID, ids: Collection[object]) -> None:
    """These are no longer wanted, or no longer this person's to know."""
    PREPARING.finish(fence, state=MailState.NONE, only=ids, mail_due_at=None)
