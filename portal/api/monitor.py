"""How a model version does, as the page shows it; and the alerts."""

from typing import ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.models import Alert, ModelVersion
from diagnostics.monitoring import campaign, numbers, services
from diagnostics.monitoring.campaign import Order
from diagnostics.monitoring.models import Watched
from diagnostics.registry import services as registry
from diagnostics.scans.access import NotAllowed, Permission, require
from portal.accounts.models import Scope

from .agreement import MeasuredSerializer
from .problems import InvalidInput
from .resource import BaseViewSet
from .strict import Changes, InputSerializer, OneOf, Query


class NumberSerializer(serializers.Serializer[object]):
    """`k` of `n`, with Wilson's 95 % interval of the share."""

    key = serializers.CharField()
    name = serializers.CharField()
    k = serializers.IntegerField()
    n = serializers.IntegerField()
    share = MeasuredSerializer()
    few = serializers.BooleanField(help_text="Too few for the interval to say much.")


class DriftSerializer(serializers.Serializer[object]):
    """Recent opinions against the first of this version: the population stability index."""

    of = serializers.CharField()
    index = serializers.FloatField(allow_null=True)
    chance = serializers.FloatField(allow_null=True, help_text="It stays below 95 times in 100 where nothing changed.")
    reference = serializers.IntegerField()
    recent = serializers.IntegerField()
    verdict = serializers.CharField(help_text="few, stable, watch or shifted.")


class MonitorSerializer(serializers.Serializer[object]):
    """One model version over some days, in the institutions that this person watches."""

    model_version = serializers.UUIDField(source="version.pk", allow_null=True)
    days = serializers.IntegerField()
    reads = NumberSerializer(many=True)
    inputs = NumberSerializer(many=True)
    classes = NumberSerializer(many=True)
    kappa = MeasuredSerializer(help_text="Cohen's, of blind readers and the AI.")
    median_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)
    drifts = DriftSerializer(many=True)
    weeks = serializers.ListField(child=serializers.DictField())
    analyses = serializers.IntegerField()
    capped = serializers.BooleanField(help_text="There are more than were counted.")


class MonitorQuery(Query):
    version = serializers.IntegerField(required=False, min_value=1, help_text="A number; the live one where left out.")
    days = serializers.IntegerField(required=False, min_value=1, max_value=3650)


class MonitorView(BaseViewSet):
    """For data managers and administrators; whoever reads cases stays blind."""

    listings: ClassVar[dict[str, type[Query]]] = {"show": MonitorQuery}
    serializer_class = MonitorSerializer

    @extend_schema(responses=MonitorSerializer, parameters=[MonitorQuery])
    def show(self, request: Request) -> Response:
        """Overrides, blind agreement, flips, classes, shifts, failures and times, each with its interval."""
        require(self.person, Permission.SEE_MODELS)
        if not numbers.watched_by(self.person).exists():
            raise NotAllowed(gettext_lazy("Readers stay blind to the AI, including its overall figures."))
        wanted = self.query.get("version")
        version = ModelVersion.objects.filter(number=wanted).first() if wanted else registry.live()
        if version is None:
            raise InvalidInput({"version": [_("There is no such model version.")]})
        made = numbers.report(self.person, version, days=self.query.get("days", numbers.DAYS))
        drifts = [{"of": key, **vars(each), "verdict": each.verdict} for key, _name, each in made.drifts]
        return Response(MonitorSerializer({**vars(made), "drifts": drifts}).data)


class SuggestedSerializer(serializers.Serializer[object]):
    """A scan to label."""

    scan = serializers.UUIDField()
    case = serializers.UUIDField()
    tumour = serializers.FloatField(help_text="The live model's probability.")


class SuggestedList(serializers.Serializer[object]):
    """In the order of how much one would learn, a tenth of them drawn at random."""

    results = SuggestedSerializer(many=True)


class NextQuery(Query):
    order = OneOf(choices=Order.values, required=False)
    count = serializers.IntegerField(required=False, min_value=1, max_value=campaign.MOST)
    institution = serializers.CharField(required=False, max_length=40)


class NextLabelsView(BaseViewSet):
    """Which unread scans to label next; for data managers who read no cases there."""

    listings: ClassVar[dict[str, type[Query]]] = {"show": NextQuery}
    serializer_class = SuggestedList
    may_conflict = ("show",)

    @extend_schema(responses=SuggestedList, parameters=[NextQuery])
    def show(self, request: Request) -> Response:
        """What the model is least sure of, where its challenger differs, what is unlike all labelled, or at random."""
        require(self.person, Permission.FREEZE_DATASET)
        if not numbers.watched_by(self.person).exists():
            raise NotAllowed(gettext_lazy("Readers stay blind to the AI, including its overall figures."))
        found = campaign.next_to_label(
            self.person,
            self.query.get("order", Order.UNCERTAINTY),
            count=self.query.get("count", 50),
            institution=self.query.get("institution", ""),
        )
        return Response(SuggestedList({"results": found}).data)


class AlertSerializer(serializers.Serializer[Alert]):
    """A limit that was passed."""

    id = serializers.UUIDField()
    watched = serializers.ChoiceField(choices=Watched.values)
    institution = serializers.CharField(source="institution.code")
    model_version = serializers.UUIDField(source="model_version_id")
    value = serializers.FloatField()
    limit = serializers.FloatField()
    n = serializers.IntegerField()
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)
    updated_at = serializers.DateTimeField()


class AlertListing(Changes):
    watched = OneOf(choices=Watched.values, required=False)


class Note(InputSerializer):
    note = serializers.CharField(max_length=400, help_text="What was found, or what is done about it.")


class AlertViewSet(BaseViewSet):
    """Alerts of the institutions in which this person may see models."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": AlertListing}
    serializer_class = AlertSerializer
    scopes: ClassVar[dict[str, str]] = {"acknowledge": Scope.LEARN}

    def get_queryset(self) -> QuerySet[Alert]:
        require(self.person, Permission.SEE_MODELS)
        return Alert.objects.visible_to(self.person).select_related("institution", "owner", "acknowledged_by")

    @extend_schema(request=Note, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, **kwargs: object) -> Response:
        """Take it on."""
        alert, given = self.get_object(), self.body(Note)
        return Response(AlertSerializer(services.acknowledge(by=self.person, alert=alert, note=given["note"])).data)
