"""What the domain refuses, and which status a client gets for it."""

from collections.abc import Mapping

from rest_framework.exceptions import APIException

from diagnostics.disk import StorageFull, is_full
from diagnostics.errors import DomainError
from portal.ui.refusals import status_of


class DomainRefusal(APIException):
    """A named error of the domain on its way out; its sentence was written for people."""

    def __init__(self, refusal: DomainError) -> None:
        self.status_code = status_of(refusal)
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
    return DomainRefusal(exc) if isinstance(exc, DomainError) else None
