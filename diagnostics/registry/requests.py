"""Two people agree: one proposes that a model goes into use, another approves it or does not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.scans.access import Permission, may, require

from .exceptions import Needed, check, needed_for
from .gate import standing
from .model_aliases import live, lock
from .models import ModelState, ModelVersion, Promotion, PromotionRequest, RequestState
from .refusals import AlreadyLive, ApprovalChanged, OwnRequest, RequestClosed, needed
from .services import fetch, promote, put_forward_into_use

__all__ = [
    "Terms",
    "approve",
    "decline",
    "expire",
    "pending",
    "pending_for",
    "propose",
    "put_forward",
    "terms_for",
    "withdraw",
]


def propose(*, by: Actor, version: ModelVersion, reason: str) -> PromotionRequest:
    """Ask that ``version`` go into use; proposed twice, the request that waits is given.

    Raises
    ------
    NotAllowed
        ``by`` may not propose a promotion.
    AlreadyLive, ReasonMissing
        As the names say.
    ArtifactDamaged
        The weights are not what was registered.
    """
    require(by, Permission.PROPOSE_PROMOTION)
    reason = needed(reason, _("Give a reason for the promotion."))
    fetch(version)
    expire()
    with transaction.atomic():
        version.refresh_from_db(fields=["state"])
        if version.state == ModelState.LIVE:
            raise AlreadyLive(_("%(version)s is already live."), {"version": version})
        try:
            with transaction.atomic():
                request = PromotionRequest.objects.create(
                    version=version,
                    proposed_by=account_of(by),
                    reason=reason,
                    expires_at=timezone.now() + timedelta(hours=settings.PROMOTION_REQUEST_HOURS),
                )
        except IntegrityError:
            # One waits already: whoever proposes the same again joins it.
            waiting = pending_for(version)
            if waiting is None:
                raise
            return waiting
        record(by=by, act="promotion_proposed", target=version, request=request.pk, number=version.number)
    return request


def pending() -> list[PromotionRequest]:
    """Every request that waits for approval, the oldest first."""
    waiting = PromotionRequest.objects.filter(state=RequestState.PENDING, expires_at__gt=timezone.now())
    return list(waiting.select_related("proposed_by", "version").order_by("created_at"))


def pending_for(version: ModelVersion) -> PromotionRequest | None:
    """The request that waits for approval of this model."""
    waiting = version.requests.filter(state=RequestState.PENDING, expires_at__gt=timezone.now())
    return waiting.select_related("proposed_by", "version").first()


@dataclass(frozen=True)
class Terms:
    """On which terms a person may put a model into use now.

    ``exception`` is what they must write as the gate has not let the model through; None where nothing is asked of
    them.
    """

    approval_needed: bool
    exception: Needed | None


def terms_for(*, by: Actor, version: ModelVersion) -> Terms:
    """Whether ``by`` puts ``version`` into use alone or proposes it, and what they must write for that.

    The one place that decides it: pages, admin and API ask here before the act, and the act asks again.

    Raises
    ------
    NotAllowed
        ``by`` may not even propose a promotion.
    """
    require(by, Permission.PROPOSE_PROMOTION)
    if settings.SECOND_ADMINISTRATOR or not may(by, Permission.PROMOTE):
        return Terms(approval_needed=True, exception=None)
    exception = needed_for(by=by, version=version, stands=standing(version))
    return Terms(approval_needed=exception is not None and exception.second_administrator, exception=exception)


def put_forward(
    *, by: Actor, version: ModelVersion, reason: str, name: str = "", terms: Terms | None = None
) -> Promotion | PromotionRequest:
    """Put ``version`` into use, or propose it where somebody else must approve.

    An administrator who overrides the gate writes the exception (:mod:`.exceptions`) also where another one must
    approve it.

    Parameters
    ----------
    terms
        What :func:`terms_for` said when it was decided whether ``by`` must show who they are.

    Raises
    ------
    ApprovalChanged
        By now it says something else: a proposal, which needs no password, would put the model into use.
    NotAllowed, AlreadyLive, ReasonMissing, ExceptionMissing, ArtifactDamaged
    """
    now = terms_for(by=by, version=version)
    if terms is not None and now.approval_needed != terms.approval_needed:
        raise ApprovalChanged(
            _("The need for approval of %(version)s has just changed. Check and decide again."),
            {"version": version},
        )
    if not now.approval_needed:
        return promote(by=by, version=version, reason=reason, name=name)
    needed(reason, _("Give a reason for the promotion."))
    fetch(version)
    in_use = live()
    if in_use is not None and in_use.pk == version.pk:
        raise AlreadyLive(_("%(version)s is already live."), {"version": version})
    if now.exception is not None:
        check(version=version, stands=standing(version), words=reason, name=name, field="reason")
    return propose(by=by, version=version, reason=reason)


def approve(*, by: Actor, request: PromotionRequest, exception: str = "", name: str = "") -> PromotionRequest:
    """Put the proposed model into use. Where the gate has not let it through, ``exception`` says why it may pass,
    and the model's ``name`` is typed.

    Raises
    ------
    NotAllowed
        ``by`` may not promote.
    OwnRequest, RequestClosed, AlreadyLive, ExceptionMissing
        As the names say.
    ArtifactDamaged
        The weights are not what was registered.
    """
    require(by, Permission.PROMOTE)
    if request.proposed_by_id == by.pk:
        raise OwnRequest(_("You proposed this yourself. Another administrator must approve it."))
    fetch(request.version)
    with transaction.atomic():
        lock()
        _open(request)
        promotion = put_forward_into_use(
            request.version,
            by=request.proposed_by,
            approved_by=by,
            reason=request.reason,
            exception=exception,
            name=name,
        )
        return _decide(request, RequestState.APPROVED, by, words=promotion.exception, promotion=promotion)


def decline(*, by: Actor, request: PromotionRequest, words: str) -> PromotionRequest:
    """Refuse what somebody proposed, and say why.

    Raises
    ------
    NotAllowed, RequestClosed, ReasonMissing
    """
    require(by, Permission.PROMOTE)
    words = needed(words, _("Give a reason for declining."))
    with transaction.atomic():
        _open(request)
        record(by=by, act="promotion_declined", target=request.version, request=request.pk, reason=words)
        return _decide(request, RequestState.DECLINED, by, words=words)


def withdraw(*, by: Actor, request: PromotionRequest) -> PromotionRequest:
    """Take back what one proposed oneself.

    Raises
    ------
    NotAllowed, RequestClosed
    OwnRequest
        Somebody else proposed it: it can be declined.
    """
    require(by, Permission.PROPOSE_PROMOTION)
    if request.proposed_by_id != by.pk:
        raise OwnRequest(_("Proposed by another person. An administrator can decline it."))
    with transaction.atomic():
        _open(request)
        record(by=by, act="promotion_withdrawn", target=request.version, request=request.pk)
        return _decide(request, RequestState.WITHDRAWN, by)


def expire(now: datetime | None = None) -> int:
    """End the requests that nobody decided in time; how many."""
    now = now or timezone.now()
    ended = 0
    for request in PromotionRequest.objects.filter(state=RequestState.PENDING, expires_at__lte=now):
        with transaction.atomic():
            taken = PromotionRequest.objects.filter(pk=request.pk, state=RequestState.PENDING).update(
                state=RequestState.EXPIRED, decided_at=now, updated_at=now
            )
            if taken:
                record(by=None, act="promotion_expired", target=request.version, request=request.pk)
        ended += taken
    return ended


def _open(request: PromotionRequest) -> None:
    """Lock the row, and raise unless it still waits."""
    row = PromotionRequest.objects.select_for_update().get(pk=request.pk)
    if row.state != RequestState.PENDING:
        raise RequestClosed(
            _("This request is already closed (%(state)s)."), {"state": row.get_state_display().lower()}
        )
    if row.expires_at <= timezone.now():
        raise RequestClosed(_("This request has expired. Propose the promotion again."))


def _decide(request: PromotionRequest, state: RequestState, by: Actor, **more: object) -> PromotionRequest:
    now = timezone.now()
    PromotionRequest.objects.filter(pk=request.pk).update(
        state=state, decided_by=by, decided_at=now, updated_at=now, **more
    )
    request.refresh_from_db()
    return request
