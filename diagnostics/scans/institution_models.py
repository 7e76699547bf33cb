"""Institutions, their policies, and who belongs to which of them."""

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .folding import FoldedField, folded
from .roles import Role


class ReadingMode(models.TextChoices):
    BLIND_FIRST = "blind_first", _("Blind read first, then the AI result")
    CONCURRENT = "concurrent", _("AI result from the start")
    AI_HIDDEN = "ai_hidden", _("The AI result stays hidden")


class SecondReader(models.TextChoices):
    """Which cases a second reader reads, blind to the first. A disagreement goes to an adjudicator."""

    NONE = "none", _("One reader reads each case")
    ALL = "all", _("Two readers read each case")
    SHARE = "share", _("A random share of the cases gets a second reader")
    DIFFERS = "differs", _("A second reader reads where the first reader and the AI differ")


class WorklistOrder(models.TextChoices):
    """In which order cases wait. What the AI thinks may play a part only where nobody reads blind to it."""

    OVERDUE = "overdue", _("STAT, then overdue, then oldest")
    PRIORITY = "priority", _("STAT, then urgent, then oldest")
    UNCERTAIN = "uncertain", _("STAT, then overdue, then AI uncertainty")


class Identity(models.TextChoices):
    """What is kept of who the patient is, of DICOM files."""

    AS_SENT = "as_sent", _("Files are kept as sent")
    DERIVED = "derived", _("Files are de-identified; patient IDs are derived")


SHORTEST_IDENTITY_KEY = 32
MOST_MINUTES = 60 * 24 * 365


class Institution(models.Model):
    """A hospital or research group. Nothing crosses its border."""

    code = models.SlugField(max_length=40, unique=True, help_text=_("Short name used in commands and the API."))
    code_folded = FoldedField(of="code", max_length=160, unique=True)
    name = models.CharField(max_length=120)
    reading_mode = models.CharField(max_length=12, choices=ReadingMode, default=ReadingMode.BLIND_FIRST)
    second_reader = models.CharField(
        max_length=8,
        choices=SecondReader,
        default=SecondReader.NONE,
        help_text=_("Double reading needs at least two radiologists, and an adjudicator for disagreements."),
    )
    second_share = models.PositiveSmallIntegerField(
        default=10,
        validators=[MaxValueValidator(100)],
        help_text=_("Percentage of cases that get a second reader, where a share is set."),
    )
    control_share = models.PositiveSmallIntegerField(
        _("control cases"),
        default=0,
        validators=[MaxValueValidator(50)],
        help_text=_(
            "Percentage of new cases that come with a control case. Its reader learns this only after the "
            "final read. It counts only in their own correct answers."
        ),
    )
    worklist_order = models.CharField(
        _("order of the worklist"),
        max_length=10,
        choices=WorklistOrder,
        default=WorklistOrder.OVERDUE,
        help_text=_("AI uncertainty can affect the order only where AI results are shown from the start."),
    )
    identity = models.CharField(
        _("patient identity"),
        max_length=8,
        choices=Identity,
        default=Identity.AS_SENT,
        help_text=_("For new DICOM files. De-identification needs OVERREAD_IDENTITY_KEY."),
    )
    due_stat = models.PositiveIntegerField(
        _("STAT due within"),
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_MINUTES)],
        help_text=_("Minutes after a case is opened. Cases that are already waiting keep their due time."),
    )
    due_urgent = models.PositiveIntegerField(
        _("urgent due within"),
        default=4 * 60,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_MINUTES)],
        help_text=_("Minutes."),
    )
    due_routine = models.PositiveIntegerField(
        _("routine due within"),
        default=48 * 60,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_MINUTES)],
        help_text=_("Minutes."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["code"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(second_reader__in=[policy.value for policy in SecondReader]), name="second_reader_known"
            ),
            models.CheckConstraint(condition=Q(second_share__lte=100), name="second_share_in_percent"),
            # Where the AI stays hidden, a second read because of it would tell the first reader what it thinks.
            models.CheckConstraint(
                condition=~Q(reading_mode="ai_hidden", second_reader="differs"),
                name="hidden_ai_picks_no_second_reader",
                violation_error_message=_("Where the AI result stays hidden, it cannot decide who is read twice."),
            ),
            models.CheckConstraint(condition=Q(identity__in=[each.value for each in Identity]), name="identity_known"),
            models.CheckConstraint(condition=Q(control_share__lte=50), name="control_share_in_percent"),
            # The order of the list would tell a blind reader how sure the AI is.
            models.CheckConstraint(
                condition=Q(worklist_order__in=["overdue", "priority"])
                | Q(worklist_order="uncertain", reading_mode="concurrent"),
                name="no_order_by_the_ai_while_blind",
                violation_error_message=_("AI results can affect the order only where they are shown from the start."),
            ),
            models.CheckConstraint(
                condition=Q(due_stat__gt=0, due_urgent__gt=0, due_routine__gt=0), name="due_after_some_time"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a code that differs from another's only in case, and what the installation has no key for."""
        super().clean()
        if Institution.objects.filter(code_folded=folded(self.code)).exclude(pk=self.pk).exists():
            raise ValidationError({"code": _("There is an institution with this code already.")})
        if self.identity != Identity.AS_SENT and len(settings.IDENTITY_KEY) < SHORTEST_IDENTITY_KEY:
            raise ValidationError(
                {"identity": _("De-identification needs OVERREAD_IDENTITY_KEY (32 characters or more).")}
            )


class Membership(models.Model):
    """A person's role in an institution. One person may have several roles in several institutions."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    institution = models.ForeignKey(Institution, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["institution", "user", "role"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "institution", "role"], name="one_membership_per_role"),
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} {self.institution_id}"


class ModelAdministrator(models.Model):
    """Somebody who may change which model serves all institutions, as far as their roles let them change it at all."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="model_administrator")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["user"]

    def __str__(self) -> str:
        return str(self.user)
