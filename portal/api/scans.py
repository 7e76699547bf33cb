"""Scans: upload, look at, ask for another analysis, fetch the image."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics import pipeline
from diagnostics.batches import Filed, counted, submit_archive
from diagnostics.models import Image, KeptInstance, Scan, Series, Study
from diagnostics.predictions.models import PredictionState
from diagnostics.predictions.services import current, failure_of, status_of
from diagnostics.reviews.queries import may_be_revealed
from diagnostics.reviews.visible_scans import VisibleScan, just_stored, opinion_for, scans_for, visible
from diagnostics.reviews.worklist import first_by_institution
from diagnostics.scans.access import NotAllowed, Permission, may
from diagnostics.scans.filing import institution_for
from diagnostics.scans.kept_instances import kept_in_words
from diagnostics.scans.looks import looked_at
from diagnostics.scans.models import Priority
from diagnostics.scans.originals import originals_of
from portal.accounts.models import Scope

from .files import file_answer, several_files
from .problems import InvalidInput, TooLarge
from .resource import SMALL_BODY, BaseViewSet
from .revealing import told
from .shapes import SCAN_STATUSES, Opinion, PriorityWord, address
from .strict import Changes, Name, Nothing, OneOf, Query
from .uploads import ArchiveOutcomeSerializer, ArchiveUpload, Upload

FILES = ("pixels", "preview", "original")
FORMATS = {"dicom": ("dcm", "application/dicom"), "jpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


class ScanLinks(serializers.Serializer[object]):
    """Where the scan's files are."""

    self = serializers.URLField()
    pixels = serializers.URLField(help_text="True pixel values without metadata, in Overread's container.")
    preview = serializers.URLField(help_text="A small PNG without metadata.")
    original = serializers.URLField(help_text="The untouched file; open to those who may upload scans.")


class SeriesSerializer(serializers.Serializer[Series]):
    """The series of a stack."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(allow_null=True)
    modality = serializers.CharField()
    sequence = serializers.CharField(help_text="`T1`, `T1ce`, `T2`, `FLAIR`, `DWI`, `other`, by its tags.")
    plane = serializers.CharField(help_text="`axial`, `coronal`, `sagittal`, `oblique`.")
    arrival = serializers.CharField(help_text="`arriving`, `complete`, `incomplete`.")


class StudyOfScanSerializer(serializers.Serializer[Study]):
    """The visit that a scan belongs to."""

    id = serializers.UUIDField()
    accession = serializers.CharField()
    date = serializers.DateField(allow_null=True)


class KeptInstanceSerializer(serializers.Serializer[KeptInstance]):
    """An object that was kept with its study and is never analysed."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    study_id = serializers.UUIDField()
    note = serializers.SerializerMethodField()

    def get_note(self, row: KeptInstance) -> str:
        return kept_in_words(row)


class ImageSerializer(serializers.Serializer[Image]):
    """One image of a scan."""

    index = serializers.IntegerField(allow_null=True, help_text="From 0; null until the series has closed.")
    position = serializers.FloatField(allow_null=True, help_text="Millimetres along the normal of the slice.")
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    sha256 = serializers.CharField()
    links = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DictField(child=serializers.URLField()))
    def get_links(self, row: Image) -> dict[str, str]:
        if row.index is None:
            return {}
        scan = address(self.context, "scan-detail", pk=row.scan_id)
        return {name: f"{scan}images/{row.index}/{name}/" for name in ("pixels", "preview")}


class ScanSerializer(serializers.Serializer[VisibleScan]):
    """A scan, how far its analysis is, and the AI's opinion as far as this person may know it."""

    id = serializers.UUIDField(source="scan.id")
    sha256 = serializers.CharField(source="scan.sha256", help_text="Of the original bytes.")
    status = serializers.SerializerMethodField()
    failure = serializers.SerializerMethodField(help_text="Why there is no opinion, as a sentence.")
    blinded = serializers.BooleanField(help_text="This person must not learn the AI's opinion yet.")
    prediction = serializers.SerializerMethodField(help_text="Null while blinded or not ready.")
    institution = serializers.CharField(source="scan.institution.code")
    patient = serializers.CharField(source="scan.patient.pseudonym")
    patient_id = serializers.UUIDField(source="scan.patient_id")
    study_id = serializers.UUIDField(source="scan.study_id")
    accession = serializers.CharField(source="scan.study.accession")
    study_date = serializers.DateField(source="scan.study.date", allow_null=True)
    priority = PriorityWord(source="scan.priority")
    format = serializers.ChoiceField(source="scan.format", choices=list(FORMATS))
    width = serializers.IntegerField(source="scan.width")
    height = serializers.IntegerField(source="scan.height")
    frames = serializers.IntegerField(
        source="scan.frames", help_text="In the file; the scan is the first, the others were not read."
    )
    images = serializers.IntegerField(source="scan.image_count", help_text="In the stack.")
    revision = serializers.IntegerField(
        source="scan.revision", help_text="Of its images: one more each time others came late."
    )
    series = SeriesSerializer(source="scan.series", allow_null=True)
    study = StudyOfScanSerializer(source="scan.study")
    note = serializers.SerializerMethodField(help_text="What must be known of the image, as a sentence.")
    created_at = serializers.DateTimeField(source="scan.created_at")
    updated_at = serializers.DateTimeField(source="scan.updated_at")
    links = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=SCAN_STATUSES))
    def get_status(self, seen: VisibleScan) -> str:
        return status_of(seen.scan)

    def get_failure(self, seen: VisibleScan) -> str | None:
        return failure_of(seen.scan)

    def get_note(self, seen: VisibleScan) -> str | None:
        return seen.scan.note or None

    @extend_schema_field(Opinion(allow_null=True))
    def get_prediction(self, seen: VisibleScan) -> dict[str, Any] | None:
        opinion = opinion_for(seen)
        return self._opinion.to_representation(opinion) if opinion is not None else None

    @cached_property
    def _opinion(self) -> Opinion:
        """One for all rows: making its fields anew for each was a third of what a page cost."""
        return Opinion(context=self.context)

    @extend_schema_field(ScanLinks)
    def get_links(self, seen: VisibleScan) -> dict[str, str]:
        return {
            "self": address(self.context, "scan-detail", pk=seen.scan.pk),
            **{
                name: address(self.context, f"scan-{name}", pk=seen.scan.pk)
                for name in ("pixels", "preview", "original")
            },
        }


def _says(scan: Scan) -> bool:
    """Whether there is an opinion of the scan."""
    prediction = current(scan)
    return prediction is not None and prediction.state == PredictionState.READY


class ScanListing(Changes):
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")
    patient = Name(required=False, source="patient__pseudonym_folded", help_text="Pseudonym.")
    patient_id = serializers.UUIDField(required=False, source="patient")
    study_id = serializers.UUIDField(required=False, source="study")
    accession = Name(required=False, source="study__accession_folded")
    sha256 = serializers.RegexField("^[0-9a-f]{64}$", required=False)
    priority = PriorityWord(required=False)
    format = OneOf(choices=list(FORMATS), required=False)


class ScanViewSet(BaseViewSet):
    """Scans of the institutions in which this person may see scans."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": ScanListing}
    serializer_class = ScanSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(["create", "archive", "retry"], Scope.SUBMIT)

    @property
    def largest_body(self) -> int:  # type: ignore[override]
        files = {"create": settings.MAX_UPLOAD_BYTES, "archive": settings.MAX_REQUEST_BYTES}
        return files.get(self.action, 0) + SMALL_BODY

    def get_parsers(self) -> list[Any]:
        # Asked before the action is known, and by the schema's generator without any request.
        asked = getattr(self, "action", None)
        if asked is None and self.request is not None:
            asked = self.action_map.get((self.request.method or "").lower())
        if asked in ("create", "archive"):
            return [MultiPartParser()]
        return super().get_parsers()

    def get_queryset(self) -> QuerySet[Scan]:
        return scans_for(self.person).annotate(revealable=may_be_revealed(self.person, scan="pk"))

    def filter_queryset(self, queryset: QuerySet[Scan]) -> QuerySet[Scan]:
        self.first_rows = first_by_institution(self.person, queryset)
        return super().filter_queryset(Scan.objects.visible_to(self.person))

    def told(self, rows: Sequence[Any]) -> Sequence[Any]:
        """An opinion that is told here is revealed, see :mod:`.revealing`. A HEAD request is told nothing."""
        if self.request.method != "HEAD":
            told(self.person, rows, scan=lambda scan: scan.pk, says=_says)
        return visible(rows)

    @extend_schema(
        request={"multipart/form-data": Upload},
        responses={
            201: ScanSerializer,
            200: OpenApiResponse(ScanSerializer, description="The same content was here already."),
        },
    )
    def create(self, request: Request) -> Response:
        """Hand in one scan. The same content again in the same institution answers 200 with the scan that is here."""
        given = self.body(Upload)
        if len(request.FILES.getlist("file")) > 1:
            raise InvalidInput({"file": [_("Upload one file per request.")]})
        if given["file"].size > settings.MAX_UPLOAD_BYTES:
            raise TooLarge(_("A file can have at most %(limit)s bytes.") % {"limit": settings.MAX_UPLOAD_BYTES})
        submitted = pipeline.submit_scan(
            by=self.person,
            institution=institution_for(self.person, Permission.SUBMIT_SCAN, given.get("institution") or None),
            data=given["file"].read(),
            patient=given["patient"],
            accession=given.get("accession", ""),
            study_date=given.get("study_date"),
            priority=given.get("priority", Priority.ROUTINE),
            source=Scan.Source.API,
        )
        if isinstance(submitted, pipeline.KeptBeside):
            kept = KeptInstanceSerializer(submitted.kept).data
            return Response(kept, status=status.HTTP_201_CREATED if submitted.created else status.HTTP_200_OK)
        if given.get("series_complete"):
            pipeline.close_series(by=self.person, scans_of=[submitted.scan])
        if submitted.created:
            seen = just_stored(self.person, submitted.scan, submitted.prediction)
        else:
            (seen,) = self.told([self.get_queryset().get(pk=submitted.scan.pk)])
        shape = self.get_serializer(seen).data
        return Response(
            shape,
            status=status.HTTP_201_CREATED if submitted.created else status.HTTP_200_OK,
            headers={"Location": shape["links"]["self"]},
        )

    @extend_schema(request={"multipart/form-data": ArchiveUpload}, responses={200: ArchiveOutcomeSerializer})
    @action(detail=False, methods=["post"])
    def archive(self, request: Request) -> Response:
        """Upload the files of a ZIP. Each has an outcome; sent again, what is here already is `known`."""
        given = self.body(ArchiveUpload)
        filed = Filed(
            institution=institution_for(self.person, Permission.SUBMIT_SCAN, given.get("institution") or None),
            patient=given["patient"],
            accession=given.get("accession", ""),
            study_date=given.get("study_date"),
            priority=given.get("priority", Priority.ROUTINE),
            source=Scan.Source.API,
        )
        files = list(submit_archive(by=self.person, filed=filed, file=given["file"]))
        counts = counted(files)
        told = {"counts": counts, "complete": not counts["unavailable"], "files": files}
        return Response(ArchiveOutcomeSerializer(told).data)

    @extend_schema(request=None, responses={202: ScanSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, **kwargs: object) -> Response:
        """Analyse a scan again whose analysis failed; poll the scan."""
        self.body(Nothing)
        scan = self.get_object()
        pipeline.retry_prediction(by=self.person, scan=scan)
        (seen,) = visible([self.get_object()])
        return Response(self.get_serializer(seen).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True)
    def pixels(self, request: Request, **kwargs: object) -> HttpResponseBase:
        """The true pixel values without any metadata: a 48-byte header, then the pixels row by row (docs/api.md)."""
        scan = self.get_object()
        looked_at(by=self.person, scan_id=scan.pk)
        return file_answer(
            request,
            key=scan.pixels,
            name=f"{scan.pk}.ovrd",
            content_type="application/octet-stream",
            etag=f"{scan.sha256}-pixels",
        )

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    @action(detail=True)
    def preview(self, request: Request, **kwargs: object) -> HttpResponseBase:
        """A small picture made anew from the pixels."""
        scan = self.get_object()
        looked_at(by=self.person, scan_id=scan.pk)
        return file_answer(
            request,
            key=scan.preview,
            name=f"{scan.pk}.png",
            content_type="image/png",
            etag=f"{scan.sha256}-preview",
        )

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True)
    def original(self, request: Request, **kwargs: object) -> HttpResponseBase:
        """The untouched original as a download; of a stack that came in several files, all of them as a ZIP.

        It may carry the patient's name, so readers do not get it.
        """
        scan = self.get_object()
        if not may(self.person, Permission.SUBMIT_SCAN, scan.institution):
            raise NotAllowed(
                gettext_lazy(
                    "The original may contain the patient's name. It is open to people who upload scans. Use "
                    "the pixels."
                )
            )
        looked_at(by=self.person, scan_id=scan.pk, what="original")
        suffix, _kind = FORMATS.get(scan.format, ("bin", ""))
        keys = originals_of(scan)
        if len(keys) > 1:
            return several_files(keys, suffix=suffix, name=f"{scan.pk}.zip")
        return file_answer(
            request,
            key=keys[0],
            name=f"{scan.pk}.{suffix}",
            content_type="application/octet-stream",
            attachment=True,
        )

    @extend_schema(responses={200: ImageSerializer(many=True)})
    @action(detail=True, filter_backends=[], pagination_class=None)
    def images(self, request: Request, **kwargs: object) -> Response:
        """The images of the scan in the order of the stack, with their position and where their pixels are."""
        rows = self.get_object().images.order_by("index", "id")
        return Response(ImageSerializer(rows, many=True, context=self.get_serializer_context()).data)

    @extend_schema(
        parameters=[OpenApiParameter("index", int, OpenApiParameter.PATH)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(detail=True, url_path="images/<int:index>/pixels", url_name="image-pixels")
    def image_pixels(self, request: Request, index: int, **kwargs: object) -> HttpResponseBase:
        """The true pixel values of one image, as of `pixels`."""
        return self._image_file(request, index, "pixels", "application/octet-stream", "ovrd")

    @extend_schema(
        parameters=[OpenApiParameter("index", int, OpenApiParameter.PATH)],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    @action(detail=True, url_path="images/<int:index>/preview", url_name="image-preview")
    def image_preview(self, request: Request, index: int, **kwargs: object) -> HttpResponseBase:
        """A small picture of one image."""
        return self._image_file(request, index, "preview", "image/png", "png")

    def _image_file(self, request: Request, index: int, what: str, content_type: str, suffix: str) -> HttpResponseBase:
        scan = self.get_object()
        image = get_object_or_404(Image, scan=scan, index=index)
        looked_at(by=self.person, scan_id=scan.pk)
        return file_answer(
            request,
            key=getattr(image, what),
            name=f"{scan.pk}-{image.index}.{suffix}",
            content_type=content_type,
            etag=f"{image.sha256}-{image.frame}-{what}",
        )
