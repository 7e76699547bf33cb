"""Pages by keyset: the millionth row costs what the first did, and no row is shown twice or left out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

PAGE_SIZE = 50
SEPARATOR = "~"


@dataclass(frozen=True)
class Page:
    """One page of rows; ``after`` is where the next one begins, empty on the last."""

    rows: list[Any]
    after: str


def _cut(rows: QuerySet[Any], number: int) -> QuerySet[Any]:
    return rows[:number]


def page_of(
    rows: QuerySet[Any],
    *,
    order: tuple[str, ...],
    after: str = "",
    size: int = PAGE_SIZE,
    first: Callable[[Any, int], QuerySet[Any]] = _cut,
) -> Page:
    """The page that follows ``after`` in ``order``: field names of which the last is unique, "-" for descending.

    ``first`` gives the first so many of rows in their order, where there is a cheaper way than to cut them off.

    Raises
    ------
    BadRequest
        ``after`` is no place that a page has given.
    """
    names = [name.lstrip("-") for name in order]
    rows = rows.order_by(*order)
    if after:
        try:
            texts = after.split(SEPARATOR)
            fields = [rows.model._meta.get_field(name) for name in names]
            values = [_in_utc(field.to_python(text)) for field, text in zip(fields, texts, strict=True)]
        except (ValueError, OverflowError, ValidationError) as error:
            raise BadRequest(_("There is no such page. Go back to the first one.")) from error
        rows = rows.filter(_beyond(order, values))
    found = list(first(rows, size + 1))
    more = len(found) > size
    found = found[:size]
    return Page(found, SEPARATOR.join(_as_text(getattr(found[-1], name)) for name in names) if more else "")


def _in_utc(value: Any) -> Any:
    """A time as every database can hold it: an offset at either end of time leads beyond it (OverflowError)."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(value)
    return value.astimezone(UTC)


def _beyond(order: tuple[str, ...], values: list[Any]) -> Q:
    """Rows after ``values``. The first condition says nothing new, but lets the database start inside its index."""
    first = order[0].lstrip("-")
    beyond = Q(**{f"{first}__{'lte' if order[0].startswith('-') else 'gte'}": values[0]})
    after = Q()
    same = Q()
    for key, value in zip(order, values, strict=True):
        name = key.lstrip("-")
        after |= same & Q(**{f"{name}__{'lt' if key.startswith('-') else 'gt'}": value})
        same &= Q(**{name: value})
    return beyond & after


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
