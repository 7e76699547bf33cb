"""What waits for nobody: cases that none of the people who are left may take, and what can be done about each."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseQuerySet, CaseState, Stage
from diagnostics.reviews.errors import WrongStage
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.reviews.texts import checked_text
from diagnostics.reviews.worklist import left_cases, locked, past_first, require_oversight, touch_related
from diagnostics.scans.access import Permission, institutions_where, roles_with
from diagnostics.scans.models import Institution, Membership

from .second_readers import finish_with_the_first

MOST_SHOWN = 200
MOST_COUNTED = 999


@dataclass(frozen=True)
class Waiting:
    """A case and why it waits for nobody: ``left | no_second_reader | no_adjudicator``."""

    case: Case
    why: str


@dataclass(frozen=True)
class WithoutReader:
    """An institution in which nobody reads, and how many cases wait there for a first read."""

    institution: Institution
    count: int


@dataclass(frozen=True)
class Found:
    """What waits for nobody, as far as one person may free it; at most ``MOST_SHOWN`` cases."""

    cases: list[Waiting]
    without_reader: list[WithoutReader]


def places_freed_by(user: Actor) -> set[int]:
    """The ids of the institutions in which ``user`` may free what waits for nobody."""
    wanted = (Permission.ADJUDICATE, Permission.ADMINISTER)
    return {pk for each in wanted for pk in institutions_where(user, each).values_list("pk", flat=True)}


def waits_for_nobody(user: Actor) -> Found:
    """What nobody can take, in the institutions that ``user`` oversees, the oldest first."""
    places = places_freed_by(user)
    found: list[Waiting] = []
    for why, cases in _kinds(places):
        shown = cases.select_related("institution", "scan__patient", "scan__study").order_by("opened_at", "pk")
        found += [Waiting(case, why) for case in shown[: MOST_SHOWN - len(found)]]
    dry = Institution.objects.filter(pk__in=_without_reader(places)).order_by("name")
    lines = [WithoutReader(place, _first_reads([place.pk])[:MOST_COUNTED].count()) for place in dry]
    return Found(found, [line for line in lines if line.count])


def count_for(user: Actor) -> int:
    """How many cases wait for nobody where ``user`` oversees them; counting stops at ``MOST_COUNTED``."""
    places = places_freed_by(user)
    if not places:
        return 0
    count = sum(cases.order_by()[:MOST_COUNTED].count() for _why, cases in _kinds(places))
    dry = _without_reader(places)
    count += _first_reads(dry)[:MOST_COUNTED].count() if dry else 0
    return min(count, MOST_COUNTED)


def _kinds(places: set[int]) -> list[tuple[str, CaseQuerySet]]:
    """The cases of each reason; none is in two."""
    here = Q(institution__in=places)
    free = Q(past_first(), assigned_to__isnull=True, state=CaseState.OPEN) & ~Exists(_live())
    return [
        ("left", left_cases().readable().filter(here)),
        ("no_second_reader", _second_reads().readable().filter(here, free)),
        ("no_adjudicator", _disagreements().readable().filter(here, free)),
    ]


def _live() -> QuerySet[Claim]:
    return Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())


def _second_reads() -> CaseQuerySet:
    """Second reads that no reader is left to give."""
    return Case.objects.filter(~Exists(_others(Permission.READ_CASE, kind=ReadKind.FINAL)), stage=Stage.SECOND)


def _disagreements() -> CaseQuerySet:
    """Disagreements that no adjudicator is left to settle."""
    return Case.objects.filter(~Exists(_others(Permission.ADJUDICATE)), stage=Stage.ADJUDICATION)


def _others(permission: Permission, **read: str) -> QuerySet[Membership]:
    """Those at a case's institution who have the permission and have not read the case (so)."""
    own = Read.objects.filter(case=OuterRef(OuterRef("pk")), reader=OuterRef("user"), **read)
    return Membership.objects.filter(
        ~Exists(own), institution=OuterRef("institution"), role__in=roles_with(permission), user__is_active=True
    )


def _without_reader(places: set[int]) -> set[int]:
    """Those of the institutions in which nobody reads."""
    reads = Membership.objects.filter(
        institution__in=places, role__in=roles_with(Permission.READ_CASE), user__is_active=True
    )
    return places - set(reads.values_list("institution", flat=True))


def _first_reads(places: Collection[int]) -> CaseQuerySet:
    waiting = Case.objects.filter(institution__in=places, state=CaseState.OPEN, stage=Stage.FIRST)
    return waiting.filter(assigned_to__isnull=True).readable().order_by()


@transaction.atomic
def waive_second_reader(*, by: Actor, case: Case, reason: str) -> Case:
    """Finish a case with its first read, because nobody is left who could give the second one.

    Raises
    ------
    NotAllowed, AlreadyDone, InvalidRead
    WrongStage
        It waits for no second reader, there is somebody who could be one, or ``by`` has read it.
    """
    require_oversight(by, case)
    reason = checked_text(reason, _("Give a reason for finishing without a second reader."), field="reason")
    case = locked(case)
    if not _second_reads().filter(pk=case.pk, assigned_to__isnull=True).exclude(Exists(_live())).exists():
        raise WrongStage(_("This case can still be read by a second reader, or needs none."))
    if case.reads.filter(reader=account_of(by)).exists():
        raise WrongStage(_("You have read this case yourself. Somebody else must decide this."))
    finish_with_the_first(case)
    touch_related(case.pk, timezone.now())
    record(by=by, act="second_read_waived", target=case, institution=case.institution, reason=reason)
    case.refresh_from_db()
    return case
