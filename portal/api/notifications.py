"""Notifications: what concerns the person who asks. They say what happened and where, never what anybody thinks."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.notifications.models import Kind, Notification
from diagnostics.notifications.services import mark_read
from diagnostics.reviews.notices import notifications_for
from portal.accounts.models import Scope

from .resource import BaseViewSet
from .strict import Changes, Name, Nothing, OneOf, Query


class NotificationSerializer(serializers.Serializer[Notification]):
    """One thing that concerns this person."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Kind.values)
    institution = serializers.CharField(source="institution.code")
    scan = serializers.UUIDField(source="scan_id")
    case = serializers.UUIDField(source="case_id", allow_null=True, help_text="Null: it is about an analysis.")
    comment = serializers.UUIDField(source="comment_id", allow_null=True, help_text="That mentions this person.")
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True, help_text="Null: new.")
    updated_at = serializers.DateTimeField()


class NotificationListing(Changes):
    kind = OneOf(choices=Kind.values, required=False)
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")
    new = serializers.BooleanField(required=False, source="read_at__isnull", help_text="Not read yet.")


class Marked(serializers.Serializer[object]):
    """How many changed."""

    marked = serializers.IntegerField()


class NotificationViewSet(BaseViewSet):
    """What concerns this person, as far as they may still know of it. What is over is gone."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": NotificationListing}
    serializer_class = NotificationSerializer
    scopes: ClassVar[dict[str, str]] = {"read": Scope.READ, "read_all": Scope.READ}

    def get_queryset(self) -> QuerySet[Notification]:
        return notifications_for(self.person).filter(in_portal=True).select_related("institution")

    @extend_schema(request=None, responses=NotificationSerializer)
    @action(detail=True, methods=["post"])
    def read(self, request: Request, **kwargs: object) -> Response:
        """Mark it as read. Twice is once."""
        self.body(Nothing)
        mark_read(Notification.objects.filter(pk=self.get_object().pk))
        return Response(NotificationSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=Marked, filters=False)
    @action(detail=False, methods=["post"], url_path="read-all", pagination_class=None)
    def read_all(self, request: Request) -> Response:
        """Mark all as read."""
        self.body(Nothing)
        ids = list(self.get_queryset().filter(read_at__isnull=True).values_list("pk", flat=True))
        return Response({"marked": mark_read(Notification.objects.filter(pk__in=ids))})
