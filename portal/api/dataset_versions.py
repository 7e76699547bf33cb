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

from diagnostics.datasets import conflicts
from diagnostics.datasets import services as datasets
from diagnostics.datasets.queries import readers_for
from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import DatasetVersion, Institution, RuledOut
from diagnostics.reviews.models import Label
from diagnostics.scans.access import Permission, institutions_where, require
from diagnostics.scans.folding import folded
from portal.accounts.models import Scope

from .problems import InvalidInput
from .resource import BaseViewSet
from .shapes import address
from .strict import Changes, InputSerializer, OneOf, Query


class DatasetSerializer(serializers.Serializer[DatasetVersion]):
    """A frozen manifest with a hash."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    lineage = serializers.CharField(help_text="Versions of one lineage share a frozen test part.")
    institutions = serializers.SerializerMethodField()
    seed = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the manifest.")
    counts = serializers.DictField(
        help_text="By split, label, label source and institution; `difference` is that to the version before."
    )
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


class Freeze(InputSerializer):
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
    exclude_readers = serializers.ListField(
        child=serializers.CharField(max_length=150),
        required=False,
        default=list,
        max_length=500,
        help_text="Usernames: every scan in whose label one of them had a hand stays out, all other lines stay.",
    )
    exclude_institutions = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        default=list,
        max_length=500,
        help_text="Codes: dealt together with the others and then left out, so that the others' lines stay.",
    )


class PlanSerializer(serializers.Serializer[object]):
    """What freezing would make now."""

    lineage = serializers.CharField()
    seed = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="That the manifest would have.")
    counts = serializers.DictField(help_text="As of a version; `conflicts_listed` has the open conflicts.")
    former = serializers.IntegerField(source="last.number", default=None, allow_null=True)
    problem = serializers.CharField(allow_blank=True, help_text="Why it cannot be frozen; empty where it can.")


class Seen(InputSerializer):
    scan = serializers.UUIDField()
    label = OneOf(choices=Label.values)  # type: ignore[assignment] # a field of DRF has one of its own


class Settlement(InputSerializer):
    """Which label of a conflict stands; scans with one that contradicts it stay out of datasets."""

    scans = serializers.ListField(child=Seen(), min_length=2, max_length=500, help_text="As `conflicts_listed`.")
    stands = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=16,
        help_text="One of those labels; empty: none stands.",
    )
    reason = serializers.CharField(max_length=LONGEST_TEXT)


class RulingSerializer(serializers.Serializer[RuledOut]):
    """A scan's label that is kept out of datasets."""

    ruling = serializers.UUIDField(help_text="One decision may rule out several.")
    scan = serializers.UUIDField(source="scan_id")
    label = serializers.CharField()  # type: ignore[assignment]
    stands = serializers.CharField(allow_blank=True)
    reason = serializers.CharField()
    by = serializers.CharField(source="by.username")
    at = serializers.DateTimeField()


class Rulings(serializers.Serializer[object]):
    """Those made by one decision."""

    results = RulingSerializer(many=True)


class TakeBack(InputSerializer):
    ruling = serializers.UUIDField()


class DatasetVersionViewSet(BaseViewSet):
    """Versions whose every institution is one in which this person may freeze datasets."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": DatasetListing}
    serializer_class = DatasetSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["create", "plan", "settle", "take_back"], Scope.LEARN)
    may_conflict = ("manifest",)  # the stored file is damaged

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        require(self.person, Permission.FREEZE_DATASET)
        return (
            DatasetVersion.objects.visible_to(self.person)
            .select_related("created_by")
            .prefetch_related("institutions")
        )

    @extend_schema(request=Freeze, responses={201: DatasetSerializer})
    def create(self, request: Request) -> Response:
        """Freeze a version of everything that has a label that may train. 409 says what is missing."""
        version = datasets.freeze(by=self.person, **self._wanted())
        shape = self.get_serializer(self.get_queryset().get(pk=version.pk)).data
        here = address({"request": request}, "datasetversion-detail", pk=version.pk)
        return Response(shape, status=status.HTTP_201_CREATED, headers={"Location": here})

    @extend_schema(request=Freeze, responses=PlanSerializer)
    @action(detail=False, methods=["post"])
    def plan(self, request: Request) -> Response:
        """What freezing would make now, and its open conflicts of labels; nothing is changed."""
        return Response(PlanSerializer(datasets.plan(by=self.person, **self._wanted())).data)

    @extend_schema(request=Settlement, responses=Rulings)
    @action(detail=False, methods=["post"])
    def settle(self, request: Request) -> Response:
        """Settle a conflict of labels. 409 where it is none, or a label has changed since."""
        given = self.body(Settlement)
        seen = {row["scan"]: row["label"] for row in given["scans"]}
        made = conflicts.finalize(by=self.person, seen=seen, stands=given["stands"], reason=given["reason"])
        return Response(Rulings({"results": made}).data)

    @extend_schema(request=TakeBack, responses=Rulings)
    @action(detail=False, methods=["post"], url_path="take-back")
    def take_back(self, request: Request) -> Response:
        """Take a ruling back: the conflict is open again."""
        ruling = self.body(TakeBack)["ruling"]
        conflicts.take_back(by=self.person, ruling=ruling)
        rows = RuledOut.objects.visible_to(self.person).filter(ruling=ruling).select_related("by")
        return Response(Rulings({"results": rows}).data)

    def _wanted(self) -> dict[str, Any]:
        """The body of a freeze as the domain takes it."""
        given = self.body(Freeze)
        given["institutions"] = self._institutions(given.get("institutions"))
        given["exclude_institutions"] = self._institutions(given["exclude_institutions"], "exclude_institutions")
        names = given["exclude_readers"]
        wanted = {folded(name): name for name in names}
        found = readers_for(self.person).filter(username_folded__in=wanted)
        readers = {each.username_folded: each for each in found}
        unknown = sorted(name for key, name in wanted.items() if key not in readers)
        if unknown:
            sentence = _("“%(name)s” has not given a final read here.") % {"name": unknown[0]}
            raise InvalidInput({"exclude_readers": [sentence]})
        given["exclude_readers"] = list(readers.values())
        return given

    def _institutions(self, codes: list[str] | None, field: str = "institutions") -> list[Institution]:
        require(self.person, Permission.FREEZE_DATASET)
        theirs = {each.code: each for each in institutions_where(self.person, Permission.FREEZE_DATASET)}
        unknown = sorted(set(codes or []) - set(theirs))
        if unknown:
            sentence = _("You have no institution “%(code)s”. Yours: %(codes)s.") % {
                "code": unknown[0],
                "codes": ", ".join(theirs),
            }
            raise InvalidInput({field: [sentence]}, {field: list(theirs)})
        return [each for code, each in theirs.items() if codes is None or code in codes]

    @extend_schema(responses={(200, "application/jsonl"): OpenApiTypes.BINARY})
    @action(detail=True)
    def manifest(self, request: Request, **kwargs: object) -> HttpResponse:
        """The manifest, verified by its hash: one JSON object a line."""
        version = self.get_object()
        return HttpResponse(
            datasets.manifest(version),
            content_type="application/jsonl",
            headers={"Content-Disposition": f'attachment; filename="dataset-v{version.number}.jsonl"'},
        )
