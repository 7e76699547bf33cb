"""Patients, studies and scans, to look at."""

from django.contrib import admin
from django.db.models import QuerySet

from diagnostics.actors import Actor
from diagnostics.models import Image, KeptInstance, Patient, QuarantinedFile, Scan, SealedOriginal, Series, Study
from diagnostics.scans.access import Permission, within

from .base import ReadOnlyModelAdmin, by_institution, by_words, fields_of


@admin.register(Patient)
class PatientAdmin(ReadOnlyModelAdmin):
    """Patients by their pseudonym."""

    sees = Permission.SEE_SCANS
    list_display = ("pseudonym", "institution", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.SEE_SCANS),)
    search_fields = ("pseudonym",)

    def visible(self, user: Actor) -> "QuerySet[Patient]":
        return Patient.objects.visible_to(user)


@admin.register(Study)
class StudyAdmin(ReadOnlyModelAdmin):
    """Visits."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "patient", "date", "created_at")
    list_select_related = ("patient",)
    fields = fields_of(Study, without=("uid",))
    list_filter = (by_institution("patient__institution", Permission.SEE_SCANS),)
    search_fields = ("accession", "patient__pseudonym")

    def visible(self, user: Actor) -> "QuerySet[Study]":
        return Study.objects.filter(patient__in=Patient.objects.visible_to(user))


@admin.register(Scan)
class ScanAdmin(ReadOnlyModelAdmin):
    """Scans with what is known of their files. The images themselves are on the portal's pages."""

    sees = Permission.SEE_SCANS
    list_display = (
        "__str__",
        "patient",
        "institution",
        "format",
        "width",
        "height",
        "source",
        "priority",
        "created_at",
    )
    list_select_related = ("patient", "institution")
    list_filter = (
        by_institution("institution", Permission.SEE_SCANS),
        "source",
        by_words("format", ("jpeg", "png", "dicom")),
        "priority",
        ("rejected_code", admin.EmptyFieldListFilter),
    )
    search_fields = ("=id", "=sha256", "patient__pseudonym", "study__accession")
    fields = fields_of(Scan, without=("fingerprint", "pixels", "preview", "original"))

    def visible(self, user: Actor) -> "QuerySet[Scan]":
        return Scan.objects.visible_to(user)


@admin.register(Series)
class SeriesAdmin(ReadOnlyModelAdmin):
    """Series, and whether their images are here."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "study", "institution", "modality", "sequence", "plane", "arrival", "created_at")
    list_select_related = ("study", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS), "arrival", "sequence", "plane")
    search_fields = ("=id", "=study__id")
    # UIDs lead to the patient in the hospital's own archive.
    fields = fields_of(Series, without=("uid", "frame_of_reference"))

    def visible(self, user: Actor) -> "QuerySet[Series]":
        return Series.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(Image)
class ImageAdmin(ReadOnlyModelAdmin):
    """The images of scans. The pixels themselves are on the portal's pages."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "scan", "institution", "index", "width", "height", "created_at")
    list_select_related = ("scan", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS),)
    search_fields = ("=scan__id", "=sha256")
    fields = fields_of(Image, without=("sop_uid", "pixels", "preview", "original"))

    def visible(self, user: Actor) -> "QuerySet[Image]":
        return Image.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(KeptInstance)
class KeptInstanceAdmin(ReadOnlyModelAdmin):
    """Objects of a study that are never analysed."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "kind", "study", "institution", "size_bytes", "created_at")
    list_select_related = ("study", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS), "kind")
    search_fields = ("=id", "=sha256")
    fields = fields_of(KeptInstance, without=("sop_uid", "original"))

    def visible(self, user: Actor) -> "QuerySet[KeptInstance]":
        return KeptInstance.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(SealedOriginal)
class SealedOriginalAdmin(ReadOnlyModelAdmin):
    """Originals of de-identified files. They are opened with ``manage.py open_original``, never here."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "institution", "size_bytes", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.ADMINISTER),)
    search_fields = ("=id", "=stored_sha256")
    fields = fields_of(SealedOriginal, without=("original",))

    def visible(self, user: Actor) -> "QuerySet[SealedOriginal]":
        return SealedOriginal.objects.filter(within(user, Permission.ADMINISTER))


@admin.register(QuarantinedFile)
class QuarantinedFileAdmin(ReadOnlyModelAdmin):
    """Files that contradict an instance which is here."""

    sees = Permission.SUBMIT_SCAN
    list_display = ("__str__", "institution", "uploaded_by", "size_bytes", "created_at")
    list_select_related = ("institution", "uploaded_by")
    list_filter = (by_institution("institution", Permission.SUBMIT_SCAN),)
    search_fields = ("=id", "=sha256")
    fields = fields_of(QuarantinedFile, without=("sop_uid", "original"))

    def visible(self, user: Actor) -> "QuerySet[QuarantinedFile]":
        return QuarantinedFile.objects.filter(within(user, Permission.SUBMIT_SCAN))
