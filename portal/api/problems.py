"""Errors as problem documents (RFC 9457): one shape for every error under ``/api/``.

``code`` is the word a program may branch on, ``detail`` a sentence for a person, ``errors`` the faulty fields with
sentences, ``accepted`` what each of them would have taken.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DatabaseError
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import status
from rest_framework.exceptions import APIException, Throttled, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler

from portal.ui.refusals import RETRY_SECONDS

from .refusals import DomainRefusal, as_problem

CONTENT_TYPE = "application/problem+json"
TYPE = "urn:overread:problem:"
NOT_A_FIELD = api_settings.NON_FIELD_ERRORS_KEY
log = logging.getLogger("django.request")

TITLES = {
    400: gettext_lazy("The request is not valid"),
    401: gettext_lazy("Sign in first"),
    403: gettext_lazy("Not allowed"),
    404: gettext_lazy("Not found"),
    405: gettext_lazy("Method not allowed"),
    406: gettext_lazy("There is no such representation"),
    409: gettext_lazy("Not possible in the current state"),
    413: gettext_lazy("Too large"),
    415: gettext_lazy("This content type is not accepted"),
    422: gettext_lazy("The key was used for something else"),
    429: gettext_lazy("Too many requests"),
    500: gettext_lazy("Something went wrong"),
    507: gettext_lazy("Storage is full"),
    503: gettext_lazy("Not available at the moment"),
}
CODES = {
    400: "invalid",
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "idempotency_key_reused",
    429: "throttled",
    500: "server_error",
    507: "storage_full",
    503: "unavailable",
}


class InvalidInput(ValidationError):
    """A body or a query that names wrong fields or values; ``accepted`` lists what each field would have taken."""

    def __init__(self, errors: Mapping[str, Any], accepted: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(dict(errors))
        self.accepted = dict(accepted or {})


class TooLarge(APIException):
    """The body is larger than this installation accepts."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class KeyReused(APIException):
    """The same Idempotency-Key came with another request."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"


def document(
    code_status: int, detail: str, *, code: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A problem document as an answer; members in ``more`` that are empty are left out."""
    code = code or CODES.get(code_status, "error")
    body = {
        "type": TYPE + code,
        "title": str(TITLES.get(code_status, "")) or code,
        "status": code_status,
        "code": code,
        "detail": str(detail),
        **{name: value for name, value in more.items() if value},
    }
    return Response(body, status=code_status, headers=dict(headers or {}), content_type=CONTENT_TYPE)


def handler(exc: Exception, context: dict[str, Any]) -> Response:
    """The answer to any error that a view of the API raised."""
    exc = _known(exc)
    plain = exception_handler(exc, context)
    if plain is None:
        return _unexpected(exc, context)
    headers = {name: value for name, value in plain.headers.items() if name != "Content-Type"}
    if isinstance(exc, ValidationError):
        return _invalid(exc, headers)
    if isinstance(exc, DomainRefusal):
        return _refused(exc, context, headers)
    if plain.status_code == status.HTTP_404_NOT_FOUND:
        # The same words whether it never was or belongs to somebody else.
        detail = _("Nothing at this address, or nothing that you may see.")
        return document(plain.status_code, detail, headers=headers)
    return document(plain.status_code, _sentence(exc, context), code=_code_of(exc), headers=headers)


def _known(exc: Exception) -> Exception:
    """Errors of Django and of the domain as the API's own."""
    if isinstance(exc, RequestDataTooBig):
        return TooLarge(_("The request is larger than this installation accepts."))
    if isinstance(exc, UnreadablePostError):
        return ValidationError(_("The request ended early. Send it again."))
    if isinstance(exc, SuspiciousOperation):
        return ValidationError(_("The request is malformed."))
    return as_problem(exc) or exc


def _refused(exc: DomainRefusal, context: dict[str, Any], headers: dict[str, str]) -> Response:
    """The domain's refusal; of a conflict with the state as it is now, where the view knows it."""
    view = context.get("view")
    current = None
    if exc.status_code == status.HTTP_409_CONFLICT and view is not None and hasattr(view, "current_state"):
        current = view.current_state()
    if exc.status_code == status.HTTP_503_SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_SECONDS
    more = {"errors": exc.errors, "accepted": exc.accepted, "current": current, **exc.members}
    return document(exc.status_code, str(exc.detail), code=exc.code, headers=headers, **more)


def _sentence(exc: Exception, context: dict[str, Any]) -> str:
    """An error of DRF in words, with what would be accepted instead."""
    view = context.get("view")
    if isinstance(exc, UnsupportedMediaType) and view is not None:
        kinds = ", ".join(parser.media_type for parser in view.get_parsers())
        return _("This content type is not accepted. Accepted: %(kinds)s.") % {"kinds": kinds}
    if isinstance(exc, Throttled):
        return _("At most %(most)d requests per minute are accepted. Try again in %(seconds)d seconds.") % {
            "most": settings.API_REQUESTS_PER_MINUTE,
            "seconds": getattr(exc, "wait", None) or 1,
        }
    return str(getattr(exc, "detail", "")) or str(exc)


def _code_of(exc: Exception) -> str:
    codes = exc.get_codes() if isinstance(exc, APIException) else ""
    known = {"authentication_failed": "invalid_token", "permission_denied": "not_allowed"}
    return known.get(codes, codes) if isinstance(codes, str) and codes != "error" else ""


def _invalid(exc: ValidationError, headers: Mapping[str, str]) -> Response:
    errors = {name: _sentences(found) for name, found in exc.detail.items()} if isinstance(exc.detail, dict) else {}
    general = errors.pop(NOT_A_FIELD, [])
    if not errors and not general:
        general = _sentences(exc.detail)
    fields = [f"{name}: {sentences[0]}" for name, sentences in errors.items() if sentences]
    accepted = getattr(exc, "accepted", {})
    return document(400, " ".join([*general, *fields]), headers=headers, errors=errors, accepted=accepted)


def _sentences(found: object) -> list[str]:
    """Every sentence in DRF's nested error structure, flat."""
    if isinstance(found, Mapping):
        return [f"{name}: {sentence}" for name, inner in found.items() for sentence in _sentences(inner)]
    if isinstance(found, (list, tuple)):
        return [sentence for inner in found for sentence in _sentences(inner)]
    return [str(found)]


def _unexpected(exc: Exception, context: dict[str, Any]) -> Response:
    """The edge: logged with its trace, announced to whoever watches, and answered without any of its words."""
    request: Request | None = context.get("request")
    view = context.get("view")
    log.error(
        "Unexpected error in the API: %s",
        type(view).__name__,
        exc_info=exc,
        extra={"status_code": 500},
    )
    got_request_exception.send(sender=type(view), request=getattr(request, "_request", None))
    retry = _("Nothing was saved. Try again. If it happens again, tell your administrator.")
    return document(500, retry, code="database_error" if isinstance(exc, DatabaseError) else "")
