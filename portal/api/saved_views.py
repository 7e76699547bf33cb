"""One's own views of the worklist: named filters, kept on the server."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.models import SavedView
from diagnostics.reviews import worklist
from portal.accounts.models import Scope

from .resource import BaseViewSet
from .strict import Changes, InputSerializer, Nothing, Query


class SavedViewSerializer(serializers.Serializer[SavedView]):
    """A view of the worklist under a name."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    query = serializers.CharField(help_text="As the worklist's address has it.")
    default = serializers.BooleanField(help_text="The worklist opens with it.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class NewView(InputSerializer):
    name = serializers.CharField(max_length=60)
    query = serializers.CharField(max_length=300, help_text="tab, patient, priority, due, analysis.")
    default = serializers.BooleanField(required=False, default=False)


class SavedViewSet(BaseViewSet):
    """The views that this person has saved; nobody else sees them."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": Changes}
    serializer_class = SavedViewSerializer
    scopes: ClassVar[dict[str, str]] = {"create": Scope.REVIEW, "forget": Scope.REVIEW}

    def get_queryset(self) -> QuerySet[SavedView]:
        return worklist.views_of(self.person)

    @extend_schema(request=NewView, responses={201: SavedViewSerializer})
    def create(self, request: Request) -> Response:
        """Keep a view; one of the same name is replaced."""
        view = worklist.save_view(by=self.person, **self.body(NewView))
        return Response(self.get_serializer(view).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="Forgotten.")})
    @action(detail=True, methods=["post"])
    def forget(self, request: Request, **kwargs: object) -> Response:
        """Forget a view."""
        self.body(Nothing)
        worklist.forget_view(by=self.person, view=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
