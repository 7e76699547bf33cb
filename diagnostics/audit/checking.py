"""Hold every audit event against its chain: what was edited, removed, inserted, moved or cut off, by name."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from . import guards
from .chain import FACTS, hash_of
from .models import BEFORE_THE_FIRST, AuditChain, AuditEvent, AuditLink

BATCH = 900  # rows at once; SQLite takes no more than 999 parameters everywhere
MOST_NAMED = 20  # neighbours that do not fit are named one by one up to so many, then as a range


@dataclass(frozen=True)
class Break:
    """One thing about the audit that is not as it was written.

    ``kind``: ``edited | removed | inserted | forged | cut | unguarded``; ``where``: ``event 123`` and the like.
    """

    kind: str
    where: str
    sentence: str


@dataclass
class Count:
    """What was looked at."""

    events: int = 0


def breaks(count: Count | None = None) -> Iterator[Break]:
    """Every break of the chains, as it is found; without the anchors (``anchors.py``), which alone know of a tail
    that was cut off together with its links."""
    count = count if count is not None else Count()
    for name in guards.missing():
        yield Break(
            "unguarded", f"trigger {name}", "the trigger that refuses changes is missing; `migrate` puts it up"
        )
    # What is written meanwhile makes chains longer: each must be at least as long as before, at most as after.
    before = {row.pk: row for row in AuditChain.objects.all()}
    known = set(before) | set(AuditLink.objects.order_by().values_list("chain", flat=True).distinct())
    for chain in sorted(known):
        yield from _of_chain(chain, before.get(chain), count)
    linked = AuditLink.objects.filter(event_id=OuterRef("pk"))
    for pk in AuditEvent.objects.filter(~Exists(linked)).order_by("pk").values_list("pk", flat=True):
        count.events += 1
        yield Break("inserted", f"event {pk}", "was written past the software: it is in no chain")


@dataclass(frozen=True)
class _Link:
    position: int
    event: int
    hash: bytes


def _links(chain: int) -> Iterator[list[_Link]]:
    rows = AuditLink.objects.filter(chain=chain).order_by("position").values_list("position", "event_id", "hash")
    last = 0
    while True:
        batch = [_Link(at, event, bytes(hashed)) for at, event, hashed in rows.filter(position__gt=last)[:BATCH]]
        if not batch:
            return
        yield batch
        last = batch[-1].position


def _of_chain(chain: int, before: AuditChain | None, count: Count) -> Iterator[Break]:
    former = _Link(0, 0, BEFORE_THE_FIRST)
    whole = True  # whether the former link is there, so that the next can be held against it
    unfit: list[tuple[int, int]] = []
    at_head = former
    for batch in _links(chain):
        events = {
            row[0]: row[1:]
            for row in AuditEvent.objects.filter(pk__in=[link.event for link in batch]).values_list(*FACTS)
        }
        for link in batch:
            count.events += 1
            if link.position != former.position + 1:
                whole = False
                yield _gap(chain, former, link)
            facts = events.get(link.event)
            if facts is None:
                yield Break("removed", f"event {link.event}", f"is gone; chain {chain} has it at {link.position}")
            elif whole and link.hash != hash_of(former.hash, chain, link.position, link.event, *facts):
                unfit.append((link.event, former.event))
            elif unfit:
                yield from _unfit(chain, unfit)
                unfit = []
            former, whole = link, True
            if before is not None and link.position == before.length:
                at_head = link
    yield from _unfit(chain, unfit)
    yield from _end(chain, before, at_head, former)


def _gap(chain: int, former: _Link, link: _Link) -> Break:
    missing = link.position - former.position - 1
    after = f"after event {former.event}" if former.event else "at its beginning"
    return Break(
        "removed",
        f"chain {chain}, {former.position + 1} to {link.position - 1}",
        f"{missing} events are gone {after}, before event {link.event}",
    )


def _unfit(chain: int, unfit: list[tuple[int, int]]) -> Iterator[Break]:
    if len(unfit) > MOST_NAMED:
        yield Break(
            "edited",
            f"events {unfit[0][0]} to {unfit[-1][0]}",
            f"{len(unfit)} of chain {chain} in a row do not fit: they, or the links before them, were changed",
        )
        return
    for event, former in unfit:
        before = f", or the link before it (event {former})" if former else ""
        yield Break("edited", f"event {event}", f"was changed after it was written{before}")


def _end(chain: int, before: AuditChain | None, at_head: _Link, last: _Link) -> Iterator[Break]:
    """Hold the last link against what the chain says of its own end, before and after the looking."""
    after = AuditChain.objects.filter(pk=chain).first()
    if after is None:
        yield Break("forged", f"chain {chain}", f"nothing says how long it is; its links end at {last.position}")
        return
    least = before.length if before is not None else 0
    if last.position < least:
        yield Break(
            "cut",
            f"chain {chain}, {last.position + 1} to {least}",
            f"its last {least - last.position} events are gone, after event {last.event}",
        )
    elif before is not None and at_head.hash != bytes(before.head):
        yield Break("forged", f"event {at_head.event}", f"is not what chain {chain} ended with")
    elif last.position > after.length:
        yield Break(
            "forged",
            f"chain {chain}, {after.length + 1} to {last.position}",
            f"links were added past the software, up to event {last.event}",
        )
