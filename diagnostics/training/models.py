"""A training run: what was asked, how far it has come, what it produced."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.datasets.models import DatasetVersion
from diagnostics.jobs.models import LeasedRow
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Institution
from diagnostics.scans.stored_messages import in_words


class TrainingState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


ACTIVE = (TrainingState.QUEUED, TrainingState.RUNNING)


class TrainingRunQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Actor) -> "TrainingRunQuerySet":
        """Runs on dataset versions that ``user`` may see."""
        return self.filter(dataset__in=DatasetVersion.objects.visible_to(user))


class TrainingRun(LeasedRow):
    """One run. The row is the truth about the work: state, lease and fencing token, as for a prediction."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text=_("Counts up from 1."))
    dataset = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="training_runs")
    config = models.JSONField(help_text=_("Architecture, epochs, seed and other settings."))
    state = models.CharField(max_length=10, choices=TrainingState, default=TrainingState.QUEUED)
    active = models.BooleanField(
        null=True,
        default=True,
        help_text=_("True while queued or running, else empty; unique, so one at a time."),
    )
    progress = models.FloatField(default=0.0, help_text=_("0 to 1."))
    seconds_left = models.PositiveIntegerField(null=True, blank=True)
    epochs = models.JSONField(default=list, help_text=_("One object an epoch: loss, validation loss, AUROC."))
    log = models.TextField(blank=True, default="")
    failure = models.TextField(blank=True, default="", help_text=_("Why it ended without a model, as a sentence."))
    produced = models.OneToOneField(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="training_run"
    )
    code_revision = models.CharField(max_length=64, blank=True, default="")
    environment = models.JSONField(default=dict, blank=True, help_text=_("Packages, code version and threads used."))
    repeats = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="repetitions",
        help_text=_("The run that was repeated."),
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["active"], name="one_training_at_a_time"),
            models.CheckConstraint(
                # Without "is not null" the first half would be unknown for an empty value, and unknown passes a check.
                condition=Q(active__isnull=False, active=True, state__in=["queued", "running"])
                | Q(active__isnull=True, state__in=["succeeded", "failed", "cancelled"]),
                name="active_follows_state",
            ),
            models.CheckConstraint(
                condition=Q(state="succeeded", produced__isnull=False)
                | (~Q(state="succeeded") & Q(produced__isnull=True)),
                name="succeeded_means_a_model",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(failure=""), name="failed_training_has_a_reason"),
            models.CheckConstraint(condition=Q(progress__gte=0.0, progress__lte=1.0), name="progress_in_range"),
        ]

    def __str__(self) -> str:
        return gettext("training run %(n)d") % {"n": self.number}

    @property
    def failure_in_words(self) -> str:
        """Why it failed, in the reader's language: the worker wrote it down in English."""
        return in_words(self.failure)

    @property
    def seconds_taken(self) -> float | None:
        """From its beginning to its end; None while it has not both."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class Retraining(models.Model):
    """Whether the installation freezes and trains by itself when enough new labels wait. One row; off by default."""

    only = models.BooleanField(default=True, unique=True, editable=False)
    enabled = models.BooleanField(_("on"), default=False)
    new_labels = models.PositiveIntegerField(
        _("new labels"),
        default=200,
        help_text=_("Number of new labels needed since the newest dataset of the lineage."),
    )
    lineage = models.CharField(_("lineage"), max_length=40, default="main")
    institutions = models.ManyToManyField(Institution, blank=True, related_name="+", verbose_name=_("institutions"))
    recipe = models.JSONField(default=dict, blank=True)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    considered_at = models.DateTimeField(null=True, blank=True)
    last_word = models.CharField(
        max_length=400, blank=True, default="", help_text=_("Why it has not started, or what is missing.")
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("automatic retraining")
        verbose_name_plural = _("automatic retraining")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(only=True), name="one_retraining_policy"),
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(set_by__isnull=False), name="somebody_switched_it_on"
            ),
            models.CheckConstraint(condition=Q(new_labels__gte=1), name="retraining_waits_for_labels"),
        ]

    def __str__(self) -> str:
        return gettext("automatic retraining")
