"""What concerns a person, as a row: written with its cause, looked at in the portal, and taken along by a mail."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.scans.models import Institution, Scan


class Kind(models.TextChoices):
    """What happened. The words are all that a mail says of it: no patient, no label, no opinion."""

    ASSIGNED = "assigned", _("A case was assigned to you")
    MENTIONED = "mentioned", _("You were mentioned in a comment")
    RETURNED = "returned", _("A case was returned to you")
    DISAGREEMENT = "disagreement", _("A case needs adjudication")
    SECOND_OPINION = "second_opinion", _("Second opinion requested")
    PREDICTION_FAILED = "prediction_failed", _("No AI result for a scan that you uploaded")


class MailState(models.TextChoices):
    """How far the mail is. From ``sending`` nothing goes back: nobody could tell whether it had left."""

    NONE = "none", _("Not wanted")
    WAITING = "waiting", _("Waiting")
    CLAIMED = "claimed", _("Started by a worker")
    SENDING = "sending", _("Being sent")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Abandoned")


class Notification(models.Model):
    """One thing that concerns one person. Whether they may still know of it is asked each time it is shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    institution = models.ForeignKey(Institution, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    scan = models.ForeignKey(Scan, on_delete=models.CASCADE, related_name="+")
    case = models.ForeignKey("diagnostics.Case", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    comment = models.ForeignKey(
        "diagnostics.Comment", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    in_portal = models.BooleanField(default=True, help_text=_("Wanted in the portal when it was written."))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    read_at = models.DateTimeField(null=True, blank=True)
    mail_state = models.CharField(max_length=8, choices=MailState, default=MailState.NONE)
    mail_due_at = models.DateTimeField(null=True, blank=True)
    mail_fence = models.UUIDField(null=True, blank=True, help_text=_("Token of the claim that may send it."))
    mail_lease_until = models.DateTimeField(null=True, blank=True)
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    mail_sent_at = models.DateTimeField(null=True, blank=True)
    mail_failure = models.TextField(blank=True, default="", help_text=_("Why no email was sent, as a sentence."))

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in Kind]), name="notification_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(kind="mentioned", comment__isnull=False) | ~Q(kind="mentioned") & Q(comment__isnull=True),
                name="mentions_have_a_comment",
            ),
            models.CheckConstraint(
                condition=Q(kind="prediction_failed", case__isnull=True)
                | ~Q(kind="prediction_failed") & Q(case__isnull=False),
                name="notification_is_about_a_case_or_an_analysis",
            ),
            models.UniqueConstraint(
                fields=["recipient", "kind", "scan"],
                condition=Q(read_at__isnull=True, comment__isnull=True),
                name="one_unread_notification_per_matter",
            ),
            models.UniqueConstraint(
                fields=["recipient", "comment"],
                condition=Q(comment__isnull=False),
                name="one_notification_per_mention",
            ),
            models.CheckConstraint(
                condition=Q(
                    mail_state__in=["claimed", "sending"], mail_fence__isnull=False, mail_lease_until__isnull=False
                )
                | ~Q(mail_state__in=["claimed", "sending"]) & Q(mail_lease_until__isnull=True),
                name="mail_at_work_has_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(mail_state="sent", mail_sent_at__isnull=False)
                | ~Q(mail_state="sent") & Q(mail_sent_at__isnull=True),
                name="mail_sent_means_when",
            ),
            models.CheckConstraint(
                condition=Q(mail_state="failed") & ~Q(mail_failure="") | ~Q(mail_state="failed") & Q(mail_failure=""),
                name="mail_failed_means_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(mail_state="waiting") | Q(mail_due_at__isnull=False), name="waiting_mail_has_a_time"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["recipient", "-created_at", "-id"], name="notification_newest"),
            models.Index(fields=["recipient"], condition=Q(read_at__isnull=True), name="notification_unread"),
            models.Index(fields=["recipient", "updated_at", "id"], name="notification_updated"),
            models.Index(
                fields=["mail_due_at"],
                condition=Q(mail_state__in=["waiting", "claimed", "sending"]),
                name="notification_mail",
            ),
        ]

    def __str__(self) -> str:
        return f"notification {str(self.id)[:8]}"


class NotificationChoices(models.Model):
    """What a person does not want to be told, and how. Without a row: everything, in both ways, as it comes."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="notification_choices"
    )
    not_in_portal = models.JSONField(default=list, help_text=_("Types hidden in the portal."))
    not_by_mail = models.JSONField(default=list, help_text=_("Types without email."))
    digest = models.BooleanField(default=False, help_text=_("One email a day instead of single ones."))
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = _("notification choices")

    def __str__(self) -> str:
        return f"choices of {self.user_id}"
