"""Somebody can no longer do their work: who gets it.

Whoever cannot sign in, or no longer has the role in a case's institution, holds no case and is kept none. What was
assigned goes back to everybody, or to a named reader; what was returned waits for an adjudicator again, as nobody but
its reader could answer. A claim ends at once.
"""

import uuid
from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Account, Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseQuerySet, CaseState, SecondRead, Stage
from diagnostics.reviews.errors import StaleClaim, WrongStage
from diagnostics.reviews.models import Claim
from diagnostics.reviews.notices import tell_assigned, tell_disagreement, tell_second_opinion, turn_over
from diagnostics.scans.access import Permission, Role, may, require, roles_with
from diagnostics.scans.filing import InvalidEntry
from diagnostics.scans.models import Institution, Membership

from .assigning import may_be_given
from .claims import end, locked, touch_related
from .listing import past_first

AT_ONCE = 200  # so many in one look of the scheduler


def left_cases() -> CaseQuerySet:
    """Open cases that are kept for somebody who cannot read them any more."""
    reads = _members(Permission.READ_CASE).filter(user=OuterRef("assigned_to"), institution=OuterRef("institution"))
    kept = Case.objects.filter(past_first(), state=CaseState.OPEN, assigned_to__isnull=False)
    return kept.filter(~Exists(reads))


def left_claims() -> QuerySet[Claim]:
    """Live claims of people who cannot go on with them."""
    there = {"user": OuterRef("holder"), "institution": OuterRef("case__institution")}
    reads = Exists(_members(Permission.READ_CASE).filter(**there))
    settles = Exists(_members(Permission.ADJUDICATE).filter(**there))
    at_settling = Q(stage=Stage.ADJUDICATION)
    unable = at_settling & ~Q(settles) | ~at_settling & ~Q(reads)
    return Claim.objects.filter(unable, released_at__isnull=True)


def _members(permission: Permission) -> QuerySet[Membership]:
    return Membership.objects.filter(role__in=roles_with(permission), user__is_active=True)


def work_of(user: Actor) -> int:
    """How many open cases ``user`` holds or is kept."""
    held = Claim.objects.filter(
        holder=account_of(user), released_at__isnull=True, expires_at__gt=timezone.now()
    ).values("case")
    return Case.objects.filter(Q(assigned_to=user) | Q(pk__in=held), state=CaseState.OPEN).count()


def heirs_of(user: Actor, institution: Institution | None = None) -> QuerySet[Membership]:
    """The memberships of those who may get the work of ``user``: other readers of their institutions, or of one."""
    theirs = Membership.objects.filter(user=account_of(user), role=Role.RADIOLOGIST).values("institution")
    places = {"institution": institution} if institution is not None else {"institution__in": theirs}
    return _members(Permission.READ_CASE).filter(**places).exclude(user=account_of(user)).select_related("user")


def check_heir(*, user: Actor, work_to: Account | None) -> None:
    """Raise unless ``work_to`` may get the work of ``user``, who has not left yet; None is everybody.

    Raises
    ------
    InvalidEntry
    """
    if work_to is not None and not heirs_of(user).filter(user=work_to).exists():
        raise InvalidEntry("work_to", _("Choose another reader of the institution with an active account."))


def free_work_of(*, by: Actor, user: Actor, work_to: Account | None = None) -> int:
    """Take from ``user`` what they can no longer do, in the caller's transaction; how many cases and claims."""
    account = account_of(user)
    claims = list(left_claims().filter(holder=account).order_by("case").values_list("pk", "case"))
    cases = list(left_cases().filter(assigned_to=account).order_by("pk").values_list("pk", flat=True))
    freed = 0
    # In one order, so that two who free at once do not wait for each other for ever.
    for case in sorted({*cases, *(case for _claim, case in claims)}):
        freed += _free(by, case, user=account, work_to=work_to)
    return freed


def on_leaving(*, user: Actor, work_to: Account | None, **_more: object) -> None:
    """Before somebody leaves (:data:`diagnostics.scans.people.leaving`).

    Raises
    ------
    InvalidEntry
    """
    check_heir(user=user, work_to=work_to)


def on_left(*, by: Actor, user: Actor, work_to: Account | None, **_more: object) -> None:
    """After somebody has left (:data:`diagnostics.scans.people.left`)."""
    free_work_of(by=by, user=user, work_to=work_to)


def free_left_work() -> int:
    """Free what is stuck with people who cannot do it; how many. Called by the scheduler; twice is once."""
    stuck = [*left_claims().order_by().values_list("holder", "case")[:AT_ONCE]]
    stuck += left_cases().order_by().values_list("assigned_to", "pk")[:AT_ONCE]
    people = {each.pk: each for each in _people(person for person, _case in stuck)}
    freed = 0
    for case, person in sorted({(case, person) for person, case in stuck}):
        with transaction.atomic():
            freed += _free(None, case, user=people[person], work_to=None)
    return freed


def _people(ids: Iterable[int]) -> QuerySet[Account]:
    return get_user_model().objects.filter(pk__in=set(ids))


@transaction.atomic
def free_case(*, by: Actor, case: Case) -> Case:
    """An adjudicator or administrator frees a case that is kept for, or held by, somebody who cannot read it any more.

    Raises
    ------
    NotAllowed, AlreadyDone
    WrongStage
        They can still read it.
    """
    require_oversight(by, case)
    case = locked(case)
    people = {each.holder for each in left_claims().filter(case=case).select_related("holder")}
    kept = left_cases().filter(pk=case.pk).select_related("assigned_to")
    people |= {each.assigned_to for each in kept if each.assigned_to is not None}
    if not people:
        raise WrongStage(_("The assigned reader can still read this case."))
    for person in people:
        _free(by, case.pk, user=person, work_to=None)
    case.refresh_from_db()
    return case


def require_oversight(by: Actor, case: Case) -> None:
    """Raise unless ``by`` settles disagreements or administers where the case belongs.

    Raises
    ------
    NotAllowed
    """
    if not may(by, Permission.ADMINISTER, case.institution):
        require(by, Permission.ADJUDICATE, case.institution)


def _free(by: Actor | None, case_id: uuid.UUID, *, user: Account, work_to: Account | None) -> int:
    """Free one case of one person, as far as they cannot do it; 1 where anything was freed. Inside a transaction."""
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=case_id)
    kept = left_cases().filter(pk=case.pk, assigned_to=user).exists()
    held = [claim for claim in left_claims().filter(case=case, holder=user) if _ended(by, case, claim)]
    if not kept and not held:
        return 0
    if kept and case.returned_at is not None:
        fields: dict[str, object] = {"stage": Stage.ADJUDICATION, "assigned_to": None, "returned_at": None}
        heir = None
    else:
        was_read = any(claim.stage != Stage.ADJUDICATION for claim in held)
        heir = work_to if (kept or was_read) and work_to is not None and may_be_given(case, work_to) else None
        fields = {"assigned_to": heir} if kept or heir is not None else {}
    if fields:
        Case.objects.filter(pk=case.pk).update(**fields)
        case.refresh_from_db()
        _tell(by, case, heir)
        record(
            by=by,
            act="case_freed",
            target=case,
            institution=case.institution,
            person=user.pk,
            to=heir.pk if heir is not None else None,
        )
    return 1


def _ended(by: Actor | None, case: Case, claim: Claim) -> bool:
    try:
        end(claim, "left")
    except StaleClaim:  # ended by somebody else at this instant
        return False
    record(by=by, act="claim_ended", target=case, institution=case.institution, claim=claim.pk)
    return True


def _tell(by: Actor | None, case: Case, heir: Account | None) -> None:
    """Whom the case concerns now."""
    touch_related(case.pk, timezone.now())
    turn_over(case)
    if case.stage == Stage.ADJUDICATION:
        tell_disagreement(case=case)
    elif heir is not None:
        tell_assigned(by=by, case=case, to=heir)
    elif case.stage == Stage.SECOND and case.second_read == SecondRead.ASKED:
        tell_second_opinion(case=case)
