"""Write an audit event inside the caller's transaction."""

import uuid
from typing import Any

from django.db import connection
from django.db.models import Model

from .models import AuditEvent


class NotInTransaction(RuntimeError):
    """An audit event was about to be written outside the transaction of its act."""


def record(
    *,
    by: Any,
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
    return AuditEvent.objects.create(
        actor=by,
        institution=institution,
        act=act,
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        detail={key: str(value) if isinstance(value, uuid.UUID) else value for key, value in detail.items()},
    )
