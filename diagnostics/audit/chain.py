"""The hash chains over audit events: each link's hash covers its event and, through the former hash, all before it.

What the hash covers is a format of its own, named in ``content_of`` and never changed: chains that were written by it
are verified by it for ever.
"""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from .models import AuditChain, AuditEvent

_FREE = "SELECT id, length, head FROM diagnostics_auditchain ORDER BY id LIMIT 1"
_LINK = "INSERT INTO diagnostics_auditlink (event_id, chain, position, hash) VALUES (%s, %s, %s, %s)"
_HEAD = "UPDATE diagnostics_auditchain SET length = %s, head = %s WHERE id = %s"


def append(event: AuditEvent) -> None:
    """Link an event that was just written, within the transaction that wrote it.

    Takes a chain that no other transaction holds and keeps it until the end; where all are held, begins another. So
    nobody ever waits here, and what never waits cannot be part of a deadlock. On SQLite there is one writer at a time,
    and so one chain.
    """
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(f"{_FREE} FOR UPDATE SKIP LOCKED" if postgres else _FREE)
        found = cursor.fetchone()
        if found is None:
            begun = AuditChain.objects.create()
            found = (begun.pk, begun.length, begun.head)
        chain, length, head = found
        position = length + 1
        hashed = hash_of(bytes(head), chain, position, *facts_of(event))
        link, end = (event.pk, chain, position, hashed), (position, hashed, chain)
        if postgres:
            cursor.execute(f"WITH linked AS ({_LINK}) {_HEAD}", (*link, *end))
        else:
            cursor.execute(_LINK, link)
            cursor.execute(_HEAD, end)


def facts_of(event: AuditEvent) -> tuple[Any, ...]:
    """Every column of an event, in the order in which it is hashed; the detail as the database will give it back."""
    return (
        event.pk, event.at, event.actor_id, event.institution_id, event.act, event.target_type, event.target_id,
        json.loads(json.dumps(event.detail)),
    )  # fmt: skip


# The same, for a query's ``values_list``.
FACTS = ("id", "at", "actor_id", "institution_id", "act", "target_type", "target_id", "detail")


def hash_of(former: bytes, chain: int, position: int, *facts: Any) -> bytes:
    """The 32 bytes of a link: SHA-256 over the former link's, its own place, and its event."""
    return hashlib.sha256(b"%s%d:%d:%s" % (former, chain, position, content_of(*facts))).digest()


def content_of(
    pk: int,
    at: datetime,
    actor_id: int | None,
    institution_id: int | None,
    act: str,
    target_type: str,
    target_id: str,
    detail: object,
) -> bytes:
    """The bytes that stand for an event: JSON of all its columns, the same from either database."""
    # To the millisecond: `dumpdata`, by which an installation moves to another database, writes no finer.
    time = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return _WRITTEN([pk, time, actor_id, institution_id, act, target_type, target_id, _plain(detail)]).encode()


_WRITTEN = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _plain(value: object) -> Any:
    """JSON with whole floats as integers: PostgreSQL knows no difference between 1.0 and 1, or 1e22 and its digits."""
    if isinstance(value, float):
        exact = Decimal(repr(value))
        return int(exact) if exact == exact.to_integral_value() else value
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
