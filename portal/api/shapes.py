"""Shapes that several resources show: words for codes, the AI's opinion, a model's name."""

import functools
from typing import Any
from uuid import UUID

from django.urls import get_script_prefix, reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from diagnostics.models import Prediction
from diagnostics.reviews.models import Label
from diagnostics.scans.models import Priority

PRIORITIES = {"stat": Priority.STAT, "urgent": Priority.URGENT, "routine": Priority.ROUTINE}
PRIORITY_WORDS = {value: word for word, value in PRIORITIES.items()}
FINDINGS = ["tumour", "no_tumour"]
SCAN_STATUSES = ["arriving", "queued", "analysing", "ready", "failed", "rejected", "not_analysed"]


class PriorityWord(serializers.ChoiceField):
    """A priority by its word; inside it is a number, so that an index can sort it."""

    default_error_messages = {"invalid_choice": "“{input}” is not accepted. Accepted are: stat, urgent, routine."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=list(PRIORITIES), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return PRIORITIES[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> str:
        return PRIORITY_WORDS[value]


_NOBODY = UUID(int=0)


@functools.cache
def _pattern(prefix: str, name: str) -> str:
    """The path of a view for the id of nobody, found once: a page of scans shows a thousand addresses."""
    return reverse(f"api:{name}", kwargs={"pk": _NOBODY})


def address(context: dict[str, Any], name: str, *, pk: UUID) -> str:
    """The absolute address of a view of this API."""
    path = _pattern(get_script_prefix(), name).replace(str(_NOBODY), str(pk))
    return str(context["request"].build_absolute_uri(path))


class ModelName(serializers.Serializer[object]):
    """Which model version."""

    id = serializers.UUIDField()
    sha256 = serializers.CharField(help_text="Of the weights and their spec.")
    name = serializers.CharField()
    number = serializers.IntegerField()


class Opinion(serializers.Serializer[Prediction]):
    """The AI's opinion of one scan. Decision support for research, not a diagnosis."""

    id = serializers.UUIDField()
    finding = serializers.ChoiceField(choices=FINDINGS)
    # mypy takes it for the caption that every field of DRF has
    label = serializers.ChoiceField(choices=Label.values)  # type: ignore[assignment]
    probabilities = serializers.DictField(child=serializers.FloatField(), help_text="By label; they add up to 1.")
    tumour_probability = serializers.FloatField()
    profile = serializers.ListField(
        child=serializers.FloatField(allow_null=True),
        allow_null=True,
        help_text="Of a stack: probability of a tumour of each image, null where it has none. Null of a single image.",
    )
    peak = serializers.IntegerField(allow_null=True, help_text="Of a stack: index of the image of the heat map.")
    warnings = serializers.ListField(child=serializers.CharField(), help_text="Codes.")
    heatmap = serializers.SerializerMethodField(help_text="Address of a PNG; shows influence, not lesion extent.")
    model_version = ModelName()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_heatmap(self, prediction: Prediction) -> str | None:
        return address(self.context, "prediction-heatmap", pk=prediction.pk) if prediction.heatmap else None
