"""How far readers agree, as the page shows it."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.reviews import double_reading
from diagnostics.reviews.models import ReadKind
from diagnostics.scans.access import Permission, may, require

from .resource import BaseViewSet
from .strict import OneOf, Query


class MeasuredSerializer(serializers.Serializer[object]):
    """A value with its 95 % bootstrap interval; null where it is not defined."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class AgreedSerializer(serializers.Serializer[object]):
    """How far some cases were agreed upon; of a class, ``percent`` is the positive specific agreement."""

    key = serializers.CharField(help_text="`all`, a label, or two readers' ids.")
    name = serializers.CharField()
    n = serializers.IntegerField()
    disagreed = serializers.IntegerField()
    percent = MeasuredSerializer()
    cohen = MeasuredSerializer()
    fleiss = MeasuredSerializer(allow_null=True)
    few = serializers.BooleanField(help_text="Too few cases for the interval to say much.")


class FlipsSerializer(serializers.Serializer[object]):
    """What the reveal did, where the right label is known from an adjudicator or a reference label."""

    wrong_before = serializers.IntegerField()
    right_flips = serializers.IntegerField()
    right_share = MeasuredSerializer(help_text="Wilson's interval.")
    right_before = serializers.IntegerField()
    wrong_flips = serializers.IntegerField()
    wrong_share = MeasuredSerializer(help_text="Wilson's interval.")
    unknown = serializers.IntegerField()
    few = serializers.BooleanField()


class AgreementSerializer(serializers.Serializer[object]):
    """Agreement of readers over the newest done cases that two people read."""

    overall = AgreedSerializer(allow_null=True)
    classes = AgreedSerializer(many=True)
    pairs = AgreedSerializer(many=True)
    flips = FlipsSerializer()
    chosen = serializers.IntegerField(help_text="Read twice because somebody asked or the AI differed.")
    unsettled = serializers.IntegerField(help_text="Disagreements that still wait, and are in no number.")
    capped = serializers.BooleanField(help_text="There are more cases than were looked at.")


class AgreementQuery(Query):
    said = OneOf(choices=ReadKind.values, required=False)
    cases = OneOf(choices=["drawn", "all"], required=False)


class AgreementView(BaseViewSet):
    """For whoever may see reads or settles disagreements, of their institutions."""

    listings: ClassVar[dict[str, type[Query]]] = {"show": AgreementQuery}
    serializer_class = AgreementSerializer

    @extend_schema(responses=AgreementSerializer, parameters=[AgreementQuery])
    def show(self, request: Request) -> Response:
        """Percent agreement and kappas with intervals, by class and pair; right-flips and wrong-flips."""
        if not may(self.person, Permission.ADJUDICATE):
            require(self.person, Permission.SEE_READS)
        made = double_reading.report(
            self.person, kind=self.query.get("said", ReadKind.FINAL), all_cases=self.query.get("cases") == "all"
        )
        return Response(AgreementSerializer(made).data)
