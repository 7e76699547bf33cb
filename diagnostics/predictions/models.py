"""One model version's opinion of one scan, and how far the work on it has come."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.jobs.models import LeasedRow
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.access import Permission, within
from diagnostics.scans.models import Scan


class PredictionState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Analysing")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


class PredictionQuerySet(models.QuerySet["Prediction"]):
    def visible_to(self, user: Actor) -> "PredictionQuerySet":
        """Predictions of scans that ``user`` may see. Whether the opinion itself may be shown is another question:
        ``reviews.queries`` answers it."""
        return self.filter(within(user, Permission.SEE_SCANS, "scan__institution"))

    def with_model(self) -> "PredictionQuerySet":
        """With the model version by name, number and hash; its report and card are kilobytes that no list shows."""
        bulky = [f"model_version__{name}" for name in ("spec", "report", "card")]
        return self.select_related("model_version").defer(*bulky)


class Prediction(LeasedRow):
    """The row is the truth about the work: state, lease and fencing token decide who may finish it.

    ``probabilities`` maps each label of the model to a calibrated probability; they add up to 1.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="predictions")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="predictions")
    state = models.CharField(max_length=8, choices=PredictionState, default=PredictionState.QUEUED)
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)
    failure_code = models.CharField(max_length=32, blank=True, default="")
    failure = models.TextField(blank=True, default="", help_text=_("Why there is no result, as a sentence."))
    label = models.CharField(max_length=16, blank=True, default="")
    finding = models.CharField(max_length=16, blank=True, default="", help_text=_("tumour or no_tumour."))
    probabilities = models.JSONField(null=True, blank=True)
    tumour_probability = models.FloatField(null=True, blank=True)
    scan_revision = models.PositiveSmallIntegerField(
        default=1, help_text=_("The revision of the scan whose images were analysed.")
    )
    profile = models.JSONField(
        null=True,
        blank=True,
        help_text=_("Of a stack: probability of a tumour for each image in order; null where an image has none."),
    )
    peak = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of a stack: index of the image that the heat map belongs to.")
    )
    warnings = models.JSONField(default=list, blank=True)
    heatmap = models.CharField(max_length=200, blank=True, default="", help_text=_("Storage key."))
    weights_sha256 = models.CharField(
        max_length=64, blank=True, default="", help_text=_("Of the weights really used.")
    )
    preprocess_version = models.CharField(max_length=20, blank=True, default="")
    code_revision = models.CharField(max_length=64, blank=True, default="")

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["scan", "model_version", "scan_revision"], name="one_prediction_per_model"
            ),
            models.CheckConstraint(
                condition=Q(state="ready", probabilities__isnull=False, tumour_probability__isnull=False)
                & Q(finished_at__isnull=False)
                & ~Q(label="")
                & ~Q(finding="")
                | ~Q(state="ready") & Q(probabilities__isnull=True, tumour_probability__isnull=True, label=""),
                name="ready_means_a_result",
            ),
            models.CheckConstraint(
                condition=(Q(state="failed") & ~Q(failure="")) | (~Q(state="failed") & Q(failure="")),
                name="failed_means_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(state="running", fence__isnull=False, lease_until__isnull=False)
                | ~Q(state="running") & Q(lease_until__isnull=True),
                name="running_means_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(tumour_probability__isnull=True)
                | Q(tumour_probability__gte=0.0, tumour_probability__lte=1.0),
                name="tumour_probability_in_range",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # One each, as no index over "queued or running" answers what is asked of either.
            models.Index(fields=["attempts", "queued_at"], condition=Q(state="queued"), name="prediction_queued"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="prediction_running"),
            models.Index(fields=["updated_at", "id"], name="prediction_updated"),
            models.Index(fields=["model_version", "finished_at"], name="prediction_of_version"),
        ]

    def __str__(self) -> str:
        return f"prediction {str(self.id)[:8]}"
