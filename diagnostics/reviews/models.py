"""What readers do with a case: who holds it, and what was stated about it."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnostics.cases.models import Case, Stage
from diagnostics.limits import LONGEST_NUMBERS, LONGEST_TEXT
from diagnostics.predictions.models import Prediction
from diagnostics.scans.models import Institution, ReadingMode, Scan


class Label(models.TextChoices):
    """What a reader may state. ``tumour`` without a type is a full answer."""

    NO_TUMOUR = "no_tumour", _("No tumour")
    GLIOMA = "glioma", _("Glioma")
    MENINGIOMA = "meningioma", _("Meningioma")
    PITUITARY = "pituitary", _("Pituitary tumour")
    TUMOUR = "tumour", _("Tumour, unspecified")
    NOT_ASSESSABLE = "not_assessable", _("Not assessable")
    OUT_OF_SCOPE = "out_of_scope", _("Out of scope")


class Laterality(models.TextChoices):
    """On which side of the patient a tumour lies."""

    NOT_STATED = "not_stated", _("Not stated")
    LEFT = "left", pgettext_lazy("side of the patient", "Left")
    RIGHT = "right", pgettext_lazy("side of the patient", "Right")
    MIDLINE = "midline", _("Midline")
    BILATERAL = "bilateral", _("Bilateral")


class Certainty(models.TextChoices):
    CERTAIN = "certain", _("Certain")
    PROBABLE = "probable", _("Probable")
    UNSURE = "unsure", _("Unsure")


class Reason(models.TextChoices):
    """Why a final read differs from the AI's opinion."""

    MISSED_LESION = "missed_lesion", _("The AI missed a lesion")
    FALSE_POSITIVE = "false_positive", _("The AI saw a lesion where there is none")
    WRONG_TYPE = "wrong_type", _("The AI gave the wrong type")
    ARTEFACT = "artefact", _("An artefact misled the AI")
    WRONG_SEQUENCE = "wrong_sequence", _("Wrong sequence or plane")
    OUT_OF_SCOPE = "out_of_scope", _("Out of scope")
    CLINICAL_CONTEXT = "clinical_context", _("Clinical context contradicts it")
    OTHER = "other", _("Other (say what in the comment)")


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
            ("done", _("Read")),
            ("given_back", _("Released")),
            ("expired", _("Expired")),
            ("taken_over", _("Taken over")),
            ("returned", _("Returned to a reader")),
            ("left", _("Account deactivated")),
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
            models.Index(fields=["expires_at"], condition=Q(released_at__isnull=True), name="claim_running"),
        ]

    def __str__(self) -> str:
        return f"claim {str(self.id)[:8]}"


class ReadKind(models.TextChoices):
    BLIND = "blind", _("Blind read")
    FINAL = "final", _("Final read")


class ReadManager(models.Manager["Read"]):
    """Reads that stand or were superseded. One that its reader undid at once counts nowhere; ``everything`` has it."""

    def get_queryset(self) -> models.QuerySet["Read"]:
        return super().get_queryset().filter(withdrawn_at__isnull=True)


class Read(models.Model):
    """One reader's statement. Never edited: a newer revision stands beside it and supersedes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reads")
    claim = models.ForeignKey(Claim, on_delete=models.PROTECT, related_name="reads")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reads")
    kind = models.CharField(max_length=8, choices=ReadKind)
    stage = models.CharField(
        max_length=12, choices=Stage, default=Stage.FIRST, help_text=_("The reader slot it was given in.")
    )
    revision = models.PositiveSmallIntegerField(default=1)
    mode = models.CharField(max_length=12, choices=ReadingMode, help_text=_("The institution's policy at that time."))
    label = models.CharField(max_length=16, choices=Label)
    laterality = models.CharField(
        max_length=12,
        choices=Laterality,
        default=Laterality.NOT_STATED,
        help_text=_("The patient's side with the tumour."),
    )
    certainty = models.CharField(max_length=8, choices=Certainty)
    reason = models.CharField(max_length=16, choices=Reason, blank=True, default="")
    comment = models.TextField(blank=True, default="", max_length=LONGEST_TEXT)
    may_train = models.BooleanField(default=False)
    adopted = models.BooleanField(default=False, help_text=_("The reader changed to the AI's label after seeing it."))
    prediction = models.ForeignKey(
        Prediction,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("The AI result that the reader had seen; none in a blind read or where there was none."),
    )
    heatmap_seen = models.BooleanField(default=False)
    scan_revision = models.PositiveSmallIntegerField(
        default=1, help_text=_("The revision of the scan whose images its reader had.")
    )
    key_images = models.CharField(
        max_length=LONGEST_NUMBERS,
        blank=True,
        default="",
        help_text=_("Numbers of the images of a stack that show the finding, counted from 1."),
    )
    seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Since the claim (or the previous read).")
    )
    revealed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("When the AI result was revealed to its reader: until then a blind read can be undone."),
    )
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When its reader undid it: at once, or before the reveal.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ReadManager()
    everything = models.Manager()  # noqa: DJ012 - the first one is the default

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["case", "reader", "kind", "revision"],
                condition=Q(withdrawn_at__isnull=True),
                name="one_read_per_kind_and_revision",
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True) | Q(kind="final") | Q(revealed_at__isnull=True),
                name="no_undo_after_the_reveal",
            ),
            models.CheckConstraint(
                condition=Q(revealed_at__isnull=True) | Q(kind="blind"), name="only_blind_reads_are_revealed"
            ),
            models.CheckConstraint(
                condition=~Q(kind="blind") | Q(prediction__isnull=True, reason="", heatmap_seen=False, adopted=False),
                name="blind_means_blind",
            ),
            models.UniqueConstraint(
                fields=["case", "stage", "revision"],
                condition=Q(kind="final", withdrawn_at__isnull=True),
                name="one_final_read_per_stage_and_revision",
            ),
            models.CheckConstraint(
                condition=Q(stage__in=["first", "second"])
                | Q(stage="adjudication", kind="final", prediction__isnull=True, heatmap_seen=False, adopted=False),
                name="adjudication_is_blind_to_the_ai",
            ),
            models.CheckConstraint(condition=Q(label__in=[label.value for label in Label]), name="read_label_known"),
            models.CheckConstraint(
                condition=Q(laterality="not_stated")
                | Q(
                    laterality__in=["left", "right", "midline", "bilateral"],
                    label__in=["tumour", "glioma", "meningioma", "pituitary"],
                ),
                name="only_a_tumour_has_a_side",
            ),
            models.CheckConstraint(condition=~Q(reason="other") | ~Q(comment=""), name="other_says_what"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["updated_at", "id"], name="read_updated"),
            models.Index(fields=["reader", "-created_at"], name="read_mine"),
            models.Index(
                fields=["-created_at", "-id"], condition=Q(kind="final", revision=1), name="read_first_finals"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} read {str(self.id)[:8]}"


class CommentKind(models.TextChoices):
    ASKED = "asked", _("Requested a second opinion")
    RETURNED = "returned", _("Returned by the adjudicator")
    ANSWER = "answer", _("Answer to the adjudicator")
    REMARK = "remark", _("Comment")


class AuthorExposure(models.TextChoices):
    """What the author of a comment could let slip when they wrote it."""

    NOTHING = "nothing", _("Neither a reader's finding nor the AI result")
    VIEW = "view", _("A reader's finding")
    OPINION = "opinion", _("AI result")


class Comment(models.Model):
    """One entry of a case's thread. ``to`` is whom it is for while the case is open; never edited."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    to = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=CommentKind)
    author_exposure = models.CharField(
        max_length=8,
        choices=AuthorExposure,
        default=AuthorExposure.VIEW,
        help_text=_("What its author could reveal; it decides who sees the comment while the case is open."),
    )
    text = models.TextField(max_length=LONGEST_TEXT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=~Q(text=""), name="comment_says_something"),
            models.CheckConstraint(
                condition=Q(kind__in=["asked", "remark"], to__isnull=True)
                | Q(kind__in=["returned", "answer"], to__isnull=False),
                name="comment_is_for_somebody",
            ),
            models.CheckConstraint(
                condition=Q(author_exposure__in=[each.value for each in AuthorExposure]),
                name="comment_author_exposure_known",
            ),
            # The words among readers and adjudicator always hold a reader's view.
            models.CheckConstraint(
                condition=Q(kind="remark") | ~Q(author_exposure="nothing"), name="only_remarks_know_nothing"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["case", "created_at"], name="comment_thread")]

    def __str__(self) -> str:
        return f"comment {str(self.id)[:8]}"


class Draft(models.Model):
    """What a reader has entered and not yet stated: theirs alone, gone when they state it. ``entries`` as the form
    names them.

    ``revision`` is another one after each save: whoever saves names the one that they have seen. ``aside`` holds what
    was entered elsewhere and did not become the draft: ``{"tab", "at", "entries"}``, the newest last.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="drafts")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    entries = models.JSONField()
    saved_at = models.DateTimeField()
    revision = models.UUIDField(default=uuid.uuid4, editable=False)
    tab = models.CharField(max_length=40, blank=True, default="", help_text=_("The page that saved it last."))
    nth = models.PositiveIntegerField(default=0, help_text=_("How often that page had saved by then."))
    aside = models.JSONField(default=list, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["case", "reader"], name="one_draft_per_reader"),
        ]

    def __str__(self) -> str:
        return f"draft {self.pk}"


class Control(models.Model):
    """A case whose answer is known, mixed in beside a new one.

    Written with the case it comes beside; the scheduler makes its scan and case. Whoever reads it may not know of this
    row before their final read (:mod:`diagnostics.reviews.controls.control_cases`).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="controls")
    beside = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="beside_it")
    case = models.OneToOneField(Case, null=True, blank=True, on_delete=models.PROTECT, related_name="known")
    source = models.ForeignKey(
        Scan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="controls",
        help_text=_("The scan that it copies."),
    )
    truth = models.CharField(max_length=16, choices=Label, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    abandoned = models.BooleanField(default=False, help_text=_("No case with a known answer was available."))

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(case__isnull=True, source__isnull=True, truth="")
                | Q(case__isnull=False, source__isnull=False, abandoned=False) & ~Q(truth=""),
                name="control_knows_its_answer",
            ),
            models.CheckConstraint(
                condition=Q(case__isnull=True) | ~Q(case=models.F("beside")), name="control_is_another_case"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["created_at"], condition=Q(case__isnull=True, abandoned=False), name="control_wanted"
            ),
        ]

    def __str__(self) -> str:
        return f"control {str(self.id)[:8]}"


class SavedView(models.Model):
    """What a person has narrowed their worklist to, under a name; ``query`` as the page's address has it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=300)
    default = models.BooleanField(default=False, help_text=_("The worklist opens with it."))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "name"], name="one_view_per_name"),
            models.UniqueConstraint(fields=["user"], condition=Q(default=True), name="one_default_view"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(query=""), name="view_says_what"),
        ]

    def __str__(self) -> str:
        return self.name
