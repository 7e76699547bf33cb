"""What the domain refuses, and which status a client gets for it."""

from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException

from diagnostics.annotations.services import InvalidMark, StaleMark
from diagnostics.datasets.conflicts import ConflictReasonMissing, NotSettled
from diagnostics.datasets.services import ManifestDamaged, NotFreezable
from diagnostics.disk import StorageFull, is_full
from diagnostics.monitoring.campaign import NoOrder
from diagnostics.monitoring.services import AlertNotTaken
from diagnostics.predictions.services import NothingToRetry
from diagnostics.registry.gate import BadRules
from diagnostics.registry.services import ArtifactDamaged, PromotionRefused, ReasonMissing
from diagnostics.reviews.services import AlreadyClaimed, AlreadyDone, InvalidRead, StaleClaim, WrongStage
from diagnostics.scans.access import NotAllowed
from diagnostics.scans.intake import DecodingUnavailable, Refused
from diagnostics.scans.services import Conflict
from diagnostics.training.services import AnotherRunning, NothingToCancel, NotTrainable, Unchanged
from portal.accounts.freshness import NotFresh

# The first class that fits decides, so narrower ones stand first.
STATUS_OF: list[tuple[type[Exception], int, str]] = [
    (NotAllowed, status.HTTP_403_FORBIDDEN, "not_allowed"),
    (NotFresh, status.HTTP_403_FORBIDDEN, "fresh_sign_in_needed"),
    # What was sent is at fault.
    (Refused, status.HTTP_400_BAD_REQUEST, "refused"),
    (Conflict, status.HTTP_400_BAD_REQUEST, "invalid"),
    (InvalidRead, status.HTTP_400_BAD_REQUEST, "invalid"),
    (InvalidMark, status.HTTP_400_BAD_REQUEST, "invalid"),
    (ConflictReasonMissing, status.HTTP_400_BAD_REQUEST, "invalid"),
    (ReasonMissing, status.HTTP_400_BAD_REQUEST, "invalid"),
    (BadRules, status.HTTP_400_BAD_REQUEST, "invalid"),
    (StorageFull, status.HTTP_507_INSUFFICIENT_STORAGE, "storage_full"),
    (DecodingUnavailable, status.HTTP_503_SERVICE_UNAVAILABLE, "decoding_unavailable"),
    # What was sent is well, but does not fit where things stand.
    (StaleClaim, status.HTTP_409_CONFLICT, "stale_claim"),
    (WrongStage, status.HTTP_409_CONFLICT, "wrong_stage"),
    (StaleMark, status.HTTP_409_CONFLICT, "stale_mark"),
    (AlreadyClaimed, status.HTTP_409_CONFLICT, "already_claimed"),
    (AlreadyDone, status.HTTP_409_CONFLICT, "already_done"),
    (NothingToRetry, status.HTTP_409_CONFLICT, "nothing_to_retry"),
    (NotFreezable, status.HTTP_409_CONFLICT, "not_freezable"),
    (NotSettled, status.HTTP_409_CONFLICT, "not_settled"),
    (NoOrder, status.HTTP_409_CONFLICT, "no_order"),
    (AlertNotTaken, status.HTTP_409_CONFLICT, "alert_not_taken"),
    (ManifestDamaged, status.HTTP_409_CONFLICT, "manifest_damaged"),
    (Unchanged, status.HTTP_409_CONFLICT, "unchanged"),
    (NotTrainable, status.HTTP_409_CONFLICT, "not_trainable"),
    (AnotherRunning, status.HTTP_409_CONFLICT, "another_running"),
    (NothingToCancel, status.HTTP_409_CONFLICT, "nothing_to_cancel"),
    (PromotionRefused, status.HTTP_409_CONFLICT, "promotion_refused"),
    (ArtifactDamaged, status.HTTP_409_CONFLICT, "artifact_damaged"),
]


class DomainRefusal(APIException):
    """A named error of the domain on its way out; its sentence was written for people."""

    def __init__(self, exc: Exception, status_code: int, code: str) -> None:
        self.status_code = status_code
        sentence = getattr(exc, "sentence", "") or str(exc)
        super().__init__(sentence, code)
        self.code = str(getattr(exc, "code", "") or code)
        field = getattr(exc, "field", "")
        self.errors: dict[str, Any] = {field: [sentence]} if field else {}
        self.members: dict[str, Any] = getattr(exc, "members", {})
        accepted = getattr(exc, "accepted", [])
        self.accepted: dict[str, Any] = {field: list(accepted)} if field and accepted else {}


def as_problem(exc: Exception) -> DomainRefusal | None:
    """``exc`` as an answer to the client, or None if it is not one of the domain's named errors."""
    if is_full(exc):
        exc = StorageFull()
    for kind, status_code, code in STATUS_OF:
        if isinstance(exc, kind):
            return DomainRefusal(exc, status_code, code)
    return None
