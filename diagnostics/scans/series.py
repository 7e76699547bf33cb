"""What a scanner makes in one go, and the images that a scan is made of."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .models import Arrival, Institution, Scan, Study

LONGEST_UID = 64  # PS3.5, section 9.1


class Sequence(models.TextChoices):
    """How the tissue was weighted, from the file's tags; never from what the model sees."""

    T1 = "T1", "T1"
    T1CE = "T1ce", _("T1 with contrast")
    T2 = "T2", "T2"
    FLAIR = "FLAIR", "FLAIR"
    DWI = "DWI", _("Diffusion")
    OTHER = "other", pgettext_lazy("sequence", "Other")


class Plane(models.TextChoices):
    """How the slices lie in the patient."""

    AXIAL = "axial", _("Axial")
    CORONAL = "coronal", _("Coronal")
    SAGITTAL = "sagittal", _("Sagittal")
    OBLIQUE = "oblique", _("Oblique")


class Series(models.Model):
    """Images of one study that belong together by their Series Instance UID: one stack, or several."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="series")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="series")
    uid = models.CharField(max_length=LONGEST_UID, help_text=_("Series Instance UID."))
    number = models.PositiveIntegerField(null=True, blank=True, help_text=_("Series Number, where the file has one."))
    modality = models.CharField(max_length=16, blank=True, default="")
    sequence = models.CharField(max_length=8, choices=Sequence, blank=True, default="")
    plane = models.CharField(max_length=8, choices=Plane, blank=True, default="")
    frame_of_reference = models.CharField(
        max_length=LONGEST_UID, blank=True, default="", help_text=_("Series that share it can be linked by position.")
    )
    arrival = models.CharField(max_length=10, choices=Arrival, default=Arrival.ARRIVING)
    close_at = models.DateTimeField(help_text=_("When its images are put in order, unless another one comes before."))
    closed_at = models.DateTimeField(null=True, blank=True, help_text=_("When its images were last put in order."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["number", "created_at", "id"]
        verbose_name_plural = _("series")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "uid"], name="one_series_per_uid"),
            models.CheckConstraint(condition=~Q(uid=""), name="series_has_a_uid"),
            models.CheckConstraint(
                condition=Q(arrival__in=[each.value for each in Arrival]), name="series_arrival_known"
            ),
            models.CheckConstraint(
                condition=Q(arrival=Arrival.ARRIVING) | Q(closed_at__isnull=False), name="closed_series_has_when"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["close_at"], condition=Q(arrival="arriving"), name="series_arriving"),
        ]

    def __str__(self) -> str:
        return f"series {self.number if self.number is not None else str(self.id)[:8]}"


class Image(models.Model):
    """One frame of a scan. Its pixels lie in the storage.

    ``index`` counts from 0 in the order of the stack, and is null until the images of the series were put in order.
    ``revision`` is the first revision of the scan that has this image.
    """

    id = models.BigAutoField(primary_key=True)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="images")
    index = models.PositiveIntegerField(null=True, blank=True)
    revision = models.PositiveSmallIntegerField(default=1)
    sop_uid = models.CharField(
        max_length=LONGEST_UID, blank=True, default="", help_text=_("SOP Instance UID; empty where the file has none.")
    )
    frame = models.PositiveIntegerField(default=0, help_text=_("Position in the file, from 0."))
    instance_number = models.IntegerField(null=True, blank=True)
    position = models.FloatField(null=True, blank=True, help_text=_("Millimetres along the normal of the slice."))
    facts = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("What the file says of the image: place and direction in the patient, echo, b-value."),
    )
    sha256 = models.CharField(max_length=64, help_text=_("Of the original bytes."))
    size_bytes = models.PositiveBigIntegerField(help_text=_("Of the whole file."))
    original = models.CharField(max_length=200, help_text=_("Storage key of the untouched original."))
    pixels = models.CharField(
        max_length=200, blank=True, default="", help_text=_("Storage key; empty until the frame was taken out.")
    )
    preview = models.CharField(max_length=200, blank=True, default="", help_text=_("Storage key of a small PNG."))
    width = models.PositiveIntegerField(help_text=_("Pixels."))
    height = models.PositiveIntegerField(help_text=_("Pixels."))
    bits = models.PositiveSmallIntegerField(help_text=_("Bits stored per pixel."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["scan", "index", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scan", "index"], name="one_image_per_index"),
            models.UniqueConstraint(
                fields=["institution", "sop_uid", "frame"], condition=~Q(sop_uid=""), name="one_image_per_instance"
            ),
            models.UniqueConstraint(fields=["institution", "sha256", "frame"], name="one_image_per_content"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Beside the constraint: SQLite uses no index with a condition for a value that it is only handed.
            models.Index(fields=["institution", "sop_uid", "frame"], name="image_by_instance"),
        ]

    def __str__(self) -> str:
        return f"image {self.index if self.index is not None else '?'} of {self.scan_id}"


class KeptKind(models.TextChoices):
    """What an instance is that belongs to a study and is never analysed."""

    DERIVED = "derived", _("Derived image")
    SECONDARY_CAPTURE = "secondary_capture", _("Secondary capture")
    REPORT = "structured_report", _("Structured report")
    PDF = "encapsulated_pdf", _("PDF document")
    PRESENTATION = "presentation_state", _("Presentation state")
    OTHER = "other", pgettext_lazy("instance", "Other object")


class KeptInstance(models.Model):
    """An instance that came with a study and is no image to read: a report, a document, a screenshot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="kept_instances")
    kind = models.CharField(max_length=20, choices=KeptKind)
    sop_uid = models.CharField(max_length=LONGEST_UID, help_text=_("SOP Instance UID."))
    sha256 = models.CharField(max_length=64, help_text=_("Of the original bytes."))
    size_bytes = models.PositiveBigIntegerField()
    original = models.CharField(max_length=200, help_text=_("Storage key of the untouched original."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "sop_uid"], name="one_kept_instance_per_uid"),
            models.CheckConstraint(condition=~Q(sop_uid=""), name="kept_instance_has_a_uid"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"


class QuarantinedFile(models.Model):
    """A file that names an instance which is here with other content. It waits for a person to decide."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="quarantined_files")
    sop_uid = models.CharField(max_length=LONGEST_UID, help_text=_("SOP Instance UID."))
    sha256 = models.CharField(max_length=64, help_text=_("Of the original bytes."))
    size_bytes = models.PositiveBigIntegerField()
    original = models.CharField(max_length=200, help_text=_("Storage key of the untouched original."))
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "sha256"], name="one_quarantined_file_per_content"),
        ]

    def __str__(self) -> str:
        return f"quarantined file {str(self.id)[:8]}"
