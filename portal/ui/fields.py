"""What a field of a form may be filled with, where that hangs on who asks."""

from typing import Any

from django.db.models import QuerySet
from django.forms import BaseForm, ModelChoiceField


def choose_from(form: BaseForm, name: str, rows: QuerySet[Any]) -> None:
    """Let the field ``name`` offer these rows."""
    field = form.fields[name]
    if not isinstance(field, ModelChoiceField):
        raise TypeError(f"{name} offers no rows.")
    field.queryset = rows
