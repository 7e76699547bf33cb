"""What a page answers where the domain refuses: one place for all rooms.

A view calls the domain and lets its errors pass. Whatever it does not catch ends in :func:`answer`. A view with a form
shows the error there (:func:`add_to`, :func:`refusals_in_form`), so that nothing that was entered is lost; one that
ends on another page tells it there (:func:`refusals_as_messages`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from diagnostics.disk import StorageFull
from diagnostics.errors import Conflict, Denied, DomainError, Invalid, NotFound, Unavailable

RETRY_SECONDS = "30"
# The first class that fits decides, so narrower ones stand first.
STATUS_OF: list[tuple[type[DomainError], int]] = [
    (StorageFull, 507),
    (Denied, 403),
    (NotFound, 404),
    (Invalid, 400),
    (Conflict, 409),
    (Unavailable, 503),
]
Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Rest], HttpResponse]


def status_of(refusal: DomainError) -> int:
    """The HTTP status of a refusal."""
    return next((status for kind, status in STATUS_OF if isinstance(refusal, kind)), 400)


def answer(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    """A page with the domain's sentence; JSON for a script that asks for it."""
    status = status_of(refusal)
    if request.headers.get("Accept", "").startswith("application/json"):
        response: HttpResponse = as_json(refusal)
    elif status == 404:
        # The same words whether it never was or belongs to somebody else.
        response = render(request, "404.html", status=404)
    else:
        template = {403: "403.html", 503: "503.html"}.get(status, "refused.html")
        response = render(request, template, {"sentence": refusal.sentence}, status=status)
    if isinstance(refusal, Unavailable):
        response["Retry-After"] = RETRY_SECONDS
    return response


def as_json(refusal: DomainError) -> JsonResponse:
    """What our scripts understand: the sentence, and by field where a form would show it."""
    sentence, field = refusal.sentence, refusal.field
    told = {"sentence": sentence, "errors": {field or "__all__": [sentence]}}
    return JsonResponse({**told, "field": field} if field else told, status=status_of(refusal))


def in_json(view: View[Rest]) -> View[Rest]:
    """Make a view that only scripts ask tell its refusals in JSON."""

    @wraps(view)
    def told(request: HttpRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except DomainError as refusal:
            if isinstance(refusal, StorageFull):
                raise
            return as_json(refusal)

    return told


def add_to(form: BaseForm, refusal: DomainError) -> None:
    """Show a refusal at the field that it names, or above the form where the form has no such field."""
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.sentence)


@contextmanager
def refusals_as_messages(
    request: HttpRequest, *expected: type[Exception], level: int = messages.ERROR
) -> Iterator[None]:
    """Tell a refusal of the act inside by a message; what follows the ``with`` runs then, too.

    Without ``expected`` all are told but what the person may not do at all, and a full disk: those are pages.
    """
    wanted = expected or (Invalid, Conflict, Unavailable)
    try:
        yield
    except wanted as refusal:
        if isinstance(refusal, StorageFull):
            raise
        messages.add_message(request, level, str(refusal))


@contextmanager
def refusals_in_form(
    form: BaseForm, *expected: type[Exception], renamed: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Put a refusal of the act inside into a checked form: beside the field that it names, else above.

    ``renamed``: what the form calls a field of the domain.

    ``form.is_valid()`` tells afterwards whether the act was done. The error's code is the name of the refusal.
    """
    try:
        yield
    except expected as refusal:
        field = getattr(refusal, "field", None) or ""
        named = (renamed or {}).get(field, field)
        sentence = ValidationError(str(refusal), code=type(refusal).__name__)
        form.add_error(named if named in form.fields else None, sentence)


def errors_as_messages(request: HttpRequest, form: BaseForm) -> None:
    """Tell the errors of a form that the next page does not show."""
    for errors in form.errors.values():
        for error in errors:
            messages.error(request, str(error))
