"""Mails about notifications: what happened and a link, nothing of a patient, a scan or an opinion.

A mail leaves once: see :mod:`.outbox`.
"""

import smtplib
import uuid
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnostics.actors import Account
from diagnostics.notifications.models import Notification
from diagnostics.reviews.notices import notifications_for, permitted

from . import outbox

log = structlog.get_logger(__name__)

HELD_SECONDS = 300  # how long until a mention that may not be told yet is looked at again
MOST_AT_ONCE = 200  # mails of one task; the reconciler asks for the rest


def send_due() -> int:
    """Send a mail to each person for whom something is due; how many were sent."""
    count = 0
    for _turn in range(MOST_AT_ONCE):
        taken = outbox.claim_mail()
        if taken is None:
            break
        count += _send(*taken)
    return count


def _send(fence: uuid.UUID, rows: Sequence[Notification]) -> int:
    """One mail with what its person may still know of ``rows``; 1 where it was sent."""
    person = rows[0].recipient
    # Rows may have been taken back since; the mail tells of those that are still ours.
    told = outbox.begin_sending(fence, _sorted_out(fence, rows, person))
    if not told:
        return 0
    try:
        message_for(person, told).send()
    except (smtplib.SMTPException, OSError) as error:
        # What a mail server says may name the address: the kind of the error is enough.
        log.warning("mail_not_sent", person=person.pk, error=type(error).__name__)
        outbox.not_sent(fence, f"The mail server did not take it ({type(error).__name__}).")
        return 0
    outbox.sent(fence)
    return 1


def _sorted_out(fence: uuid.UUID, rows: Sequence[Notification], person: Account) -> list[uuid.UUID]:
    """The ids of those of ``rows`` to tell of now; the others are put back or dropped."""
    ids = [row.pk for row in rows]
    visible = set(notifications_for(person).filter(pk__in=ids, read_at__isnull=True).values_list("pk", flat=True))
    later = set(permitted(person).filter(pk__in=ids, read_at__isnull=True).values_list("pk", flat=True)) - visible
    if not person.email:
        visible, later = set(), set()
    if later:
        outbox.put_back(fence, later, due=timezone.now() + timedelta(seconds=HELD_SECONDS))
    outbox.drop(fence, set(ids) - visible - later)
    return [row.pk for row in rows if row.pk in visible]


def message_for(person: Account, rows: Sequence[Notification]) -> EmailMessage:
    """The mail: the kinds in words, a link each."""
    with translation.override(person.language or settings.LANGUAGE_CODE):
        kinds = [str(row.get_kind_display()) for row in rows]
        news = ngettext("%(n)d notification", "%(n)d notifications", len(rows)) % {"n": len(rows)}
        told = kinds[0] if len(rows) == 1 else news
        links = [f"{settings.PUBLIC_URL}/notifications/{row.pk}/" for row in rows]
        choices = _("Change your email notifications here:")
        body = "".join(f"{kind}.\n{link}\n\n" for kind, link in zip(kinds, links, strict=True))
        body += f"{choices}\n{settings.PUBLIC_URL}/accounts/#notifications\n"
        return EmailMessage(
            subject=_("Overread: %(told)s") % {"told": told},
            body=body,
            to=[person.email],
            # The same mail keeps its name, should a server on the way take it twice.
            headers={"Message-ID": f"<{rows[0].pk}@overread>", "Auto-Submitted": "auto-generated"},
        )
