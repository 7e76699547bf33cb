"""Model versions: look at them, put one into use, put the former one back."""

from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import ModelVersion, PromotionRequest
from diagnostics.registry import gate, requests
from diagnostics.registry import services as registry
from diagnostics.registry.models import GateVerdict, ModelState
from diagnostics.scans.access import Permission, require
from diagnostics.training.queries import models_for
from portal.accounts import freshness
from portal.accounts.models import Scope

from .promotion_requests import PromotionRequestSerializer, fresh_token, telling_what_is_needed
from .resource import BaseViewSet
from .shapes import address
from .strict import Changes, InputSerializer, Nothing, OneOf, Query


@extend_schema_serializer(component_name="Model")
class ModelVersionSerializer(serializers.Serializer[ModelVersion]):
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


@extend_schema_serializer(component_name="ModelDetail")
class ModelDetail(ModelVersionSerializer):
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


class Decision(InputSerializer):
    """Why."""

    reason = serializers.CharField(max_length=LONGEST_TEXT, help_text="The next person will want to know.")


class RollBack(Decision):
    """Why, and to which model."""

    to = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The former model, as you know it: 409 if by now it is another.",
    )


class PromotionWish(Decision):
    """Why; where the gate has not let it through, the model's name; where the sign-in is not fresh, once more who."""

    name = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=200,
        help_text="Of the model and its number, exactly; needed only where the gate has not let it through.",
    )
    password = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=4096,
        write_only=True,
        help_text="Where the token was made, or the session begun, too long ago; otherwise it is not looked at.",
    )


class GateSerializer(serializers.Serializer[object]):
    """What the gate says of a model: `stale` where another model is in use or other rules hold since it was judged."""

    verdict = serializers.ChoiceField(choices=[*GateVerdict.values, gate.STALE, gate.UNMEASURED])
    passed = serializers.BooleanField(help_text="Whether it may go into use without a written exception.")
    rules = serializers.SerializerMethodField(help_text="Number of the rules that it was judged by.")
    live = serializers.SerializerMethodField(help_text="Number of the model that it was measured against.")
    findings = serializers.SerializerMethodField(
        help_text="Each rule with its verdict and numbers; null where they count foreign institutions' scans."
    )
    at = serializers.SerializerMethodField(help_text="When it was judged.")

    def get_rules(self, stands: dict[str, Any]) -> int | None:
        return stands["result"].rules.number if stands["result"] else None

    def get_live(self, stands: dict[str, Any]) -> int | None:
        result = stands["result"]
        return result.live.number if result is not None and result.live is not None else None

    @extend_schema_field({"type": ["array", "null"], "items": {"type": "object", "additionalProperties": {}}})
    def get_findings(self, stands: dict[str, Any]) -> list[Any] | None:
        return list(stands["result"].findings) if stands["result"] else None

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_at(self, stands: dict[str, Any]) -> datetime | None:
        return stands["result"].at if stands["result"] else None


class ModelVersionViewSet(BaseViewSet):
    """All model versions, to whoever may see models in some institution."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": ModelListing}
    serializer_class = ModelVersionSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["promote", "rollback", "challenge", "retire"], Scope.LEARN)

    def get_queryset(self) -> QuerySet[ModelVersion]:
        require(self.person, Permission.SEE_MODELS)
        return models_for(self.person)

    @extend_schema(responses=ModelDetail)
    def retrieve(self, request: Request, **kwargs: object) -> Response:
        """One model version, with its spec and the whole report."""
        return self._detail(self.get_object())

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    @action(detail=True)
    def card(self, request: Request, **kwargs: object) -> HttpResponse:
        """The model card, in Markdown, as a download."""
        version = self.get_object()
        if not version.details_open or not version.card:
            raise Http404
        return HttpResponse(
            version.card,
            content_type="text/markdown; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="model-v{version.number}.md"'},
        )

    @extend_schema(request=PromotionWish, responses={200: ModelDetail, 202: PromotionRequestSerializer})
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, **kwargs: object) -> Response:
        """Put this model into use; the one that was becomes the previous one.

        Where somebody else must agree (a second administrator, as the installation wants it or for an exception from
        the gate where there is another; or any administrator, where a data manager asks): 202 with a promotion request
        that they approve. Where the gate has not let it
        through: a reason of at least 20 characters, and the model's `name`; else 400 `exception_needed` says what is
        `needed`.
        """
        version, given, terms = self._wish
        with telling_what_is_needed(self.person, version):
            done = requests.put_forward(
                by=self.person, version=version, reason=given["reason"], name=given["name"], terms=terms
            )
        if not isinstance(done, PromotionRequest):
            return self._detail(self.get_object())
        here = address({"request": request}, "promotionrequest-detail", pk=done.pk)
        shown = PromotionRequestSerializer(done, context=self.get_serializer_context()).data
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers={"Location": here})

    @extend_schema(request=None, responses=ModelDetail)
    @action(detail=True, methods=["post"])
    def challenge(self, request: Request, **kwargs: object) -> Response:
        """Let this model score live cases in the shadow, where no reader sees it; the challenger there was stops."""
        self.body(Nothing)
        registry.challenge(by=self.person, version=self.get_object())
        return self._detail(self.get_object())

    @extend_schema(request=None, responses=ModelDetail)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, **kwargs: object) -> Response:
        """Put this candidate or challenger aside."""
        self.body(Nothing)
        registry.retire(by=self.person, version=self.get_object())
        return self._detail(self.get_object())

    @extend_schema(responses=GateSerializer)
    @action(detail=True)
    def gate(self, request: Request, **kwargs: object) -> Response:
        """What the gate says of this model now, with the numbers of each rule where they may be known."""
        version: Any = self.get_object()
        stands = gate.standing(version)
        return Response(
            GateSerializer({"verdict": stands.verdict, "passed": stands.passed, "result": stands.result}).data
            | ({} if version.details_open else {"findings": None})
        )

    @extend_schema(request=RollBack, responses=ModelDetail)
    @action(detail=False, methods=["post"])
    def rollback(self, request: Request) -> Response:
        """Put the previous model back into use."""
        given = self.body(RollBack)
        to = str(given["to"]) if given["to"] else None
        promotion = registry.roll_back(by=self.person, reason=given["reason"], to=to)
        return self._detail(self.get_queryset().get(pk=promotion.version_id))

    def before_act(self) -> object:
        return self._wish if self.action == "promote" else None

    @cached_property
    def _wish(self) -> tuple[ModelVersion, dict[str, Any], requests.Terms]:
        """Of a wish to put a model into use: the model, the body, and on which terms.

        Here the password is looked at: once in a request, as what was found is kept.
        """
        version, given = self.get_object(), self.body(PromotionWish)
        terms = requests.terms_for(by=self.person, version=version)
        if not terms.approval_needed:
            # A proposal puts nothing into use: whoever approves it shows who they are.
            freshness.require(self.request._request, given["password"], fresh_token(self.request))
        return version, given, terms

    def _detail(self, version: ModelVersion) -> Response:
        return Response(ModelDetail(version, context=self.get_serializer_context()).data)
