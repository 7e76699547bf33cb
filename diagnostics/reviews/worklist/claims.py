"""Claims: who may work on a case, for how long, and how that ends."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState
from diagnostics.notifications import services as notifications
from diagnostics.predictions.models import Prediction
from diagnostics.reviews.errors import AlreadyClaimed, AlreadyDone, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim
from diagnostics.reviews.notices import taken_up
from diagnostics.reviews.queries import obstacle, permission_for
from diagnostics.reviews.texts import checked_text
from diagnostics.scans.access import Permission, may, require
from diagnostics.scans.models import Scan

from .listing import first_waiting_for, own_waiting, settling_in

AT_ONCE = 50  # so many people pressing at the same instant each find a case that no other has locked


def lease() -> datetime:
    return timezone.now() + timedelta(minutes=settings.CLAIM_MINUTES)


def claim_next(*, by: Actor) -> Claim | None:
    """Claim the first case by the policy's order; None when nothing waits.

    What one has begun comes first: the cases that one holds unread, and those returned or assigned to one. Their
    claim is answered again, renewed. Only then comes what waits for everybody.

    Two people pressing at the same instant get two different cases: the database's unique constraint decides, and
    whoever comes second takes the next. One person pressing twice gets the same case twice.

    Raises
    ------
    NotAllowed
    """
    if not may(by, Permission.ADJUDICATE) or not settling_in(by).exists():
        require(by, Permission.READ_CASE)
    skip: set[uuid.UUID] = set()
    while True:
        with transaction.atomic():
            _one_at_a_time(by)
            case = _first_own(by, skip) or _first_free(by, skip)
            if case is None:
                return None
            try:
                return _live_of(by, case) or claim_free(by, case)
            except AlreadyClaimed:
                skip.add(case.pk)


def _one_at_a_time(by: Actor) -> None:
    """Let a person's other *Read next* end first, so that a double press finds what the first one claimed."""
    # The weaker lock: rows that only refer to the person (events, claims) are written meanwhile.
    list(get_user_model().objects.select_for_update(no_key=True).filter(pk=account_of(by).pk).values_list("pk"))


def _first_own(by: Actor, skip: set[uuid.UUID]) -> Case | None:
    """The first of the cases that wait for this person alone, locked."""
    mine = own_waiting(by, but=skip).select_related("institution")
    return mine.select_for_update(of=("self",)).first()


def _live_of(by: Actor, case: Case) -> Claim | None:
    """The person's own live claim on the case's seat, renewed; None where they hold none."""
    mine = Claim.objects.filter(
        case=case, stage=case.stage, holder=account_of(by), released_at__isnull=True, expires_at__gt=timezone.now()
    ).first()
    if mine is not None:
        Claim.objects.filter(pk=mine.pk).update(expires_at=lease())
        mine.refresh_from_db()
    return mine


def _first_free(by: Actor, skip: set[uuid.UUID]) -> Case | None:
    """The first waiting case, locked. Cases that others have locked at this instant come last, not never: a worker
    that writes down a result holds one for moments."""
    waiting = first_waiting_for(by, AT_ONCE, but=skip).select_related("institution")
    if connection.features.has_select_for_update_skip_locked:
        free = waiting.select_for_update(skip_locked=True, of=("self",)).first()
        return free or waiting.select_for_update(of=("self",)).first()
    return waiting.first()


def claim_free(by: Actor, case: Case) -> Claim:
    """Write the claim, ending one that has expired; inside a transaction."""
    now = timezone.now()
    ended = Claim.objects.filter(case=case, released_at__isnull=True, expires_at__lte=now)
    for old in ended:
        if Claim.objects.filter(pk=old.pk, released_at__isnull=True).update(released_at=now, release="expired"):
            record(by=None, act="claim_expired", target=case, institution=case.institution, claim=old.pk)
    try:
        with transaction.atomic():
            made = Claim.objects.create(case=case, stage=case.stage, holder=account_of(by), expires_at=lease())
    except IntegrityError:
        live = Claim.objects.select_related("holder").filter(case=case, released_at__isnull=True).first()
        if live is None:
            raise
        raise AlreadyClaimed(live.holder, live.expires_at) from None
    touch_related(case.pk, now)
    taken_up(by=by, case=case)
    record(by=by, act="case_claimed", target=case, institution=case.institution, claim=made.pk)
    return made


@transaction.atomic
def claim(*, by: Actor, case: Case) -> Claim:
    """Claim this case; one's own live claim is returned, renewed.

    Raises
    ------
    NotAllowed, AlreadyDone, AlreadyClaimed, WrongStage
    """
    require(by, permission_for(case.stage), case.institution)
    case = locked(case)
    require(by, permission_for(case.stage), case.institution)
    if case.scan.rejected_code:
        raise WrongStage(_("This scan was rejected, so it cannot be read."))
    if sentence := obstacle(by, case):
        raise WrongStage(sentence)
    return _live_of(by, case) or claim_free(by, case)


def locked(case: Case) -> Case:
    """The case's row, locked until the transaction ends.

    Raises
    ------
    AlreadyDone
    """
    fresh = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=case.pk)
    if fresh.state == CaseState.DONE:
        raise AlreadyDone
    return fresh


def live_with(by: Actor, case: Case, claim_token: object) -> Claim:
    """The live claim with this token, held by this person.

    Raises
    ------
    StaleClaim
    """
    try:
        token = uuid.UUID(str(claim_token))
    except ValueError:
        raise StaleClaim from None
    found = Claim.objects.filter(
        case=case, token=token, holder=account_of(by), released_at__isnull=True, expires_at__gt=timezone.now()
    ).first()
    if found is None:
        raise StaleClaim
    return found


@transaction.atomic
def renew(*, by: Actor, case: Case, claim_token: object) -> Claim:
    """Extend the lease, because the reader is at work.

    Raises
    ------
    StaleClaim
    """
    live = live_with(by, case, claim_token)
    theirs = Claim.objects.filter(holder=live.holder_id, released_at__isnull=True, expires_at__gt=timezone.now())
    # Whoever is at work on one stack of a study has not left the others.
    of_study = Q(case__study=case.study_id) if case.study_id else Q(pk=live.pk)
    theirs.filter(of_study).update(expires_at=lease())
    live.refresh_from_db()
    return live


@transaction.atomic
def release(*, by: Actor, case: Case, claim_token: object) -> None:
    """Give the case back unread.

    Raises
    ------
    StaleClaim
    """
    live = live_with(by, case, claim_token)
    end(live, "given_back")
    record(by=by, act="claim_released", target=case, institution=case.institution, claim=live.pk)


def end(live: Claim, how: str) -> None:
    now = timezone.now()
    if not Claim.objects.filter(pk=live.pk, released_at__isnull=True).update(released_at=now, release=how):
        raise StaleClaim
    touch_related(live.case_id, now)


def touch_related(case_id: uuid.UUID, now: datetime) -> None:
    """Move the times of a case and of what may just have become visible or blinded to somebody.

    Whoever asks for what changed since must hear of it. Predictions come before scans, as where they are finished:
    two transactions that take rows in opposite orders could wait for each other for ever.
    """
    Case.objects.filter(pk=case_id).update(updated_at=now)
    Prediction.objects.filter(scan__cases=case_id).update(updated_at=now)
    Scan.objects.filter(cases=case_id).update(updated_at=now)
    notifications.touch(case_id, now)


@transaction.atomic
def take_over(*, by: Actor, case: Case, reason: str) -> Claim:
    """Take a case that somebody else holds; says why.

    Raises
    ------
    NotAllowed, AlreadyDone, InvalidRead, WrongStage
    """
    require(by, permission_for(case.stage), case.institution)
    missing = _("Give a reason for taking the case over. Its current reader will see it.")
    reason = checked_text(reason, missing, field="reason")
    case = locked(case)
    if sentence := obstacle(by, case):
        raise WrongStage(sentence)
    live = Claim.objects.filter(case=case, released_at__isnull=True).exclude(holder=account_of(by)).first()
    if live is not None:
        end(live, "taken_over")
        record(
            by=by,
            act="case_taken_over",
            target=case,
            institution=case.institution,
            claim=live.pk,
            former_holder=live.holder_id,
            reason=reason,
        )
    return claim(by=by, case=case)


def expire_claims() -> int:
    """End the claims whose lease has run out, so that the history says so; how many."""
    now = timezone.now()
    ended = 0
    stale = Claim.objects.filter(released_at__isnull=True, expires_at__lte=now).order_by("expires_at")
    # Not joined: the database would begin with the institutions instead of the few claims that have run out.
    for old in stale.prefetch_related("case__institution")[:200]:
        with transaction.atomic():
            if Claim.objects.filter(pk=old.pk, released_at__isnull=True, expires_at__lte=now).update(
                released_at=now, release="expired"
            ):
                touch_related(old.case_id, now)
                record(
                    by=None,
                    act="claim_expired",
                    target=old.case,
                    institution=old.case.institution,
                    claim=old.pk,
                )
                ended += 1
    return ended
