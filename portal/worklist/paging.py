"""Pages by keyset: the millionth row costs what the first did, and no row is shown twice or left out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from diagnostics.reviews.models import CaseQuerySet

PAGE_SIZE = 25
SEPARATOR = "~"


class BadCursor(ValueError):
    """The place in the address is none that a page has given."""


@dataclass(frozen=True)
class Page:
    """One page of cases; ``after`` is where the next one begins, empty on the last."""

    cases: list[Any]
    after: str


def page_of(cases: CaseQuerySet, *, done: bool, after: str = "") -> Page:
    """The page that follows ``after``, in the order in which ``reviews.worklist.tab`` gives the cases.

    Raises
    ------
    BadCursor
    """
    if after:
        cases = cases.filter(_beyond_done(after) if done else _beyond_open(after))
    found = list(cases[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    found = found[:PAGE_SIZE]
    return Page(found, _cursor(found[-1], done=done) if more else "")


def _cursor(case: Any, *, done: bool) -> str:
    parts = [case.done_at.isoformat()] if done else [str(case.priority), case.opened_at.isoformat()]
    return SEPARATOR.join([*parts, str(case.pk)])


def _moment(text: str) -> datetime:
    """A time that every database can hold; raises ValueError or OverflowError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    # An offset at either end of time leads beyond it.
    return moment.astimezone(UTC)


def _beyond_open(after: str) -> Q:
    try:
        priority_text, opened_text, pk_text = after.split(SEPARATOR)
        priority, opened, pk = int(priority_text), _moment(opened_text), UUID(pk_text)
    except (ValueError, OverflowError):
        raise BadCursor(after) from None
    same = Q(priority=priority)
    # The first condition says nothing new, but lets the database start in the middle of its index.
    return Q(priority__gte=priority) & (
        Q(priority__gt=priority) | same & (Q(opened_at__gt=opened) | Q(opened_at=opened, pk__gt=pk))
    )


def _beyond_done(after: str) -> Q:
    try:
        done_text, pk_text = after.split(SEPARATOR)
        done, pk = _moment(done_text), UUID(pk_text)
    except (ValueError, OverflowError):
        raise BadCursor(after) from None
    return Q(done_at__lte=done) & (Q(done_at__lt=done) | Q(done_at=done, pk__lt=pk))
