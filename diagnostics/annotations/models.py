"""A reader's mark on the image of a case, revision by revision."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.cases.models import Case
from diagnostics.scans.series import Image


class Kind(models.TextChoices):
    """What is drawn. Ellipse and rectangle are given by two opposite corners of their box."""

    LENGTH = "length", _("Length")
    ANGLE = "angle", _("Angle")
    ELLIPSE = "ellipse", _("Ellipse")
    RECTANGLE = "rectangle", _("Rectangle")
    FREEHAND = "freehand", _("Freehand region")
    POINT = "point", _("Point")
    ARROW = "arrow", _("Arrow")


class Annotation(models.Model):
    """One revision of one mark. Never edited: a newer revision stands beside it, a removed mark ends in one that is
    ``withdrawn``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mark = models.UUIDField(help_text=_("The annotation that this revises."))
    revision = models.PositiveIntegerField(help_text=_("Counted from 1."))
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="annotations")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="annotations")
    image = models.ForeignKey(
        Image,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="annotations",
        help_text=_("The image of a stack that it is drawn on; empty where the scan has only one."),
    )
    kind = models.CharField(max_length=12, choices=Kind)
    points = models.JSONField(
        help_text=_("[[x, y], …] in image pixels from the outer corner of the first pixel; its middle is [0.5, 0.5].")
    )
    text = models.CharField(max_length=200, blank=True, default="")
    row_spacing = models.FloatField(
        null=True, blank=True, help_text=_("Millimetres from row to row; none where the file does not say.")
    )
    column_spacing = models.FloatField(null=True, blank=True, help_text=_("Millimetres from column to column."))
    pixel_aspect = models.FloatField(
        default=1.0, help_text=_("Height of a pixel by its width; what there is of its shape without millimetres.")
    )
    withdrawn = models.BooleanField(default=False, help_text=_("The author deleted the annotation."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["mark", "revision"], name="one_annotation_per_revision"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="annotation_counts_from_one"),
            models.CheckConstraint(condition=Q(kind__in=[kind.value for kind in Kind]), name="annotation_kind_known"),
            models.CheckConstraint(
                condition=Q(row_spacing__isnull=True, column_spacing__isnull=True)
                # In SQL "NULL > 0" is neither true nor false, and a check lets that pass.
                | Q(row_spacing__isnull=False, column_spacing__isnull=False, row_spacing__gt=0, column_spacing__gt=0),
                name="annotation_spacing_both_or_none",
            ),
            models.CheckConstraint(condition=Q(pixel_aspect__gt=0), name="annotation_pixel_aspect_positive"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["case", "author", "created_at"], name="annotation_of_case"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.mark)[:8]} revision {self.revision}"

    @property
    def index(self) -> int:
        """Of the image that it is drawn on, in the order of the stack."""
        return self.image.index or 0 if self.image is not None else 0

    @property
    def unit(self) -> str:
        """What lengths are measured in: ``mm``, or ``px`` where the file gives no spacing."""
        return "px" if self.row_spacing is None else "mm"
