"""Dataset versions: look at them, freeze the next, fetch the manifest."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.datasets import services as datasets
from diagnostics.models import DatasetVersion, Institution
from diagnostics.scans.access import Permission, institutions_where, require
from portal.accounts.models import Scope

from .problems import InvalidInput
from .resource import Resource
from .shapes import address
from .strict import Changes, Strict


class DatasetShape(serializers.Serializer[DatasetVersion]):
    """A frozen manifest with a hash."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    lineage = serializers.CharField(help_text="Versions of one lineage share a frozen test part.")
    institutions = serializers.SerializerMethodField()
    seed = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the manifest.")
    counts = serializers.DictField(help_text="By split, label, label source and institution.")
    manifest = serializers.SerializerMethodField(help_text="Address of the manifest, JSON Lines.")
    created_by = serializers.CharField(source="created_by.username")
    created_at = serializers.DateTimeField()
    frozen_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_institutions(self, version: DatasetVersion) -> list[str]:
        return [institution.code for institution in version.institutions.all()]

    @extend_schema_field(OpenApiTypes.URI)
    def get_manifest(self, version: DatasetVersion) -> str:
        return address(self.context, "datasetversion-manifest", pk=version.pk)


class DatasetListing(Changes):
    lineage = serializers.CharField(required=False)
    sha256 = serializers.RegexField("^[0-9a-f]{64}$", required=False)


class Freeze(Strict):
    """What goes into the version; everything may be left out."""

    institutions = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        allow_empty=False,
        max_length=500,
        help_text="Codes; all in which this person may freeze, where left out.",
    )
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    lineage = serializers.CharField(required=False, max_length=40, default="main")
    include_imported = serializers.BooleanField(
        required=False, default=True, help_text="Labels of imported folders count where nobody has read the scan."
    )


class DatasetVersionViewSet(Resource):
    """Versions whose every institution is one in which this person may freeze datasets."""

    listings: ClassVar[dict[str, Any]] = {"list": DatasetListing}
    serializer_class = DatasetShape
    scopes: ClassVar[dict[str, str]] = {"create": Scope.LEARN}
    may_conflict = ("manifest",)  # the stored file is damaged

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        require(self.person, Permission.FREEZE_DATASET)
        return (
            DatasetVersion.objects.visible_to(self.person)
            .select_related("created_by")
            .prefetch_related("institutions")
        )

    @extend_schema(request=Freeze, responses={201: DatasetShape})
    def create(self, request: Request) -> Response:
        """Freeze a version of everything that has a label that may train. 409 says what is missing."""
        given = self.body(Freeze)
        version = datasets.freeze(
            by=self.person,
            institutions=self._institutions(given.get("institutions")),
            seed=given["seed"],
            lineage=given["lineage"],
            include_imported=given["include_imported"],
        )
        shape = self.get_serializer(self.get_queryset().get(pk=version.pk)).data
        here = address({"request": request}, "datasetversion-detail", pk=version.pk)
        return Response(shape, status=status.HTTP_201_CREATED, headers={"Location": here})

    def _institutions(self, codes: list[str] | None) -> list[Institution]:
        require(self.person, Permission.FREEZE_DATASET)
        theirs = {each.code: each for each in institutions_where(self.person, Permission.FREEZE_DATASET)}
        unknown = sorted(set(codes or []) - set(theirs))
        if unknown:
            sentence = _("There is no institution “%(code)s” here for you. Yours: %(codes)s.") % {
                "code": unknown[0],
                "codes": ", ".join(theirs),
            }
            raise InvalidInput({"institutions": [sentence]}, {"institutions": list(theirs)})
        return [each for code, each in theirs.items() if codes is None or code in codes]

    @extend_schema(responses={(200, "application/jsonl"): OpenApiTypes.BINARY})
    @action(detail=True)
    def manifest(self, request: Request, **kwargs: Any) -> HttpResponse:
        """The manifest, verified by its hash: one JSON object a line."""
        version = self.get_object()
        return HttpResponse(
            datasets.manifest(version),
            content_type="application/jsonl",
            headers={"Content-Disposition": f'attachment; filename="dataset-v{version.number}.jsonl"'},
        )
