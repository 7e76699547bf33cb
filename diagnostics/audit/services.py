"""Write an audit event, and the link of its chain, inside the caller's transaction."""

import uuid
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Model, OuterRef
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.errors import Invalid

from . import anchors, chain
from .models import AuditChain, AuditEvent, AuditLink


class ReasonMissing(Invalid):
    """An act that loosens the audit needs a reason."""

    field = "reason"


class NotInTransaction(RuntimeError):
    """An audit event was about to be written outside the transaction of its act."""


def record(
    *,
    by: Actor | None,
    act: str,
    target: Model,
    institution: Any = None,
    **detail: Any,
) -> AuditEvent:
    """Record that ``by`` (None: the system itself) did ``act`` to ``target``.

    Raises
    ------
    NotInTransaction
        The act and its event could then part: one kept, the other lost.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{act}: call audit.services.record inside the act's transaction.")
    event = AuditEvent.objects.create(
        actor=account_of(by),
        institution=institution,
        act=act,
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        detail={key: str(value) if isinstance(value, uuid.UUID) else value for key, value in detail.items()},
    )
    chain.append(event)
    return event


@transaction.atomic
def adopt(*, reason: str) -> int:
    """Link events that are in no chain: an older version of the software that still ran while this one was being
    installed wrote them. That it was done, why, and which they were, is an event itself.

    Raises
    ------
    ReasonMissing
    """
    if not reason.strip():
        raise ReasonMissing(_("Give a reason for adding these events."))
    linked = AuditLink.objects.filter(event_id=OuterRef("pk"))
    adopted = 0
    for event in AuditEvent.objects.filter(~Exists(linked)).order_by("pk"):
        chain.append(event)
        record(by=None, act="audit_event_adopted", target=event, reason=reason.strip())
        adopted += 1
    return adopted


@transaction.atomic
def anchor_anew(*, reason: str) -> int:
    """Put the anchors aside, because the database is rightly older than they are: it came from a backup.

    Raises
    ------
    ReasonMissing
    """
    if not reason.strip():
        raise ReasonMissing(_("Give a reason for setting the anchors aside."))
    former = len(anchors.kept())
    record(by=None, act="audit_anchored_anew", target=AuditChain(pk=0), anchors=former, reason=reason.strip())
    transaction.on_commit(anchors.set_aside)
    anchors.keep()
    return former
