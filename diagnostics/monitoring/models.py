"""What is watched in the model in use: the limits, and the alerts that were raised where one was passed."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Institution


class Watched(models.TextChoices):
    """What has a limit. Each is judged by the near end of its 95 % interval, so that chance raises no alert."""

    OVERRIDES = "overrides", _("Reads that override the AI")
    DISAGREED = "disagreed", _("Blind reads that disagree with the AI")
    WRONG_FLIPS = "wrong_flips", _("Correct blind reads that became wrong after the AI result")
    UNLIKE = "unlike", _("Scans unlike the training data")
    OUT_OF_SCOPE = "out_of_scope", _("Scans that readers call out of scope")
    FAILED = "failed", _("Failed analyses")
    SLOW = "slow", _("Analyses over two minutes")
    DRIFT = "drift", _("Shift of probabilities (population stability index)")


DEFAULT_LIMITS: dict[str, float] = {
    Watched.OVERRIDES: 0.2,
    Watched.DISAGREED: 0.25,
    Watched.WRONG_FLIPS: 0.1,
    Watched.UNLIKE: 0.15,
    Watched.OUT_OF_SCOPE: 0.1,
    Watched.FAILED: 0.02,
    Watched.SLOW: 0.1,
    Watched.DRIFT: 0.25,
}


class AlertRule(models.Model):
    """A limit that somebody has set; what has no row has its default (``DEFAULT_LIMITS``)."""

    watched = models.CharField(max_length=16, choices=Watched, unique=True)
    limit = models.FloatField(help_text=_("A share from 0 to 1; an index can be any number."))
    on = models.BooleanField(default=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Responsible person."),
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["watched"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(limit__gt=0), name="limit_above_nothing"),
        ]

    def __str__(self) -> str:
        return str(self.get_watched_display())


class AlertQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Actor) -> "AlertQuerySet":
        """Alerts of the institutions in which ``user`` may see models."""
        return self.filter(institution__in=institutions_where(user, Permission.SEE_MODELS))

    def open(self) -> "AlertQuerySet":
        return self.filter(closed_at__isnull=True)


class Alert(models.Model):
    """A limit that was passed, in one institution, by one model version. It closes by itself when that is over."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    watched = models.CharField(max_length=16, choices=Watched)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="alerts")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="alerts")
    value = models.FloatField(help_text=_("When it was last looked at."))
    limit = models.FloatField()
    n = models.PositiveIntegerField(help_text=_("Of how many."))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    opened_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True, default="", help_text=_("What was found, and what is being done."))
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-opened_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["watched", "institution", "model_version"],
                condition=Q(closed_at__isnull=True),
                name="one_open_alert_of_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | (Q(acknowledged_at__isnull=False, acknowledged_by__isnull=False) & ~Q(note="")),
                name="acknowledged_by_somebody_with_a_note",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["institution", "-opened_at"], name="alert_newest"),
        ]

    def __str__(self) -> str:
        return f"alert {str(self.id)[:8]}"
