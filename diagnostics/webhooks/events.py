"""Write an event for every webhook that wants it, in the transaction of what happened."""

import json
import uuid
from collections.abc import Mapping

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from diagnostics import broker
from diagnostics.scans.models import Scan

from .models import EventType, Webhook, WebhookDelivery


class NotInTransaction(RuntimeError):
    """An event was about to be written outside the transaction of what happened."""


def tell(
    event: EventType,
    *,
    subject: str,
    institution: int | None,
    data: Mapping[str, object],
    scan: Scan | uuid.UUID | None = None,
) -> int:
    """Queue an event for those who want to know; how many webhooks that are.

    Parameters
    ----------
    subject : str
        What the event is about (``scan:…``, ``run:…``): events of one subject are sent in the order of this call.
    institution : int or None
        Whose event it is; None of what all institutions share.
    data : mapping
        Ids, codes and numbers; nothing of a patient, an opinion or a read.
    scan : Scan or its id, optional
        Whose patient is named to those webhooks that were given patient data on purpose. Of a control case nobody is
        told.

    Raises
    ------
    NotInTransaction
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{event}: call tell inside the transaction of what happened.")
    hooks = Webhook.objects.filter(active=True)
    if institution is not None:
        hooks = hooks.filter(institution=institution)
    # Which events are wanted stands in JSON, in which SQLite and PostgreSQL look differently; there are few hooks.
    wanting = [hook for hook in hooks if event in hook.events]
    # Asked last: mostly there is no webhook, and then an event costs one look at a small table.
    if wanting and scan is not None and _is_control(scan):
        return 0
    if wanting:
        queue(wanting, event, subject=subject, data=data, scan=scan)
    return len(wanting)


def queue(
    hooks: list[Webhook],
    event: EventType,
    *,
    subject: str,
    data: Mapping[str, object],
    scan: Scan | uuid.UUID | None = None,
) -> list[WebhookDelivery]:
    """Write a delivery for each of these webhooks, in the caller's transaction; a worker is told after it."""
    now = timezone.now()
    said = {"type": event.value, "timestamp": now.isoformat(), "data": dict(data)}
    patient = _patient(scan) if scan is not None and any(hook.with_patient for hook in hooks) else None
    event_id = uuid.uuid4()
    rows = WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            webhook=hook,
            institution_id=hook.institution_id,
            event_id=event_id,
            event=event,
            subject=subject,
            due_at=now,
            since=now,
            body=_body({**said, "patient": patient} if hook.with_patient and patient else said),
        )
        for hook in hooks
    )
    transaction.on_commit(nudge)
    return rows


def _is_control(scan: Scan | uuid.UUID) -> bool:
    """Whether a scan was made up to see how its reader does: no program must take it for a patient's."""
    pk = scan.pk if isinstance(scan, Scan) else scan
    return Scan.objects.filter(pk=pk, patient__is_synthetic=True).exists()


def _body(said: Mapping[str, object]) -> str:
    return json.dumps(said, separators=(",", ":"), default=str)


def _patient(scan: Scan | uuid.UUID) -> dict[str, str | None]:
    row = Scan.objects.select_related("patient", "study").get(pk=scan.pk if isinstance(scan, Scan) else scan)
    day = row.study.date
    return {
        "pseudonym": row.patient.pseudonym,
        "accession": row.study.accession,
        "study_date": day.isoformat() if day else None,
    }


def nudge() -> None:
    """Tell a worker; where that fails, the scheduler finds the rows within seconds."""
    from celery import current_app

    if not broker.breaker.may_ask():
        return
    try:
        current_app.send_task("diagnostics.tasks.send_webhooks", retry=False, expires=settings.RECONCILE_SECONDS)
    except broker.AWAY:
        broker.breaker.failed()
        return
    broker.breaker.answered()
