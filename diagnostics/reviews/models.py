"""A scan as work for a reader: the case, who holds it, and what was stated about it."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from diagnostics.predictions.models import Prediction
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Institution, Priority, ReadingMode, Scan


class Label(models.TextChoices):
    """What a reader may state. ``tumour`` without a type is a full answer."""

    NO_TUMOUR = "no_tumour", "No tumour"
    GLIOMA = "glioma", "Glioma"
    MENINGIOMA = "meningioma", "Meningioma"
    PITUITARY = "pituitary", "Pituitary tumour"
    TUMOUR = "tumour", "Tumour, type not stated"
    NOT_ASSESSABLE = "not_assessable", "Not assessable"
    OUT_OF_SCOPE = "out_of_scope", "Out of scope"


class Certainty(models.TextChoices):
    CERTAIN = "certain", "Certain"
    PROBABLE = "probable", "Probable"
    UNSURE = "unsure", "Unsure"


class Reason(models.TextChoices):
    """Why a final read differs from the AI's opinion."""

    MISSED_LESION = "missed_lesion", "The AI missed a lesion"
    FALSE_POSITIVE = "false_positive", "The AI saw a lesion where there is none"
    WRONG_TYPE = "wrong_type", "The AI named the wrong type"
    ARTEFACT = "artefact", "An artefact misled the AI"
    WRONG_SEQUENCE = "wrong_sequence", "Wrong sequence or plane"
    OUT_OF_SCOPE = "out_of_scope", "Out of scope"
    CLINICAL_CONTEXT = "clinical_context", "Clinical context says otherwise"
    OTHER = "other", "Other (say what in the comment)"


class CaseState(models.TextChoices):
    OPEN = "open", "Waiting for a read"
    DONE = "done", "Read"


class CaseQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "CaseQuerySet":
        """Cases of the institutions in which ``user`` may see scans."""
        return self.filter(institution__in=institutions_where(user, Permission.SEE_SCANS))


class Case(models.Model):
    """A scan as work. ``institution``, ``priority`` and ``opened_at`` repeat the scan's so that the worklist's order
    is one index (the scan's never change)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="cases")
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="cases")
    priority = models.PositiveSmallIntegerField(choices=Priority)
    state = models.CharField(max_length=8, choices=CaseState, default=CaseState.OPEN)
    opened_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["priority", "opened_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scan"], condition=Q(state="open"), name="one_open_case_per_scan"),
            models.CheckConstraint(
                condition=Q(state="done", done_at__isnull=False) | Q(state="open", done_at__isnull=True),
                name="done_means_when",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["institution", "priority", "opened_at", "id"],
                condition=Q(state="open"),
                name="case_worklist",
            ),
            models.Index(fields=["institution", "-done_at", "-id"], condition=Q(state="done"), name="case_done"),
            models.Index(fields=["updated_at", "id"], name="case_updated"),
        ]

    def __str__(self) -> str:
        return f"case {str(self.id)[:8]}"


class Stage(models.TextChoices):
    """Which seat at the case a claim takes. Second reads and adjudication take theirs later."""

    FIRST = "first", "First read"


class Claim(models.Model):
    """A lease on a case. ``token`` must come with every read, so that a late or foreign one is noticed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="claims")
    stage = models.CharField(max_length=12, choices=Stage, default=Stage.FIRST)
    holder = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="claims")
    token = models.UUIDField(unique=True, default=uuid.uuid4)
    claimed_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    release = models.CharField(
        max_length=12,
        blank=True,
        default="",
        choices=[
            ("done", "Read"),
            ("given_back", "Given back"),
            ("expired", "Expired"),
            ("taken_over", "Taken over"),
        ],
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-claimed_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["case", "stage"],
                condition=Q(released_at__isnull=True),
                name="one_live_claim_per_stage",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, release="") | (Q(released_at__isnull=False) & ~Q(release="")),
                name="release_has_how_and_when",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["holder"], condition=Q(released_at__isnull=True), name="claim_mine"),
        ]

    def __str__(self) -> str:
        return f"claim {str(self.id)[:8]}"


class ReadKind(models.TextChoices):
    BLIND = "blind", "Blind read"
    FINAL = "final", "Final read"


class Read(models.Model):
    """One reader's statement. Never edited: a newer revision stands beside it and supersedes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reads")
    claim = models.ForeignKey(Claim, on_delete=models.PROTECT, related_name="reads")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reads")
    kind = models.CharField(max_length=8, choices=ReadKind)
    revision = models.PositiveSmallIntegerField(default=1)
    mode = models.CharField(max_length=12, choices=ReadingMode, help_text="The institution's policy at that time.")
    label = models.CharField(max_length=16, choices=Label)
    certainty = models.CharField(max_length=8, choices=Certainty)
    reason = models.CharField(max_length=16, choices=Reason, blank=True, default="")
    comment = models.TextField(blank=True, default="", max_length=4000)
    may_train = models.BooleanField(default=False)
    adopted = models.BooleanField(default=False, help_text="The reader changed to the AI's label after seeing it.")
    prediction = models.ForeignKey(
        Prediction,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The opinion the reader had seen; none in a blind read or where there was none.",
    )
    heatmap_seen = models.BooleanField(default=False)
    seconds = models.PositiveIntegerField(null=True, blank=True, help_text="From the claim (or the former read).")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["case", "reader", "kind", "revision"], name="one_read_per_kind_and_revision"
            ),
            models.CheckConstraint(
                condition=~Q(kind="blind") | Q(prediction__isnull=True, reason="", heatmap_seen=False, adopted=False),
                name="blind_means_blind",
            ),
            models.CheckConstraint(condition=Q(label__in=[label.value for label in Label]), name="read_label_known"),
            models.CheckConstraint(condition=~Q(reason="other") | ~Q(comment=""), name="other_says_what"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["updated_at", "id"], name="read_updated"),
            models.Index(fields=["reader", "-created_at"], name="read_mine"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} read {str(self.id)[:8]}"
