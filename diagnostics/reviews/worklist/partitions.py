"""The worklist's list as partitions: parts of it of each of which an index gives the rows in the list's order.

A database walks an index in order only where all fields before the order are given by equality. Of several
institutions, or of one analysis whatever the priority, it would sort all open cases to show twenty-five. So each
partition gives its own first twenty-five, and the page is merged from these few.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from diagnostics.actors import Actor
from diagnostics.cases.models import OF_A_CASE, Case, CaseState, Lane
from diagnostics.scans.models import Analysis, Priority

from .ordering import BY_PRIORITY, BY_TURN, NOT_YET, policies_of

Row = TypeVar("Row", bound=Model)

MOST_PARTITIONS = 100  # beyond, the database may as well sort
READABLE = [each for each in OF_A_CASE if each != Analysis.REJECTED]


@dataclass(frozen=True)
class Listed(Generic[Row]):
    """A list: its rows in ``order``, all rows as the list shows them, and the partitions to merge a page from.

    ``cases`` (or scans) have nothing on them that the list shows: :meth:`first` gives them as they are shown.
    """

    cases: QuerySet[Row]
    shown: QuerySet[Row]
    order: tuple[str, ...]
    partitions: tuple[Q, ...] = ()
    # All cases of the list, where ``cases`` has one row a study.
    members: QuerySet[Row] | None = None

    def first(self, cases: QuerySet[Row], number: int) -> QuerySet[Row]:
        """The first of ``cases``, which are those of the list or a part of them."""
        return first_of(cases, number, partitions=self.partitions, shown=self.shown)


def by_institution(user: Actor) -> list[Q]:
    """A partition for each institution, or none where there are too many."""
    places = policies_of(user).places
    return [Q(institution=place) for place in places] if len(places) <= MOST_PARTITIONS else []


def first_by_institution(user: Actor, shown: QuerySet[Row]) -> Callable[[QuerySet[Row], int], QuerySet[Row]]:
    """How to take the first rows of a list in the order of an index that begins with the institution.

    It is given rows with nothing beside them that the database could begin with instead, and gives those of ``shown``.
    """
    return partial(first_of, partitions=by_institution(user), shown=shown)


def partitions_of(
    places: Sequence[int],
    order: tuple[str, ...],
    *,
    analysis: str = "",
    priority: int | None = None,
    overdue: bool = False,
) -> list[Q]:
    """Conditions of which a case that can be read meets exactly one, for a list in ``order`` that is narrowed so.

    They do not narrow it themselves. Empty where there would be too many.
    """
    if analysis or priority is not None:
        parts = _narrowed(order, analysis, priority)
    elif overdue and order == BY_TURN:
        parts = _overdue(places)
    elif overdue and order == BY_PRIORITY:
        parts = [Q(priority=each) for each in Priority.values]
    else:
        parts = [Q()]
    if len(places) * len(parts) > MOST_PARTITIONS:
        return []
    return [Q(institution=place) & part for place, part in product(places, parts)]


def _narrowed(order: tuple[str, ...], analysis: str, priority: int | None) -> list[Q]:
    """By analysis, priority or both. An order that begins with the priority gives all of them in one partition."""
    if order == BY_PRIORITY:
        return [Q(analysis=analysis)] if analysis else [Q()]
    analyses = [analysis] if analysis else READABLE
    priorities = Priority.values if priority is None else [priority]
    return [Q(analysis=one, priority=other) for one, other in product(analyses, priorities)]


def _overdue(places: Sequence[int]) -> list[Q]:
    """By lane: within STAT and one turn what is due comes first, and all of the lane of the overdue is.

    What became overdue in the other lanes since the scheduler last looked is little, and has an index of its own.
    """
    now = timezone.now()
    not_moved = Q(state=CaseState.OPEN, lane__in=[Lane.URGENT.value, Lane.ROUTINE.value], due_at__lte=now)
    late = Case.objects.filter(not_moved, institution__in=places).order_by().values("pk")
    return [
        *(Q(lane=Lane.STAT, turn=turn, due_at__lte=now) for turn in (0, NOT_YET)),
        Q(lane=Lane.OVERDUE),
        Q(pk__in=late),
    ]


def first_of(
    rows: QuerySet[Row], number: int, *, partitions: Sequence[Q], shown: QuerySet[Row] | None = None
) -> QuerySet[Row]:
    """The first ``number`` of rows in their order, merged from the first of each partition; cases, or scans.

    ``shown``: all rows, with whatever a page wants on each; the rows are taken from it by their ids. A condition
    that is said again of a row already found tempts the database to look for it in another way.

    Django's own ``union`` does not let SQLite cut its parts, hence the SQL; what stands in it is Django's, and every
    value is a parameter.
    """
    if not partitions and shown is None:
        return rows[:number]
    order = ["-id" if name == "-pk" else "id" if name == "pk" else str(name) for name in rows.query.order_by]
    names = [name.lstrip("-") for name in order]
    parts: list[str] = []
    values: list[object] = []
    for partition in partitions or [Q()]:
        try:
            # Of their own table alone: what a page joins to its rows lets the database look for other ways to them.
            sql, params = rows.filter(partition).values(*names)[:number].query.sql_with_params()
        except EmptyResultSet:  # a condition that nothing can meet, known without asking
            continue
        parts.append(f"SELECT * FROM ({sql}) AS part{len(parts)}")  # noqa: S608
        values.extend(params)
    if not parts:
        return rows.none()
    by = ", ".join(f"{name.lstrip('-')} {'DESC' if name.startswith('-') else 'ASC'}" for name in order)
    merged = f"SELECT merged.id FROM ({' UNION ALL '.join(parts)}) AS merged ORDER BY {by} LIMIT {int(number)}"  # noqa: S608
    found = rows if shown is None else shown.order_by(*order)
    return found.filter(pk__in=RawSQL(merged, values))[:number]  # noqa: S611
