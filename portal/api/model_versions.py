"""Model versions: look at them, put one into use, put the former one back."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.models import ModelVersion
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Permission, require
from diagnostics.training.queries import models_for
from portal.accounts.models import Scope

from .resource import Resource
from .shapes import address
from .strict import Changes, OneOf, Strict


class ModelShape(serializers.Serializer[ModelVersion]):
    """A trained model and what was measured."""

    id = serializers.UUIDField()
    sha256 = serializers.CharField(help_text="Of the weights and their spec.")
    name = serializers.CharField()
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=ModelState.values)
    architecture = serializers.CharField()
    metrics = serializers.SerializerMethodField(
        help_text="On scans it has not seen: each with its value and the ends of its 95 % interval."
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    card = serializers.SerializerMethodField(
        help_text="Address of the model card; null where there is none, or where it counts foreign scans."
    )

    @extend_schema_field(serializers.DictField())
    def get_metrics(self, version: ModelVersion) -> dict[str, Any]:
        # A model without a report (none came with its folder) has no metrics; that is not an error.
        return dict((version.report.get("test") or {}).get("metrics", {}))

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_card(self, version: Any) -> str | None:
        shown = version.details_open and version.card
        return address(self.context, "modelversion-card", pk=version.pk) if shown else None


class ModelDetail(ModelShape):
    """A model with its spec and the whole report; null where those count foreign institutions' scans."""

    spec = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_spec(self, version: Any) -> dict[str, Any] | None:
        return version.spec if version.details_open else None

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_report(self, version: Any) -> dict[str, Any] | None:
        return version.report if version.details_open else None


class ModelListing(Changes):
    state = OneOf(choices=ModelState.values, required=False)
    sha256 = serializers.RegexField("^[0-9a-f]{64}$", required=False)
    architecture = serializers.CharField(required=False)


class Decision(Strict):
    """Why."""

    reason = serializers.CharField(max_length=4000, help_text="The next person will want to know.")


class ModelVersionViewSet(Resource):
    """All model versions, to whoever may see models in some institution."""

    listings: ClassVar[dict[str, Any]] = {"list": ModelListing}
    serializer_class = ModelShape
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["promote", "rollback"], Scope.LEARN)

    def get_queryset(self) -> QuerySet[ModelVersion]:
        require(self.person, Permission.SEE_MODELS)
        return models_for(self.person)

    @extend_schema(responses=ModelDetail)
    def retrieve(self, request: Request, **kwargs: Any) -> Response:
        """One model version, with its spec and the whole report."""
        return self._detail(self.get_object())

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    @action(detail=True)
    def card(self, request: Request, **kwargs: Any) -> HttpResponse:
        """The model card, in Markdown, as a download."""
        version = self.get_object()
        if not version.details_open or not version.card:
            raise Http404
        return HttpResponse(
            version.card,
            content_type="text/markdown; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="model-v{version.number}.md"'},
        )

    @extend_schema(request=Decision, responses=ModelDetail)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, **kwargs: Any) -> Response:
        """Put this model into use; the one that was becomes the previous one."""
        version, given = self.get_object(), self.body(Decision)
        registry.promote(by=self.person, version=version, reason=given["reason"])
        return self._detail(self.get_object())

    @extend_schema(request=Decision, responses=ModelDetail)
    @action(detail=False, methods=["post"])
    def rollback(self, request: Request) -> Response:
        """Put the previous model back into use."""
        given = self.body(Decision)
        promotion = registry.roll_back(by=self.person, reason=given["reason"])
        return self._detail(self.get_queryset().get(pk=promotion.version_id))

    def _detail(self, version: ModelVersion) -> Response:
        return Response(ModelDetail(version, context=self.get_serializer_context()).data)
