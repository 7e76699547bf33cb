"""How readers did on control cases, as the page shows it."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.reviews import controls
from diagnostics.scans.access import Permission, require

from .agreement import MeasuredSerializer
from .resource import BaseViewSet


class ControlResultSerializer(serializers.Serializer[object]):
    """One reader's right answers on control cases; the share has Wilson's 95 % interval."""

    reader = serializers.IntegerField()
    name = serializers.CharField()
    n = serializers.IntegerField()
    right = serializers.IntegerField()
    share = MeasuredSerializer()
    few = serializers.BooleanField(help_text="Too few cases for the interval to say much.")


class ControlResultsSerializer(serializers.Serializer[object]):
    readers = ControlResultSerializer(many=True)


class ControlsView(BaseViewSet):
    """Controls that were read: one's own, and those of readers whom one oversees."""

    serializer_class = ControlResultsSerializer

    @extend_schema(responses=ControlResultsSerializer)
    def show(self, request: Request) -> Response:
        """Share of right answers on control cases by reader. A control that still waits is in no answer of the API."""
        if not controls.may_see_results(self.person):
            require(self.person, Permission.READ_CASE)
        rows = controls.results_of(controls.answers_for(self.person))
        return Response(ControlResultsSerializer({"readers": rows}).data)
