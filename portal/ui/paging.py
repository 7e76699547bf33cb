"""Pages by keyset: the millionth row costs what the first did, and no row is shown twice or left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

PAGE_SIZE = 50
SEPARATOR = "~"

First = Callable[[Any, int], QuerySet[Any]]


class NoSuchPlace(ValueError):
    """The texts name no place among the rows."""


def _cut(rows: QuerySet[Any], number: int) -> QuerySet[Any]:
    return rows[:number]


@dataclass(frozen=True)
class Keyset:
    """An order of rows: field names of which the last is unique, "-" for descending."""

    order: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [key.lstrip("-") for key in self.order]

    def backwards(self) -> "Keyset":
        """The same rows from the last to the first."""
        return Keyset(tuple(key[1:] if key.startswith("-") else f"-{key}" for key in self.order))

    def place_of(self, row: Model) -> list[str]:
        """Where ``row`` stands, as texts."""
        return [_as_text(getattr(row, name)) for name in self.names]

    def values(self, model: type[Model], place: Sequence[str]) -> list[Any]:
        """The values of a place that somebody sent.

        Raises
        ------
        NoSuchPlace
            It is none that :meth:`place_of` has given.
        """
        fields: list[Any] = [model._meta.pk if name == "pk" else model._meta.get_field(name) for name in self.names]
        try:
            return [_in_utc(field.to_python(text)) for field, text in zip(fields, place, strict=True)]
        except (ValueError, TypeError, OverflowError, ValidationError) as error:
            raise NoSuchPlace(place) from error

    def following(
        self, rows: QuerySet[Any], values: Sequence[Any] = (), *, size: int, first: First = _cut
    ) -> tuple[list[Any], bool]:
        """The ``size`` rows after the place of ``values``, and whether there are more."""
        if values:
            rows = rows.filter(_beyond(self.order, values))
        found = list(first(rows.order_by(*self.order), size + 1))
        return found[:size], len(found) > size


@dataclass(frozen=True)
class Page:
    """One page of rows; ``after`` is where the next one begins, empty on the last."""

    rows: list[Any]
    after: str


def page_of(
    rows: QuerySet[Any], *, order: tuple[str, ...], after: str = "", size: int = PAGE_SIZE, first: First = _cut
) -> Page:
    """The page that follows ``after`` in ``order``, as a :class:`Keyset` has it.

    ``first`` gives the first so many of rows in their order, where there is a cheaper way than to cut them off.

    Raises
    ------
    BadRequest
        ``after`` is no place that a page has given.
    """
    keys = Keyset(order)
    try:
        values = keys.values(rows.model, after.split(SEPARATOR)) if after else []
    except NoSuchPlace as error:
        raise BadRequest(_("There is no such page. Go back to the first one.")) from error
    found, more = keys.following(rows, values, size=size, first=first)
    return Page(found, SEPARATOR.join(keys.place_of(found[-1])) if more else "")


def _in_utc(value: object) -> Any:
    """A time as every database can hold it: an offset at either end of time leads beyond it (OverflowError)."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(value)
    return value.astimezone(UTC)


def _beyond(order: tuple[str, ...], values: Sequence[Any]) -> Q:
    """Rows after ``values``. The first condition says nothing new, but lets the database start inside its index."""
    key, value = order[0], values[0]
    name, side = key.lstrip("-"), "lt" if key.startswith("-") else "gt"
    after = Q(**{f"{name}__{side}": value})
    if len(order) == 1:
        return after
    return Q(**{f"{name}__{side}e": value}) & (after | _beyond(order[1:], values[1:]))


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
