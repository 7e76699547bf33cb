"""Patients, studies and scans, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet

from diagnostics.actors import Actor
from diagnostics.models import Patient, Scan, Study
from diagnostics.scans.access import Permission

from .base import ReadOnlyModelAdmin, by_institution, by_words, fields_of


@admin.register(Patient)
class PatientAdmin(ReadOnlyModelAdmin):
    """Patients by their pseudonym."""

    sees = Permission.SEE_SCANS
    list_display = ("pseudonym", "institution", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.SEE_SCANS),)
    search_fields = ("pseudonym",)

    def visible(self, user: Actor) -> "QuerySet[Any]":
        return Patient.objects.visible_to(user)


@admin.register(Study)
class StudyAdmin(ReadOnlyModelAdmin):
    """Visits."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "patient", "date", "created_at")
    list_select_related = ("patient",)
    list_filter = (by_institution("patient__institution", Permission.SEE_SCANS),)
    search_fields = ("accession", "patient__pseudonym")

    def visible(self, user: Actor) -> "QuerySet[Any]":
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

    def visible(self, user: Actor) -> "QuerySet[Any]":
        return Scan.objects.visible_to(user)
