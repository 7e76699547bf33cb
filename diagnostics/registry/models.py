"""Models of the CNN that exist, which one is in use, and who decided that."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
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
    report = models.JSONField(default=dict, help_text=_("Metrics with 95 % intervals and a baseline."))
    card = models.TextField(blank=True, help_text=_("The model card, in Markdown."))
    created_at = models.DateTimeField(auto_now_add=True)
    challenged_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("Since when it has been the challenger; empty otherwise."),
    )
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
            models.CheckConstraint(
                condition=Q(state="challenger", challenged_at__isnull=False)
                | (~Q(state="challenger") & Q(challenged_at__isnull=True)),
                name="challenger_since_when",
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
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("The second administrator; empty if none was needed."),
    )
    gate = models.CharField(
        max_length=10, blank=True, default="", help_text=_("The gate's verdict then; empty before the gate existed.")
    )
    gate_result = models.ForeignKey(
        "diagnostics.GateResult", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    exception = models.TextField(
        blank=True, default="", help_text=_("Why it was promoted although the gate did not pass it.")
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(kind="install") | Q(by__isnull=False), name="promotion_has_a_person"),
            models.CheckConstraint(condition=~Q(reason=""), name="promotion_has_a_reason"),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("by")), name="promotion_approved_by_another"
            ),
            models.CheckConstraint(
                condition=Q(gate__in=["", "pass"]) | ~Q(exception=""), name="not_passed_means_an_exception"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version_id}"


class RegistryIsAppendOnly(RuntimeError):
    """Somebody tried to change or delete rules or a verdict; a newer one stands beside the old."""


class _Unchanging(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only."""
        if not self._state.adding:
            raise RegistryIsAppendOnly(f"{self._meta.verbose_name} is never edited.")
        super().save(*args, **kwargs)

    def delete(self, *args: object, **kwargs: object) -> tuple[int, dict[str, int]]:
        raise RegistryIsAppendOnly(f"{self._meta.verbose_name} is never deleted.")


class GateRules(_Unchanging):
    """What a candidate must show before it may go into use, declared before it is measured. The newest row holds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text=_("Counts up from 1."))
    rules = models.JSONField(help_text=_("Margins and limits, by name."))
    reason = models.TextField(help_text=_("Reason."))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        verbose_name = "gate rules"
        verbose_name_plural = "gate rules"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=~Q(reason=""), name="gate_rules_have_a_reason"),
            models.CheckConstraint(condition=Q(number=1) | Q(by__isnull=False), name="gate_rules_have_a_person"),
        ]

    def __str__(self) -> str:
        return gettext("gate rules %(n)d") % {"n": self.number}


class GateVerdict(models.TextChoices):
    PASS = "pass", _("Passed")
    FAIL = "fail", _("Failed")
    TOO_FEW = "too_few", _("Too few to say")


class GateResult(_Unchanging):
    """What the rules said of a candidate beside the model then in use, on a frozen test part. Never edited."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="gate_results")
    live = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("The live model that it was compared with; empty if there was none."),
    )
    rules = models.ForeignKey(GateRules, on_delete=models.PROTECT, related_name="results")
    verdict = models.CharField(max_length=8, choices=GateVerdict)
    findings = models.JSONField(help_text=_("Each rule with its verdict and figures."))
    test_sha256 = models.CharField(max_length=64, help_text=_("Of the test set: hash and label of each scan."))
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        verbose_name = "gate result"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(verdict__in=[verdict.value for verdict in GateVerdict]), name="gate_verdict_known"
            ),
            # A first model has nothing to be compared with, so no rule of loss can have been met.
            models.CheckConstraint(
                condition=~Q(verdict="pass") | Q(live__isnull=False), name="gate_passed_against_a_model"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()} ({self.rules_id})"


class RequestState(models.TextChoices):
    PENDING = "pending", _("Awaiting approval")
    APPROVED = "approved", _("Approved")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


class PromotionRequest(models.Model):
    """A wish to put a model into use, which somebody else approves or not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="requests")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    words = models.TextField(blank=True, default="", help_text=_("Reason for declining, or the written exception."))
    promotion = models.OneToOneField(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="request"
    )
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        verbose_name = "promotion request"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(state="pending"), name="one_pending_request_per_model"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="request_has_a_reason"),
            models.CheckConstraint(
                condition=Q(state="pending", decided_at__isnull=True)
                | (Q(state__in=["approved", "declined", "withdrawn", "expired"]) & Q(decided_at__isnull=False)),
                name="request_decided_when",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "expired"], decided_by__isnull=True)
                | (Q(state__in=["approved", "declined", "withdrawn"]) & Q(decided_by__isnull=False)),
                name="request_decided_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(state="approved", promotion__isnull=False)
                | (~Q(state="approved") & Q(promotion__isnull=True)),
                name="approved_means_promoted",
            ),
            # The very point of it: nobody approves their own.
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("proposed_by")), name="approved_by_somebody_else"
            ),
            models.CheckConstraint(
                condition=~Q(state="withdrawn") | Q(decided_by=F("proposed_by")), name="withdrawn_by_its_author"
            ),
            models.CheckConstraint(condition=~Q(state="declined") | ~Q(words=""), name="declined_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.version_id}"


class ModelAlarm(models.Model):
    """A model whose files are damaged, found by a worker that was to load it; open until they load again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="alarms")
    stand_in = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("The earlier version that stands in; empty if none."),
    )
    raised_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-raised_at"]
        verbose_name = "model alarm"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(ended_at__isnull=True), name="one_open_alarm_per_model"
            ),
            models.CheckConstraint(condition=~Q(stand_in=F("version")), name="stand_in_is_another_model"),
        ]

    def __str__(self) -> str:
        return f"alarm {self.version_id}"
