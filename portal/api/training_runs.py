"""Training runs: start one, follow it, cancel it."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics import pipeline
from diagnostics.models import DatasetVersion, TrainingRun
from diagnostics.scans.access import Permission, require
from diagnostics.training import planning
from diagnostics.training import services as training
from diagnostics.training.models import TrainingState
from diagnostics.training.recipe import HYPERPARAMETERS, Hyperparameter
from portal.accounts.models import Scope

from .problems import InvalidInput
from .resource import BaseViewSet
from .shapes import ModelName, address
from .strict import Changes, InputSerializer, Nothing, OneOf, Query


class RunSerializer(serializers.Serializer[TrainingRun]):
    """One training run, how far it has come, and what it produced."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    dataset_version = serializers.UUIDField(source="dataset_id")
    config = serializers.DictField()
    status = serializers.ChoiceField(choices=TrainingState.values, source="state")
    progress = serializers.FloatField(help_text="0 to 1.")
    epochs = serializers.ListField(child=serializers.DictField(), help_text="One object an epoch.")
    seconds_left = serializers.IntegerField(allow_null=True)
    failure = serializers.SerializerMethodField(help_text="Why it ended without a model, as a sentence.")
    model_version = ModelName(source="produced", allow_null=True)
    repeats = serializers.UUIDField(source="repeats_id", allow_null=True, help_text="The run that was run again.")
    surroundings = serializers.DictField(
        source="environment", help_text="Python, packages, code of the learning core, threads."
    )
    created_by = serializers.CharField(source="created_by.username")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    def get_failure(self, run: TrainingRun) -> str | None:
        return run.failure or None


class RunDetail(RunSerializer):
    """A run with its log."""

    log = serializers.CharField()


class RunListing(Changes):
    dataset_version = serializers.UUIDField(required=False, source="dataset")
    status = OneOf(choices=TrainingState.values, required=False, source="state")


class NewRun(InputSerializer):
    """The recipe, flat; whatever is left out has its default."""

    dataset_version = serializers.UUIDField()
    anyway = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Also where nothing has changed since the model in use was trained; otherwise that is 409.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), **{each.name: _field(each) for each in HYPERPARAMETERS}}


class NewsSerializer(serializers.Serializer[object]):
    """What is new in the dataset since that of the model in use; `base` is null where that is not known."""

    base = serializers.UUIDField(source="base.pk", default=None, allow_null=True)
    added = serializers.IntegerField()
    removed = serializers.IntegerField()
    relabelled = serializers.IntegerField()


class RunPlan(serializers.Serializer[object]):
    """What a run would do now."""

    dataset_version = serializers.UUIDField(source="dataset.pk")
    news = NewsSerializer()
    labels = serializers.DictField(child=serializers.IntegerField(), help_text="Of the training part.")
    label_sources = serializers.DictField(child=serializers.IntegerField(), source="sources")
    seconds = serializers.IntegerField(help_text="At most, by the pace of former runs or a stated default.")
    measured_on = serializers.ListField(child=serializers.IntegerField(), help_text="Numbers of those runs.")
    asks = serializers.ListField(child=serializers.CharField(), help_text="What the gate will ask, as sentences.")
    recipe = serializers.DictField()
    obstacle = serializers.CharField(allow_blank=True, help_text="Why it cannot start; empty where it can.")


def _field(each: Hyperparameter) -> serializers.Field[Any, Any, Any, Any]:
    """The field for one setting of the domain's list."""
    common: dict[str, Any] = {"required": False, "default": each.default, "help_text": each.help}
    if each.kind == "choice":
        return OneOf(choices=[code for code, _words in each.choices], **common)
    if each.kind == "whole":
        return serializers.IntegerField(min_value=int(each.low), max_value=int(each.high), **common)
    if each.kind == "number":
        return serializers.FloatField(min_value=each.low, max_value=each.high, **common)
    return serializers.BooleanField(**common)


class TrainingRunViewSet(BaseViewSet):
    """Runs on dataset versions that this person may see."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": RunListing}
    serializer_class = RunSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["create", "plan", "cancel", "again"], Scope.LEARN)

    def get_queryset(self) -> QuerySet[TrainingRun]:
        require(self.person, Permission.TRAIN)
        return TrainingRun.objects.visible_to(self.person).select_related("produced", "created_by")

    @extend_schema(responses=RunDetail)
    def retrieve(self, request: Request, **kwargs: object) -> Response:
        """One run, with its log. Poll this while the status is `queued` or `running`."""
        return self._detail(self.get_object())

    @extend_schema(request=NewRun, responses={202: RunDetail})
    def create(self, request: Request) -> Response:
        """Queue a run; poll it. One runs at a time: 409 while another does."""
        dataset, anyway, recipe = self._wanted()
        run = pipeline.start_training(by=self.person, dataset=dataset, config=recipe, anyway=anyway)
        return self._begun(run)

    @extend_schema(request=NewRun, responses=RunPlan)
    @action(detail=False, methods=["post"])
    def plan(self, request: Request) -> Response:
        """What a run would do now, and what stands against it; nothing is started."""
        dataset, anyway, recipe = self._wanted()
        made = planning.plan(by=self.person, dataset=dataset, recipe=recipe)
        obstacle = training.blocking_reason(by=self.person, dataset=dataset, anyway=anyway)
        return Response(RunPlan({**vars(made), "obstacle": obstacle}).data)

    @extend_schema(request=None, responses={202: RunDetail})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, **kwargs: object) -> Response:
        """Run it once more; the report of what it makes says under `repeats` how far the two models are apart."""
        self.body(Nothing)
        return self._begun(pipeline.rerun_training(by=self.person, run=self.get_object()))

    def _wanted(self) -> tuple[DatasetVersion, bool, dict[str, Any]]:
        """The dataset, whether also where nothing has changed, and the recipe."""
        given = self.body(NewRun)
        wanted, anyway = given.pop("dataset_version"), given.pop("anyway")
        require(self.person, Permission.TRAIN)
        dataset = DatasetVersion.objects.visible_to(self.person).filter(pk=wanted).first()
        if dataset is None:
            sentence = _("There is no such dataset version, or you may not see it.")
            raise InvalidInput({"dataset_version": [sentence]})
        return dataset, anyway, given

    def _begun(self, run: TrainingRun) -> Response:
        here = address({"request": self.request}, "trainingrun-detail", pk=run.pk)
        return self._detail(run, status=status.HTTP_202_ACCEPTED, headers={"Location": here})

    @extend_schema(request=None, responses={202: RunDetail})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: object) -> Response:
        """Ask the run to stop; it ends as `cancelled` at the next step."""
        self.body(Nothing)
        run = self.get_object()
        training.cancel(by=self.person, run=run)
        return self._detail(self.get_object(), status=status.HTTP_202_ACCEPTED)

    def _detail(self, run: TrainingRun, **answer: Any) -> Response:
        return Response(RunDetail(run, context=self.get_serializer_context()).data, **answer)
