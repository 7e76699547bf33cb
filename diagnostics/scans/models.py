"""Where a scan belongs: patient, study, scan. Institutions and their people stand in ``institution_models``."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor

from .access import Permission, within
from .folding import FoldedField
from .institution_models import (
    Identity,
    Institution,
    Membership,
    ModelAdministrator,
    ReadingMode,
    SecondReader,
    WorklistOrder,
)
from .stack_sentences import sentences

__all__ = [
    "Analysis",
    "Identity",
    "Institution",
    "Membership",
    "ModelAdministrator",
    "Patient",
    "PatientQuerySet",
    "Priority",
    "ReadingMode",
    "Scan",
    "ScanQuerySet",
    "SecondReader",
    "Study",
    "WorklistOrder",
]


class PatientQuerySet(models.QuerySet["Patient"]):
    def visible_to(self, user: Actor) -> "PatientQuerySet":
        """Patients of the institutions in which ``user`` may see scans."""
        return self.filter(within(user, Permission.SEE_SCANS))


class Patient(models.Model):
    """A person scanned, known here only by the institution's pseudonym."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="patients")
    pseudonym = models.CharField(
        max_length=64,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
                "Use letters, digits, dot, hyphen and underscore only, and no name: a pseudonym such as P-0042.",
            )
        ],
    )
    pseudonym_folded = FoldedField(of="pseudonym", max_length=256)
    is_synthetic = models.BooleanField(
        default=False, editable=False, help_text=_("Belongs to a control case, so it names nobody.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["pseudonym"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "pseudonym_folded"], name="one_patient_per_pseudonym"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(Upper("pseudonym"), name="patient_begins"),
            models.Index(fields=["institution", "pseudonym", "id"], name="patient_by_name"),
            models.Index(fields=["institution", "updated_at", "id"], name="patient_updated_here"),
        ]

    def __str__(self) -> str:
        return self.pseudonym


class Study(models.Model):
    """One visit: a Study Instance UID, or where no file says one, an accession number, a date, or neither."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="studies", editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    accession = models.CharField(max_length=64, blank=True, default="")
    # Wider: some letters fold to several.
    accession_folded = FoldedField(of="accession", max_length=256, blank=True, default="")
    date = models.DateField(null=True, blank=True)
    uid = models.CharField(
        max_length=64, blank=True, default="", help_text=_("Study Instance UID; empty where no file names one.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-date", "-created_at"]
        verbose_name_plural = _("studies")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "uid"], condition=~Q(uid=""), name="one_study_per_uid"),
            models.UniqueConstraint(
                fields=["patient", "accession_folded"],
                condition=Q(uid="") & ~Q(accession=""),
                name="one_study_per_accession",
            ),
            models.UniqueConstraint(
                fields=["patient", "date"],
                condition=Q(uid="", accession="", date__isnull=False),
                name="one_study_per_date_without_accession",
            ),
            models.UniqueConstraint(
                fields=["patient"],
                condition=Q(uid="", accession="", date__isnull=True),
                name="one_study_without_date_or_accession",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at", "id"], name="study_made"),
            models.Index(fields=["institution", "created_at", "id"], name="study_made_here"),
            models.Index(Upper("accession"), name="study_begins"),
            # Beside the constraint: SQLite uses no index with a condition for a value that it is only handed.
            models.Index(fields=["institution", "uid"], name="study_by_uid"),
        ]

    def __str__(self) -> str:
        return self.accession or str(self.date or "undated")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A study lies where its patient lies."""
        if self.institution_id is None:
            self.institution_id = self.patient.institution_id
        super().save(*args, **kwargs)


class Priority(models.IntegerChoices):
    """Smaller is sooner, so that the worklist's order is an index's order."""

    STAT = 0, _("STAT")
    URGENT = 1, _("Urgent")
    ROUTINE = 2, _("Routine")


class Arrival(models.TextChoices):
    """Whether all images of a series are here."""

    ARRIVING = "arriving", _("Images are still arriving")
    COMPLETE = "complete", _("Complete")
    INCOMPLETE = "incomplete", _("Images are missing")


class Analysis(models.TextChoices):
    """How far the AI's work on a scan is. What came of it is no part of it: readers see this while blind."""

    ARRIVING = "arriving", _("Arriving")
    QUEUED = "queued", _("Queued")
    ANALYSING = "analysing", _("Analysing")
    READY = "ready", _("Ready")
    FAILED = "failed", _("No AI result")
    REJECTED = "rejected", _("Rejected")
    NONE = "not_analysed", _("Not analysed")


class ScanQuerySet(models.QuerySet["Scan"]):
    def visible_to(self, user: Actor) -> "ScanQuerySet":
        """Scans of the institutions in which ``user`` may see scans; for anybody else they do not exist."""
        return self.filter(within(user, Permission.SEE_SCANS))

    def readable(self) -> "ScanQuerySet":
        """Scans that the quality gate did not reject."""
        return self.filter(rejected_code="")


class Scan(models.Model):
    """A stack of one or more images: the unit that is predicted and read.

    Facts of a single file (``sha256``, ``width``, ``original``, ``pixels`` …) are those of the image that stands for
    the stack: its only one, or the middle one. The original bytes are kept untouched.
    """

    class Source(models.TextChoices):
        PORTAL = "portal", _("Uploaded in the portal")
        API = "api", _("Uploaded by the API")
        IMPORT = "import", _("Imported from a folder")
        DIMSE = "dimse", _("Sent by DICOM")
        DEMO = "demo", _("Synthetic phantom")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="scans")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="scans")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="scans")
    series = models.ForeignKey(
        "Series", null=True, blank=True, on_delete=models.PROTECT, related_name="scans", help_text=_("Of DICOM files.")
    )
    arrival = models.CharField(max_length=10, choices=Arrival, default=Arrival.COMPLETE, editable=False)
    revision = models.PositiveSmallIntegerField(
        default=1, editable=False, help_text=_("Grows where images come after the stack was closed.")
    )
    image_count = models.PositiveIntegerField(default=1, editable=False, help_text=_("Images in the stack."))
    not_analysed = models.CharField(
        max_length=20, blank=True, default="", editable=False, help_text=_("Why no model is asked about it.")
    )
    # What the images of a stack share; null in a picture file, which has no place in a patient.
    geometry = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("Orientation, spacing in millimetres, and what sets the stack apart from others of its series."),
    )
    problems = models.JSONField(
        default=list, blank=True, editable=False, help_text=_("What was found when the images were put in order.")
    )
    sha256 = models.CharField(max_length=64, help_text=_("Of the original bytes."))
    size_bytes = models.PositiveBigIntegerField()
    format = models.CharField(max_length=8, help_text=_("jpeg, png or dicom, by content."))
    width = models.PositiveIntegerField(help_text=_("Pixels."))
    height = models.PositiveIntegerField(help_text=_("Pixels."))
    bits = models.PositiveSmallIntegerField(help_text=_("Bits stored per pixel."))
    frames = models.PositiveIntegerField(default=1, help_text=_("Frames in the file."))
    original = models.CharField(max_length=200, help_text=_("Storage key of the untouched original."))
    pixels = models.CharField(max_length=200, help_text=_("Storage key of the true pixels without metadata."))
    preview = models.CharField(max_length=200, help_text=_("Storage key of a small PNG without metadata."))
    fingerprint = models.BinaryField(help_text=_("Thumbnail of the brain, to find near-duplicates."))
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    source = models.CharField(max_length=8, choices=Source)
    reference_label = models.CharField(
        max_length=16, blank=True, default="", help_text=_("Label that came with an imported folder.")
    )
    analysis = models.CharField(
        max_length=12,
        choices=Analysis,
        null=True,
        default=None,
        editable=False,
        help_text=_("Progress of the AI analysis. Empty where no model was live when the scan arrived."),
    )
    rejected_code = models.CharField(max_length=32, blank=True, default="")
    rejected_reason = models.TextField(blank=True, default="", help_text=_("Why it cannot be read, as a sentence."))
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ScanQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(rejected_code="", rejected_reason="") | (~Q(rejected_code="") & ~Q(rejected_reason="")),
                name="rejection_has_a_reason",
            ),
            models.CheckConstraint(condition=Q(frames__gte=1), name="scan_is_a_frame"),
            models.CheckConstraint(condition=Q(image_count__gte=1, revision__gte=1), name="scan_has_an_image"),
            models.CheckConstraint(
                condition=Q(arrival__in=[each.value for each in Arrival]), name="scan_arrival_known"
            ),
            models.CheckConstraint(
                condition=Q(analysis__isnull=True) | Q(analysis__in=[each.value for each in Analysis]),
                name="scan_analysis_known",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["institution", "-created_at", "-id"], name="scan_newest"),
            models.Index(fields=["institution", "sha256"], name="scan_by_content"),
            models.Index(fields=["updated_at", "id"], name="scan_updated"),
            models.Index(fields=["institution", "updated_at", "id"], name="scan_updated_here"),
            models.Index(fields=["institution", "analysis", "-created_at", "-id"], name="scan_newest_by_analysis"),
            models.Index(fields=["created_at"], condition=Q(analysis__isnull=True), name="scan_without_a_model"),
        ]

    def __str__(self) -> str:
        return f"scan {str(self.id)[:8]}"

    @property
    def note(self) -> str:
        """What everybody who meets the scan must know of it, as a sentence; mostly nothing."""
        if self.problems:
            return " ".join(sentences(self.problems))
        if self.frames == 1 or self.image_count > 1:
            return ""
        return gettext("Frame 1 of %(frames)d. The other frames were not read and may show something else.") % {
            "frames": self.frames
        }
