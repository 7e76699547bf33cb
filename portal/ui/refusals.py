"""What a page does with the refusals of the domain: a message on the next page, or a sentence in the form."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest


@contextmanager
def refusals_as_messages(
    request: HttpRequest, *expected: type[Exception], level: int = messages.ERROR
) -> Iterator[None]:
    """Tell a refusal of the act inside by a message; what follows the ``with`` runs then, too."""
    try:
        yield
    except expected as refusal:
        messages.add_message(request, level, str(refusal))


@contextmanager
def refusals_in_form(
    form: forms.BaseForm, *expected: type[Exception], renamed: Mapping[str, str] | None = None
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


def errors_as_messages(request: HttpRequest, form: forms.BaseForm) -> None:
    """Tell the errors of a form that the next page does not show."""
    for errors in form.errors.values():
        for error in errors:
            messages.error(request, str(error))
