"""A study is read as one: its stacks are one row of the worklist, and one claim takes them for one reader (ADR 0021).

The cases stay one a stack, each with a claim, a read and a result of its own. What is here only keeps them together.
"""

import uuid
from collections.abc import Sequence
from contextlib import suppress

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseQuerySet, CaseState
from diagnostics.reviews.errors import AlreadyClaimed
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.reviews.queries import cases_for, obstacle

from .claims import claim, claim_free, claim_next, end, release, take_over
from .listing import waiting_for
from .study_rows import MOST_IN_A_STUDY, in_order_of_series


def beside(case: Case) -> CaseQuerySet:
    """The other open cases of the same study that wait for the same seat."""
    if case.study_id is None:
        return Case.objects.none()
    return (
        Case.objects.readable()
        .filter(study=case.study_id, state=CaseState.OPEN, stage=case.stage)
        .exclude(pk=case.pk)
        .order_by("pk")
    )


@transaction.atomic
def claim_study(*, by: Actor, case: Case) -> Claim:
    """Claim this case, and with it what waits of its study; the claim on this case.

    Raises
    ------
    NotAllowed, AlreadyDone, AlreadyClaimed, WrongStage
    """
    made = claim(by=by, case=case)
    _claim_beside(by, made.case)
    return made


@transaction.atomic
def claim_next_study(*, by: Actor) -> Claim | None:
    """Claim the first case by the policy's order with what waits of its study; None when nothing waits.

    What one holds comes first, so a study that one has begun is read to its end.

    Raises
    ------
    NotAllowed
    """
    made = claim_next(by=by)
    if made is not None:
        _claim_beside(by, made.case)
    return made


def _claim_beside(by: Actor, case: Case) -> None:
    """Claim the rest of the study. What somebody else takes at this instant is theirs, and what is locked is left."""
    if case.study_id is None:
        return
    free = waiting_for(by).filter(pk__in=beside(case).order_by().values("pk")).order_by("pk")
    if connection.features.has_select_for_update_skip_locked:
        free = free.select_for_update(skip_locked=True, of=("self",))
    for each in free.select_related("institution")[:MOST_IN_A_STUDY]:
        with suppress(AlreadyClaimed):
            claim_free(by, each)


def held_beside(by: Actor, case: Case) -> CaseQuerySet:
    """The other cases of the study that ``by`` holds for the same seat."""
    own = Claim.objects.filter(
        case=OuterRef("pk"),
        stage=case.stage,
        holder=account_of(by),
        released_at__isnull=True,
        expires_at__gt=timezone.now(),
    )
    return beside(case).filter(Exists(own))


def stacks_of_study(user: Actor, case: Case) -> QuerySet[Case]:
    """The cases of the study, this one among them, in the order of their series; ``own_blind``, ``own_final`` on each.

    They say whether ``user`` has locked a blind read, or given a final one. Of each scan the newest case is given.
    """
    if case.study_id is None:
        return Case.objects.none()
    own = Read.objects.filter(case=OuterRef("pk"), reader=account_of(user))
    newer = Case.objects.filter(scan=OuterRef("scan"), opened_at__gt=OuterRef("opened_at"))
    stacks = cases_for(user).prefetch_related(None).readable().filter(~Exists(newer), study=case.study_id)
    return in_order_of_series(
        stacks.annotate(
            own_blind=Exists(own.filter(kind=ReadKind.BLIND)), own_final=Exists(own.filter(kind=ReadKind.FINAL))
        )
    )[:MOST_IN_A_STUDY]


def unread_beside(by: Actor, case: Case) -> CaseQuerySet:
    """Of those, the ones on which ``by`` has locked no blind read yet."""
    blind = Read.objects.filter(case=OuterRef("pk"), reader=account_of(by), kind=ReadKind.BLIND)
    return held_beside(by, case).filter(~Exists(blind))


def one_a_study(claims: Sequence[Claim]) -> list[tuple[Claim, int]]:
    """The first of the claims on each study, with how many there are; a claim on a single picture is one."""
    found: dict[uuid.UUID, tuple[Claim, int]] = {}
    for each in claims:
        key = each.case.study_id or each.case_id
        first, number = found.get(key, (each, 0))
        found[key] = (first, number + 1)
    return list(found.values())


@transaction.atomic
def release_study(*, by: Actor, case: Case, claim_token: object) -> None:
    """Give the case back unread, and with it what is unread of its study.

    Raises
    ------
    StaleClaim
    """
    rest = list(unread_beside(by, case).values_list("pk", flat=True))
    release(by=by, case=case, claim_token=claim_token)
    for live in _live(by, rest):
        end(live, "given_back")
        record(by=by, act="claim_released", target=live.case, institution=live.case.institution, claim=live.pk)


def _live(by: Actor, cases: Sequence[uuid.UUID]) -> list[Claim]:
    mine = Claim.objects.filter(
        case__in=cases, holder=account_of(by), released_at__isnull=True, expires_at__gt=timezone.now()
    )
    return list(mine.select_related("case__institution").order_by("case"))


@transaction.atomic
def take_over_study(*, by: Actor, case: Case, reason: str) -> Claim:
    """Take a case that somebody else holds, and with it what they hold of its study; says why.

    Raises
    ------
    NotAllowed, AlreadyDone, InvalidRead, WrongStage
    """
    live = Claim.objects.filter(case=case, released_at__isnull=True).select_related("holder").first()
    theirs = [] if live is None else list(held_beside(live.holder, case))
    made = take_over(by=by, case=case, reason=reason)
    for each in theirs:
        if not obstacle(by, each):
            take_over(by=by, case=each, reason=reason)
    return made


def with_their_studies(cases: Sequence[Case]) -> list[Case]:
    """Cases, and with each what stands beside it as it does: nobody holds it, and it is kept for the same person."""
    found = {case.pk: case for case in cases}
    for case in cases:
        claimed = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())
        same = beside(case).filter(~Exists(claimed), assigned_to=case.assigned_to_id, returned_at__isnull=True)
        found.update((each.pk, each) for each in same.select_related("institution")[:MOST_IN_A_STUDY])
    return list(found.values())
