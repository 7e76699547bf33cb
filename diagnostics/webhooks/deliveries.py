"""Send what waits: signed, at least once, the events of one subject one after the other."""

import uuid
from datetime import timedelta

import structlog
from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from diagnostics.jobs.retried import JobState, Retries

from . import secrets
from .models import Webhook, WebhookDelivery
from .posting import Answer, BadAddress, NotReached, post

log = structlog.get_logger(__name__)

DELIVERIES = Retries(WebhookDelivery, seconds=120, days=lambda: settings.WEBHOOK_DAYS)
MOST_AT_ONCE = 500  # of one task; the reconciler asks for the rest
FORGOTTEN_AT_ONCE = 1000
SLOW_IN_A_ROW = 3  # failures of one webhook, after which its others wait for the next task


def due() -> QuerySet[WebhookDelivery]:
    """What may be sent now: of each subject of a webhook the first that is not done."""
    before = WebhookDelivery.objects.filter(
        webhook=OuterRef("webhook"),
        subject=OuterRef("subject"),
        pk__lt=OuterRef("pk"),
        state__in=(JobState.WAITING, JobState.RUNNING),
    )
    return DELIVERIES.due().filter(~Exists(before), webhook__active=True)


def anything_due() -> bool:
    """Whether a worker is to be nudged."""
    return due().exists()


def forget_old() -> int:
    """Drop what was taken, or given up, long ago; how many. The log is for finding faults, the audit for keeping."""
    long_ago = timezone.now() - timedelta(days=settings.WEBHOOK_LOG_DAYS)
    old = WebhookDelivery.objects.filter(finished_at__lt=long_ago).order_by("id").values_list("pk", flat=True)
    ended = WebhookDelivery.objects.filter(state__in=(JobState.DONE, JobState.FAILED))
    return ended.filter(pk__in=list(old[:FORGOTTEN_AT_ONCE])).delete()[0]


def send_due() -> int:
    """Send what is due; how many were taken. A receiver that is away keeps no other waiting for long."""
    DELIVERIES.give_up()
    sent = 0
    failures: dict[uuid.UUID, int] = {}
    for _turn in range(MOST_AT_ONCE):
        away = [webhook for webhook, count in failures.items() if count >= SLOW_IN_A_ROW]
        pk = due().exclude(webhook__in=away).values_list("pk", flat=True).first()
        if pk is None:
            break
        taken = DELIVERIES.claim([pk])
        if taken is None:
            continue
        fence, (row,) = taken
        if _send(fence, row):
            sent += 1
            failures.pop(row.webhook_id, None)
        else:
            failures[row.webhook_id] = failures.get(row.webhook_id, 0) + 1
    return sent


def _send(fence: uuid.UUID, row: WebhookDelivery) -> bool:
    hook = Webhook.objects.get(pk=row.webhook_id)
    try:
        answer = _posted(hook, row)
    except (BadAddress, NotReached) as error:
        why = error.sentence if isinstance(error, BadAddress) else str(error)
        return _not_taken(fence, row, why, Answer(0, "", 0))
    except InvalidTag:
        why = "The secret cannot be read: SECRET_KEY has changed. Rotate the secret."
        return _not_taken(fence, row, why, Answer(0, "", 0))
    if not 200 <= answer.status < 300:
        why = f"The receiver answered with status {answer.status}."
        if 300 <= answer.status < 400:
            why += " Redirects are not followed: enter the address that it leads to."
        return _not_taken(fence, row, why, answer)
    return bool(
        DELIVERIES.done(fence, row, status=answer.status, answer=answer.text, milliseconds=answer.milliseconds)
    )


def _posted(hook: Webhook, row: WebhookDelivery) -> Answer:
    message, now = f"msg_{row.event_id.hex}", timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Overread-Webhooks",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": secrets.signatures(hook, message, now, row.body),
    }
    return post(hook.url, row.body.encode(), headers)


def _not_taken(fence: uuid.UUID, row: WebhookDelivery, why: str, answer: Answer) -> bool:
    # Before the row is let go: nobody else may have it by then.
    DELIVERIES.leases.held(fence, [row.pk]).update(
        status=answer.status or None, answer=answer.text, milliseconds=answer.milliseconds or None
    )
    over = DELIVERIES.failed(fence, row, why)
    log.warning("webhook_not_taken", delivery=row.pk, webhook=str(row.webhook_id), given_up=over, sentence=why)
    return False
