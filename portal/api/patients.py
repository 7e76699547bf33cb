"""Patients and their studies, by pseudonym only."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from diagnostics.models import Patient, Study
from diagnostics.reviews.study_results import StudyResult, result_of
from diagnostics.reviews.worklist import first_by_institution
from diagnostics.scans.access import Permission, within

from .resource import BaseViewSet
from .strict import Changes, Name, Query


class PatientSerializer(serializers.Serializer[Patient]):
    """A person scanned, known here only by the institution's pseudonym."""

    id = serializers.UUIDField()
    pseudonym = serializers.CharField()
    institution = serializers.CharField(source="institution.code")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PatientListing(Changes):
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")
    pseudonym = Name(required=False, source="pseudonym_folded")


class PatientViewSet(BaseViewSet):
    """Patients of the institutions in which this person may see scans."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": PatientListing}
    serializer_class = PatientSerializer

    def get_queryset(self) -> QuerySet[Patient]:
        return Patient.objects.visible_to(self.person).select_related("institution")

    def filter_queryset(self, queryset: QuerySet[Patient]) -> QuerySet[Patient]:
        self.first_rows = first_by_institution(self.person, queryset)
        return super().filter_queryset(Patient.objects.visible_to(self.person))


class StudySerializer(serializers.Serializer[Study]):
    """One visit."""

    id = serializers.UUIDField()
    patient = serializers.CharField(source="patient.pseudonym")
    patient_id = serializers.UUIDField()
    institution = serializers.CharField(source="patient.institution.code")
    accession = serializers.CharField()
    study_date = serializers.DateField(source="date", allow_null=True)
    created_at = serializers.DateTimeField()


class StudyResultSerializer(serializers.Serializer[StudyResult]):
    """What the final reads of the series say together; `finding` is null until each of them is read."""

    series = serializers.IntegerField(help_text="Scans of the study that are read as cases.")
    read = serializers.IntegerField(help_text="Of these, how many have been read to the end.")
    finding = serializers.SerializerMethodField(help_text="`tumour`, `no_tumour`, `not_assessable`.")
    labels = serializers.ListField(child=serializers.CharField(), help_text="What the finding is, such as `glioma`.")
    scans = serializers.SerializerMethodField(help_text="The label of each scan.")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_finding(self, result: StudyResult) -> str | None:
        return result.finding or None

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_scans(self, result: StudyResult) -> dict[str, str]:
        return {str(scan): label for scan, label in result.by_scan}


class StudyDetailSerializer(StudySerializer):
    """One visit, with its result."""

    result = serializers.SerializerMethodField()

    @extend_schema_field(StudyResultSerializer)
    def get_result(self, study: Study) -> dict[str, Any]:
        return dict(StudyResultSerializer(result_of(study)).data)


class StudyListing(Changes):
    # A study never changes once it is made.
    updated_since = serializers.DateTimeField(
        required=False, source="created_at__gte", help_text="Only what was made at or after this time (ISO 8601)."
    )
    institution = Name(required=False, source="patient__institution__code_folded", help_text="Code.")
    patient = Name(required=False, source="patient__pseudonym_folded", help_text="Pseudonym.")
    patient_id = serializers.UUIDField(required=False, source="patient")
    accession = Name(required=False, source="accession_folded")


class StudyViewSet(BaseViewSet):
    """Studies of patients that this person may see."""

    listings: ClassVar[dict[str, type[Query]]] = {"list": StudyListing}
    ordered_by = "created_at"
    serializer_class = StudySerializer

    def get_serializer_class(self) -> type[StudySerializer]:
        return StudyDetailSerializer if self.action == "retrieve" else StudySerializer

    def get_queryset(self) -> QuerySet[Study]:
        return self._theirs().select_related("patient", "patient__institution")

    def filter_queryset(self, queryset: QuerySet[Study]) -> QuerySet[Study]:
        self.first_rows = first_by_institution(self.person, queryset)
        return super().filter_queryset(self._theirs())

    def _theirs(self) -> QuerySet[Study]:
        return Study.objects.filter(within(self.person, Permission.SEE_SCANS))
