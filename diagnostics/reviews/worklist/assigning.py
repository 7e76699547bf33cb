"""An adjudicator deals cases out to readers."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Account, Actor
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, Stage
from diagnostics.reviews.errors import InvalidRead, WrongStage
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.notices import tell_assigned
from diagnostics.scans.access import Permission, Role, institutions_where, require
from diagnostics.scans.models import Membership

from .claims import locked, touch_related

MOST_AT_ONCE = 200


@transaction.atomic
def assign(*, by: Actor, cases: Sequence[Case], to: Account | None) -> list[Case]:
    """Keep cases that nobody holds for one reader, or (None) for nobody any more; all of them, or none.

    Raises
    ------
    NotAllowed, AlreadyDone, WrongStage, InvalidRead
    """
    if not 0 < len(cases) <= MOST_AT_ONCE:
        raise InvalidRead("cases", _("Select 1 to %(most_at_once)s cases."), {"most_at_once": MOST_AT_ONCE})
    dealt = []
    # In one order, so that two people who deal out the same cases do not wait for each other for ever.
    for each in sorted(cases, key=lambda case: case.pk):
        require(by, Permission.ADJUDICATE, each.institution)
        case = locked(each)
        _refuse(case, to)
        Case.objects.filter(pk=case.pk).update(assigned_to=to)
        touch_related(case.pk, timezone.now())
        tell_assigned(by=by, case=case, to=to)
        person = None if to is None else to.pk
        record(by=by, act="case_assigned", target=case, institution=case.institution, person=person)
        case.refresh_from_db()
        dealt.append(case)
    return dealt


def readers_for(user: Actor) -> list[Account]:
    """The radiologists to whom ``user`` may deal out cases, by name."""
    theirs = institutions_where(user, Permission.ADJUDICATE)
    members = Membership.objects.filter(institution__in=theirs, role=Role.RADIOLOGIST, user__is_active=True)
    people = {each.user_id: each.user for each in members.select_related("user")}
    return sorted(people.values(), key=str)


def _reads_here(case: Case, to: Account) -> bool:
    # Asked of the database: what the caller knows of a person may be older than their leaving.
    reads = Membership.objects.filter(user=to, institution=case.institution, role=Role.RADIOLOGIST)
    return reads.filter(user__is_active=True).exists()


def may_be_given(case: Case, to: Account) -> bool:
    """Whether the case, which waits for a read, may be kept for ``to``: they read here, and have not read it."""
    return _reads_here(case, to) and not case.reads.filter(reader=to, kind=ReadKind.FINAL).exists()


def _refuse(case: Case, to: Account | None) -> None:
    if case.stage == Stage.ADJUDICATION or case.returned_at is not None:
        raise WrongStage(
            _("%(case)s is reserved for an adjudicator or for the reader it was returned to."),
            {"case": str(case).capitalize()},
        )
    if case.claims.filter(released_at__isnull=True, expires_at__gt=timezone.now()).exists():
        raise WrongStage(_("%(case)s is being read. Take it over instead."), {"case": case})
    if to is None:
        return
    if not _reads_here(case, to):
        raise InvalidRead("to", _("Choose a radiologist of the case's institution."))
    if not may_be_given(case, to):
        raise InvalidRead(
            "to",
            _("%(case)s was already read by this person. The second reader must be somebody else."),
            {"case": case},
        )
