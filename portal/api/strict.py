"""Input by allow-list: a name that is not known is refused, and the answer says which names are."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from diagnostics.limits import LONGEST_NUMBERS
from diagnostics.scans.folding import folded

from . import paging
from .problems import InvalidInput


class OneOf(serializers.ChoiceField):
    """A choice whose refusal names every accepted value."""

    default_error_messages: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "invalid_choice": gettext_lazy("“{input}” is not accepted. Accepted are: {accepted}."),
        "null": gettext_lazy("This field is required."),
    }

    def fail(self, key: str, **kwargs: Any) -> None:  # type: ignore[override]
        super().fail(key, accepted=", ".join(map(str, self.choices)), **kwargs)


class Name(serializers.CharField):
    """A name as the database compares it: whatever the case of its letters. ``source`` leads to a folded column."""

    def to_internal_value(self, data: str) -> str:
        return folded(super().to_internal_value(data))


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"})
class PseudonymField(serializers.CharField):
    """A patient's pseudonym; the domain refuses what is none."""


@extend_schema_field(
    {"type": "string", "maxLength": LONGEST_NUMBERS, "pattern": "^([1-9][0-9]{0,5}(, [1-9][0-9]{0,5})*)?$"}
)
class ImageNumbersField(serializers.CharField):
    """Numbers of images, from 1, with commas between them; the domain refuses other texts."""


class InputSerializer(serializers.Serializer[object]):
    """A body. Unknown fields are errors, not silence."""

    def to_internal_value(self, data: object) -> Any:
        unknown = sorted(str(name) for name in data if name not in self.fields) if isinstance(data, Mapping) else []
        if unknown:
            names = ", ".join(self.fields) or _("none")
            sentence = _("Unknown field. Accepted are: %(names)s.") % {"names": names}
            raise serializers.ValidationError({name: [sentence] for name in unknown})
        return super().to_internal_value(data)


class Nothing(InputSerializer):
    """A body that says nothing."""


class Query(InputSerializer):
    """The query of an address. A field's ``source`` is the look-up it stands for."""

    def to_internal_value(self, data: object) -> Any:
        if isinstance(data, QueryDict):
            twice = [name for name, values in data.lists() if len(values) > 1]
            if twice:
                raise serializers.ValidationError({name: [_("Give this once.")] for name in twice})
            data = data.dict()
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": paging.PATTERN})
class CursorField(serializers.CharField):
    """The text of a :class:`portal.api.paging.Cursor`."""


class Page(Query):
    """What every list takes."""

    cursor = CursorField(required=False, max_length=300, help_text="From `next` or `previous` of the page before.")
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=200, default=50)


class Changes(Page):
    """What every list of rows that change takes."""

    updated_since = serializers.DateTimeField(
        required=False,
        source="updated_at__gte",
        help_text="Only what changed at or after this time (ISO 8601; write + as %2B, or use Z).",
    )


PAGING = ("cursor", "page_size")
S = TypeVar("S", bound=InputSerializer)


def checked(kind: type[S], data: Any, request: Request | None = None) -> dict[str, Any]:
    """``data`` as ``kind`` understands it.

    Raises
    ------
    InvalidInput
        With a sentence for each wrong field, and what it would have taken.
    """
    serializer = kind(data=data, context={"request": request})
    if serializer.is_valid():
        return dict(serializer.validated_data)
    errors = serializer.errors
    if not isinstance(errors, Mapping):
        raise InvalidInput({"detail": errors})
    accepted: dict[str, list[str]] = {}
    for name in errors:
        field = serializer.fields.get(name)
        if isinstance(field, serializers.ChoiceField):
            accepted[name] = [str(choice) for choice in field.choices]
        elif field is None and name != "non_field_errors":
            accepted[name] = list(serializer.fields)
    raise InvalidInput(errors, accepted)
