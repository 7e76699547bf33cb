"""What the domain refuses, and which status a client gets for it."""

from collections.abc import Mapping

from rest_framework import status
from rest_framework.exceptions import APIException

from diagnostics.disk import StorageFull, is_full
from diagnostics.errors import Conflict, Denied, DomainError, Invalid, NotFound, Unavailable
from diagnostics.registry.gate import BadRules
from diagnostics.registry.services import ArtifactDamaged
from diagnostics.scans.intake import Refused

# The first class that fits decides, so narrower ones stand first.
STATUS_OF: list[tuple[type[DomainError], int]] = [
    (StorageFull, status.HTTP_507_INSUFFICIENT_STORAGE),
    (Denied, status.HTTP_403_FORBIDDEN),
    (NotFound, status.HTTP_404_NOT_FOUND),
    (Invalid, status.HTTP_400_BAD_REQUEST),
    (Conflict, status.HTTP_409_CONFLICT),
    (Unavailable, status.HTTP_503_SERVICE_UNAVAILABLE),
]


class DomainRefusal(APIException):
    """A named error of the domain on its way out; its sentence was written for people."""

    def __init__(self, refusal: DomainError) -> None:
        self.status_code = next(found for kind, found in STATUS_OF if isinstance(refusal, kind))
        self.code = refusal.code
        super().__init__(refusal.sentence, refusal.code)
        field = refusal.field
        self.errors: dict[str, list[str]] = {field: [refusal.sentence]} if field else {}
        self.accepted: dict[str, list[str]] = {field: refusal.accepted} if field and refusal.accepted else {}
        self.members: Mapping[str, object] = refusal.details


def as_problem(exc: Exception) -> DomainRefusal | None:
    """``exc`` as an answer to the client, or None if it is not one of the domain's named errors."""
    if is_full(exc):
        exc = StorageFull()
    if isinstance(exc, Refused):
        exc = Invalid(exc.sentence, code=exc.code)
    elif isinstance(exc, BadRules):
        exc = Invalid(str(exc))
    elif isinstance(exc, ArtifactDamaged):
        exc = Conflict(str(exc), code="artifact_damaged")
    return DomainRefusal(exc) if isinstance(exc, DomainError) else None
