"""Addresses of other programs that are told of events, and what each was told."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.jobs.retried import JobState, RetriedRow
from diagnostics.scans.institution_models import Institution


class EventType(models.TextChoices):
    """What is told. Events of scans and cases say nothing of what the AI or a reader thinks."""

    SCAN_READY = "scan.ready", _("The AI has analysed a scan")
    PREDICTION_FAILED = "prediction.failed", _("The AI has no result for a scan")
    CASE_DONE = "case.done", _("A case is finished")
    CASE_DISAGREEMENT = "case.disagreement", _("Two readers disagree")
    DATASET_FROZEN = "dataset.frozen", _("A dataset version is frozen")
    RUN_ENDED = "run.ended", _("A training run has ended")
    MODEL_PROMOTED = "model.promoted", _("Another model is in use")
    ALERT_RAISED = "alert.raised", _("A limit is exceeded")
    TEST = "webhook.test", _("A test")


# What can be subscribed to; a test is sent to whoever asks for it.
CHOSEN = tuple(each for each in EventType if each != EventType.TEST)


class Webhook(models.Model):
    """An address that is told of an institution's events, each message signed with a secret that both sides know."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(_("address"), max_length=500)
    description = models.CharField(max_length=120, blank=True, default="")
    events = models.JSONField(default=list, help_text=_("Which events are sent."))
    with_patient = models.BooleanField(
        _("with patient data"),
        default=False,
        help_text=_("Events of scans and cases also carry pseudonym, accession number and study date."),
    )
    active = models.BooleanField(default=True)
    secret = models.BinaryField(editable=False, help_text=_("Encrypted."))
    former_secret = models.BinaryField(null=True, editable=False, help_text=_("Encrypted."))
    former_until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "url"], name="one_webhook_per_address"),
        ]

    def __str__(self) -> str:
        return self.description or f"webhook {str(self.id)[:8]}"


class WebhookDelivery(RetriedRow):
    """One event for one webhook: written with the event, sent by a worker, at least once.

    Those of one ``subject`` (a case, a run) are sent in the order of their ``id``.
    """

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="+")
    event_id = models.UUIDField(help_text=_("The same at each try, so that the receiver can tell a repetition."))
    event = models.CharField(max_length=20, choices=EventType)
    subject = models.CharField(max_length=60, help_text=_("What the event is about; its events are sent in order."))
    body = models.TextField(help_text=_("What is sent, as JSON."))
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("HTTP status of the last answer."))
    answer = models.TextField(blank=True, default="", help_text=_("Beginning of the last answer."))
    milliseconds = models.PositiveIntegerField(null=True, blank=True, help_text=_("Until the last answer."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["webhook", "event_id"], name="one_delivery_per_event"),
            models.CheckConstraint(
                condition=Q(state__in=[each.value for each in JobState]), name="webhook_delivery_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "running"]), name="webhook_due"),
            models.Index(
                fields=["webhook", "subject", "id"],
                condition=Q(state__in=["waiting", "running"]),
                name="webhook_delivery_order",
            ),
            models.Index(fields=["webhook", "id"], name="webhook_delivery_log"),
            models.Index(fields=["finished_at"], name="webhook_delivery_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.pk}"
