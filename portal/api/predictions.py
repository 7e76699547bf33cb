"""Predictions: how far each is, and the opinion where this person is not blind to it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from diagnostics.models import Prediction
from diagnostics.predictions.models import PredictionState
from diagnostics.reviews.models import Label
from diagnostics.reviews.queries import may_be_revealed, predictions_for
from diagnostics.scans.looks import looked_at

from .files import file_answer
from .resource import BaseViewSet
from .revealing import told
from .shapes import FINDINGS, ModelName, Opinion
from .strict import Changes, Name, OneOf, Query

STATES = {"queued": "queued", "analysing": "running", "ready": "ready", "failed": "failed"}
STATUSES = list(STATES)
STATE_WORDS = {state: word for word, state in STATES.items()}
OPINION = ("finding", "label", "probabilities", "tumour_probability", "warnings", "heatmap")


class StateWord(OneOf):
    """A prediction's state in the words that a scan's status has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=STATUSES, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return STATES[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> str:
        return STATE_WORDS[value]


class PredictionSerializer(serializers.Serializer[Prediction]):
    """One model version's opinion of one scan. Every field of the opinion is null while blinded or not ready."""

    id = serializers.UUIDField()
    scan = serializers.UUIDField(source="scan_id")
    status = StateWord(source="state")
    blinded = serializers.BooleanField()
    failure = serializers.CharField(allow_null=True, help_text="Why there is no opinion, as a sentence.")
    finding = serializers.ChoiceField(choices=FINDINGS, allow_null=True)
    label = serializers.ChoiceField(choices=Label.values, allow_null=True)  # type: ignore[assignment]
    probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    tumour_probability = serializers.FloatField(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField(), allow_null=True)
    heatmap = serializers.URLField(allow_null=True)
    model_version = ModelName()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    def to_representation(self, prediction: Prediction) -> dict[str, Any]:
        # Built from what is open to everybody; the opinion is added where it may be known, never taken away.
        fields = self.fields
        shown: dict[str, Any] = dict.fromkeys(fields)
        for name, field in fields.items():
            if name not in OPINION:
                value = field.get_attribute(prediction)
                shown[name] = field.to_representation(value) if value not in (None, "") else None
        if not prediction.blinded and prediction.state == PredictionState.READY:  # type: ignore[attr-defined]
            opinion = Opinion(prediction, context=self.context).data
            shown.update({name: opinion[name] for name in OPINION})
        return shown


class PredictionListing(Changes):
    """No look-up by opinion: its count alone would tell a blinded reader."""

    scan = serializers.UUIDField(required=False)
    institution = Name(required=False, source="scan__institution__code_folded", help_text="Code.")
    model_version = serializers.UUIDField(required=False)
    status = StateWord(required=False, source="state")


class PredictionViewSet(BaseViewSet):
    """Predictions of scans that this person may see."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": PredictionListing}
    serializer_class = PredictionSerializer

    def get_queryset(self) -> QuerySet[Prediction]:
        return predictions_for(self.person).annotate(revealable=may_be_revealed(self.person, scan="scan"))

    def told(self, rows: Sequence[Any]) -> Sequence[Any]:
        """An opinion that is told here is revealed, see :mod:`.revealing`. A HEAD request is told nothing."""
        if self.request.method == "HEAD":
            return rows
        told(self.person, rows, scan=lambda row: row.scan_id, says=lambda row: row.state == PredictionState.READY)
        return rows

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    @action(detail=True)
    def heatmap(self, request: Request, **kwargs: object) -> HttpResponseBase:
        """The heat map, aligned with the image. For whoever is blinded it does not exist."""
        (prediction,) = self.told([self.get_object()])
        if prediction.blinded or prediction.state != PredictionState.READY:
            raise Http404
        looked_at(by=self.person, scan_id=prediction.scan_id)
        return file_answer(
            request,
            key=prediction.heatmap,
            name=f"{prediction.pk}.png",
            content_type="image/png",
            etag=f"{prediction.pk}-heatmap",
        )
