"""Reads: what readers stated, and amending one's own."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics import pipeline
from diagnostics.cases.models import Stage
from diagnostics.models import Claim, Read
from diagnostics.reviews import reading
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import reads_for
from diagnostics.scans.models import ReadingMode
from portal.accounts.models import Scope

from .resource import BaseViewSet
from .statement import Statement, filters, stated, told
from .strict import Changes, Name, Nothing, OneOf, Query


class ReadSerializer(serializers.Serializer[Read]):
    """One reader's statement. Never edited: a higher revision supersedes it."""

    id = serializers.UUIDField()
    case = serializers.UUIDField(source="case_id")
    scan = serializers.UUIDField(source="case.scan_id")
    institution = serializers.CharField(source="case.institution.code")
    reader = serializers.CharField(source="reader.username")
    stage = serializers.ChoiceField(choices=ReadKind.values, source="kind")
    seat = serializers.SerializerMethodField(help_text="As first or second reader, or as adjudicator.")
    revision = serializers.IntegerField()
    mode = serializers.ChoiceField(choices=ReadingMode.values, help_text="The institution's policy at that time.")
    adopted = serializers.BooleanField(help_text="The reader changed to the AI's label after seeing it.")
    prediction = serializers.UUIDField(source="prediction_id", allow_null=True, help_text="The opinion that was seen.")
    seconds = serializers.IntegerField(allow_null=True)
    revealed_at = serializers.DateTimeField(
        allow_null=True, help_text="Of a blind read: when the AI's opinion was shown. Until then it can be undone."
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(choices=Stage.values))
    def get_seat(self, read: Read) -> str:
        # The name `stage` has always meant blind or final here.
        return read.stage

    def get_fields(self) -> dict[str, Any]:
        """What the machine knows of a read, and what its reader said."""
        fields = super().get_fields()
        names = list(fields)
        after = names.index("mode") + 1
        return {**{name: fields[name] for name in names[:after]}, **told(), **{n: fields[n] for n in names[after:]}}


class Undone(serializers.Serializer[Claim]):
    """The case as it was before the read, claimed anew."""

    case = serializers.UUIDField(source="case_id")
    claim_token = serializers.UUIDField(source="token")
    expires_at = serializers.DateTimeField()


class ReadListing(Changes):
    case = serializers.UUIDField(required=False)
    scan = serializers.UUIDField(required=False, source="case__scan")
    institution = Name(required=False, source="case__institution__code_folded", help_text="Code.")
    reader = Name(required=False, source="reader__username_folded")
    stage = OneOf(choices=ReadKind.values, required=False, source="kind")

    def get_fields(self) -> dict[str, Any]:
        """The paging, what the machine knows of a read, and what its reader said."""
        return {**super().get_fields(), **filters()}


class ReadViewSet(BaseViewSet):
    """One's own reads, those of done cases, and all where one may see reads."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": ReadListing}
    serializer_class = ReadSerializer
    scopes: ClassVar[dict[str, str]] = {"amend": Scope.REVIEW, "undo": Scope.REVIEW}

    def get_queryset(self) -> QuerySet[Read]:
        return reads_for(self.person)

    @extend_schema(request=Statement, responses={201: ReadSerializer})
    @action(detail=True, methods=["post"])
    def amend(self, request: Request, **kwargs: object) -> Response:
        """Supersede one's own final read by a new revision; the comment says why."""
        read = self.get_object()
        amended = reading.amend(by=self.person, read=read, **stated(self.body(Statement)))
        shape = self.get_serializer(self.get_queryset().get(pk=amended.pk)).data
        return Response(shape, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=Undone)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, **kwargs: object) -> Response:
        """Take back one's own final read within ten seconds, or a blind one before the opinion was asked for.

        The case is this person's again; the answer has the claim.
        """
        self.body(Nothing)
        return Response(Undone(pipeline.undo_read(by=self.person, read=self.get_object())).data)
