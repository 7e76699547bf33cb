"""In which order cases wait, and until when they should be read.

A case's place is kept in its row, so that an index gives the list's order whatever the policy: ``lane`` says what
comes before everything else, ``turn`` who is next within a lane, then comes what is due first. Nothing of it tells
what the AI thinks, except ``turn`` where an institution lets the AI choose, which it may only where nobody reads
blind.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.cases.models import Case, CaseQuerySet, CaseState, Lane
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.scans.access import Permission, institutions_where, may, memberships_of, roles_with
from diagnostics.scans.models import Institution, Priority, SecondReader, WorklistOrder

BY_TURN = ("lane", "turn", "due_at", "id")
BY_PRIORITY = ("priority", "opened_at", "id")
ORDERS = {WorklistOrder.OVERDUE: BY_TURN, WorklistOrder.PRIORITY: BY_PRIORITY, WorklistOrder.UNCERTAIN: BY_TURN}
SENTENCES = {
    WorklistOrder.OVERDUE: _(
        "STAT first, then overdue, then urgent, then the longest waiting. AI results do not affect the order."
    ),
    WorklistOrder.PRIORITY: _(
        "STAT first, then urgent, then the longest waiting. AI results do not affect the order."
    ),
    WorklistOrder.UNCERTAIN: _(
        "STAT first, then overdue, then urgent before routine, and within these the cases of which the AI is "
        "least sure. One case in ten keeps a random position, so that the figures stay unbiased."
    ),
}
MOST_TURNS = 1000
NOT_YET = MOST_TURNS + 1  # the AI has not said anything
DRAWN = 10  # one case in so many keeps a random place


@dataclass(frozen=True)
class Policies:
    """What the institutions of one person lay down for their list."""

    order: WorklistOrder
    in_twos: bool  # whether any of them lets two readers read a case
    places: tuple[int, ...]  # their ids

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields by which open cases are ordered; the last is unique."""
        return ORDERS[self.order]

    @property
    def sentence(self) -> str:
        return str(SENTENCES[self.order])


def policies_of(user: Actor) -> Policies:
    """The policies for ``user``'s list. Institutions that order differently are shown by priority and time.

    Whoever settles disagreements is blind to the AI in every mode of reading, so for them it never chooses.
    """
    places = {place.pk: place for place in _places_of(user)}
    laid_down = {(place.worklist_order, place.second_reader) for place in places.values()}
    orders = {WorklistOrder(order) for order, _reader in laid_down} or {WorklistOrder.OVERDUE}
    order = orders.pop() if len(orders) == 1 else WorklistOrder.PRIORITY
    if order == WorklistOrder.UNCERTAIN and may(user, Permission.ADJUDICATE):
        order = WorklistOrder.PRIORITY
    in_twos = any(reader != SecondReader.NONE for _order, reader in laid_down)
    return Policies(order, in_twos, tuple(sorted(places)))


def _places_of(user: Actor) -> Iterable[Institution]:
    """The institutions whose cases ``user`` may see; a member's came with their account."""
    if not user.is_authenticated or not user.is_active:
        return ()
    if user.is_superuser:
        return institutions_where(user, Permission.SEE_SCANS)
    wanted = roles_with(Permission.SEE_SCANS)
    return (each.institution for each in memberships_of(user) if each.role in wanted)


def due(institution: Institution, priority: int, since: datetime) -> datetime:
    """Until when a case of this priority should be read."""
    minutes = {
        Priority.STAT: institution.due_stat,
        Priority.URGENT: institution.due_urgent,
        Priority.ROUTINE: institution.due_routine,
    }
    return since + timedelta(minutes=minutes[Priority(priority)])


def place_of(institution: Institution, priority: int) -> dict[str, object]:
    """The place of a case that is opened now."""
    return {
        "due_at": due(institution, priority, timezone.now()),
        "lane": {Priority.STAT: Lane.STAT, Priority.URGENT: Lane.URGENT}.get(Priority(priority), Lane.ROUTINE),
        "turn": NOT_YET if institution.worklist_order == WorklistOrder.UNCERTAIN else 0,
    }


def drawn(case_id: uuid.UUID) -> bool:
    """Whether a case keeps a random place. The id is drawn at random, so it is the draw: always the same answer."""
    return bool((case_id.int >> 40) % DRAWN == 0)


def refresh_order(limit: int = 2000) -> int:
    """Bring the places up to date: what has become overdue, and what the AI is how sure of; how many moved.

    Called every few seconds by the scheduler. A list whose places are some seconds old is in order all the same.
    """
    moved = 0
    for institution in Institution.objects.all():
        waiting = Case.objects.filter(institution=institution, state=CaseState.OPEN)
        late = waiting.filter(lane__in=(Lane.URGENT, Lane.ROUTINE), due_at__lte=timezone.now())
        # Looked for first: an UPDATE that changes nothing takes the embedded database's only write lock.
        if late.exists():
            moved += _move(late, limit, lane=Lane.OVERDUE, turn=0)
        if institution.worklist_order == WorklistOrder.UNCERTAIN:
            moved += _ask_the_ai(waiting, limit)
        elif waiting.filter(turn__gt=0, lane__in=(Lane.URGENT, Lane.ROUTINE)).exists():
            moved += _move(waiting.filter(turn__gt=0), limit, turn=0)
    return moved


def _free(cases: CaseQuerySet) -> CaseQuerySet:
    """Those of the cases that nobody else holds at this instant, locked; the others' turn comes next time.

    Whoever changes many at once must not wait for a worker or a reader who may wait for them.
    """
    return Case.objects.filter(pk__in=cases.order_by().select_for_update(skip_locked=True, of=("self",)).values("pk"))


def _move(cases: CaseQuerySet, limit: int, **place: int) -> int:
    """Give up to ``limit`` of the cases another place; the rest follow seconds later. So many at once that nobody
    waits long for the embedded database's only write lock."""
    with transaction.atomic():
        wanted = list(cases.order_by().values_list("pk", flat=True)[:limit])
        return _free(Case.objects.filter(pk__in=wanted)).update(**place)


def _ask_the_ai(waiting: CaseQuerySet, limit: int) -> int:
    """Give a turn to the cases that have none yet and of which the AI has said something."""
    ready = Prediction.objects.filter(scan=OuterRef("scan"), state=PredictionState.READY)
    unplaced = waiting.filter(turn__in=(0, NOT_YET), lane__in=(Lane.URGENT, Lane.ROUTINE))
    found = list(unplaced.filter(Q(Exists(ready)) | Q(turn=0)).order_by()[:limit])
    sure = _how_sure(case.scan_id for case in found)
    with transaction.atomic():
        found = list(_free(Case.objects.filter(pk__in=[case.pk for case in found])))
        for case in found:
            case.turn = _random_turn(case.pk) if drawn(case.pk) else sure.get(case.scan_id, NOT_YET)
        Case.objects.bulk_update(found, ["turn"], batch_size=500)
    return len(found)


def _random_turn(case_id: uuid.UUID) -> int:
    return 1 + (case_id.int >> 80) % MOST_TURNS


def _how_sure(scans: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """1 (cannot say) to ``MOST_TURNS`` (certain) by scan, from the newest opinion of each."""
    rows = (
        Prediction.objects.filter(scan__in=list(scans), state=PredictionState.READY)
        .order_by("created_at", "id")
        .values_list("scan", "tumour_probability")
    )
    return {scan: max(1, round(abs(2 * p - 1) * MOST_TURNS)) for scan, p in rows if p is not None}
