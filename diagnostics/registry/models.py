"""Models of the CNN that exist, which one is in use, and who decided that."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ModelState(models.TextChoices):
    CANDIDATE = "candidate", _("Candidate")
    CHALLENGER = "challenger", _("Challenger")
    LIVE = "live", _("Live")
    PREVIOUS = "previous", _("Previous")
    RETIRED = "retired", _("Retired")


class ModelVersion(models.Model):
    """A trained model: weights addressed by hash in the artifact storage, its spec, and what was measured."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text=_("Counts up from 1 in order of registration."))
    name = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64, unique=True)
    architecture = models.CharField(max_length=40)
    state = models.CharField(max_length=12, choices=ModelState, default=ModelState.CANDIDATE)
    spec = models.JSONField(
        help_text=_("Input, labels, scaling, thresholds, calibration: as stored with the weights.")
    )
    report = models.JSONField(default=dict, help_text=_("Metrics with 95 % intervals, beside a dummy baseline."))
    card = models.TextField(blank=True, help_text=_("The model card, in Markdown."))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="live"), name="one_live_model"),
            models.UniqueConstraint(fields=["state"], condition=Q(state="previous"), name="one_previous_model"),
            models.UniqueConstraint(fields=["state"], condition=Q(state="challenger"), name="one_challenger_model"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ModelState]), name="model_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class Promotion(models.Model):
    """A decision to put a model version into use. Never edited; the next decision stands beside it."""

    class Kind(models.TextChoices):
        INSTALL = "install", _("Installed with the software")
        PROMOTE = "promote", _("Promoted")
        ROLLBACK = "rollback", _("Rolled back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    former = models.ForeignKey(ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="promotions"
    )
    reason = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(kind="install") | Q(by__isnull=False), name="promotion_has_a_person"),
            models.CheckConstraint(condition=~Q(reason=""), name="promotion_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version_id}"
