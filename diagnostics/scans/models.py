"""Where a scan belongs: institution, patient, study, scan; and who belongs to which institution."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .access import Role
from .folding import FoldedField, folded
from .querysets import PatientQuerySet, ScanQuerySet


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
        """Refuse a code that differs from another's only in the case of its letters."""
        super().clean()
        if Institution.objects.filter(code_folded=folded(self.code)).exclude(pk=self.pk).exists():
            raise ValidationError({"code": _("There is an institution with this code already.")})


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


class Patient(models.Model):
    """A person scanned, known here only by the institution's pseudonym."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="patients")
    pseudonym = models.CharField(
        max_length=64,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
                "Use letters, digits, dot, hyphen and underscore only, and no name: a pseudonym such as P-0042.",
            )
        ],
    )
    pseudonym_folded = FoldedField(of="pseudonym", max_length=256)
    is_synthetic = models.BooleanField(
        default=False, editable=False, help_text=_("Belongs to a control case, so it names nobody.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["pseudonym"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "pseudonym_folded"], name="one_patient_per_pseudonym"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(Upper("pseudonym"), name="patient_begins"),
        ]

    def __str__(self) -> str:
        return self.pseudonym


class Study(models.Model):
    """One visit: an accession number, a date, or neither."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    accession = models.CharField(max_length=64, blank=True, default="")
    # Wider: some letters fold to several.
    accession_folded = FoldedField(of="accession", max_length=256, blank=True, default="")
    date = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-date", "-created_at"]
        verbose_name_plural = _("studies")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["patient", "accession_folded"], condition=~Q(accession=""), name="one_study_per_accession"
            ),
            models.UniqueConstraint(
                fields=["patient", "date"],
                condition=Q(accession="", date__isnull=False),
                name="one_study_per_date_without_accession",
            ),
            models.UniqueConstraint(
                fields=["patient"],
                condition=Q(accession="", date__isnull=True),
                name="one_study_without_date_or_accession",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at", "id"], name="study_made"),
            models.Index(Upper("accession"), name="study_begins"),
        ]

    def __str__(self) -> str:
        return self.accession or str(self.date or "undated")


class Priority(models.IntegerChoices):
    """Smaller is sooner, so that the worklist's order is an index's order."""

    STAT = 0, _("STAT")
    URGENT = 1, _("Urgent")
    ROUTINE = 2, _("Routine")


class Analysis(models.TextChoices):
    """How far the AI's work on a scan is. What came of it is no part of it: readers see this while blind."""

    QUEUED = "queued", _("Queued")
    ANALYSING = "analysing", _("Analysing")
    READY = "ready", _("Ready")
    FAILED = "failed", _("No AI result")
    REJECTED = "rejected", _("Rejected")


class Scan(models.Model):
    """One image: the unit that is predicted and read. The original bytes are kept untouched."""

    class Source(models.TextChoices):
        PORTAL = "portal", _("Uploaded in the portal")
        API = "api", _("Uploaded by the API")
        IMPORT = "import", _("Imported from a folder")
        DEMO = "demo", _("Synthetic phantom")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="scans")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="scans")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="scans")
    sha256 = models.CharField(max_length=64, help_text=_("Of the original bytes."))
    size_bytes = models.PositiveBigIntegerField()
    format = models.CharField(max_length=8, help_text=_("jpeg, png or dicom, by content."))
    width = models.PositiveIntegerField(help_text=_("Pixels."))
    height = models.PositiveIntegerField(help_text=_("Pixels."))
    bits = models.PositiveSmallIntegerField(help_text=_("Bits stored per pixel."))
    frames = models.PositiveIntegerField(
        default=1, help_text=_("Frames in the file. The first is the scan; the others were not read.")
    )
    original = models.CharField(max_length=200, help_text=_("Storage key of the untouched original."))
    pixels = models.CharField(max_length=200, help_text=_("Storage key of the true pixels without metadata."))
    preview = models.CharField(max_length=200, help_text=_("Storage key of a small PNG without metadata."))
    fingerprint = models.BinaryField(help_text=_("Thumbnail of the brain, to find near-duplicates."))
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    source = models.CharField(max_length=8, choices=Source)
    reference_label = models.CharField(
        max_length=16, blank=True, default="", help_text=_("Label that came with an imported folder.")
    )
    analysis = models.CharField(
        max_length=9,
        choices=Analysis,
        null=True,
        default=None,
        editable=False,
        help_text=_("Progress of the AI analysis. Empty where no model was live when the scan arrived."),
    )
    rejected_code = models.CharField(max_length=32, blank=True, default="")
    rejected_reason = models.TextField(blank=True, default="", help_text=_("Why it cannot be read, as a sentence."))
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ScanQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "sha256"], name="one_scan_per_content"),
            models.CheckConstraint(
                condition=Q(rejected_code="", rejected_reason="") | (~Q(rejected_code="") & ~Q(rejected_reason="")),
                name="rejection_has_a_reason",
            ),
            models.CheckConstraint(condition=Q(frames__gte=1), name="scan_is_a_frame"),
            models.CheckConstraint(
                condition=Q(analysis__isnull=True) | Q(analysis__in=[each.value for each in Analysis]),
                name="scan_analysis_known",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["institution", "-created_at", "-id"], name="scan_newest"),
            models.Index(fields=["updated_at", "id"], name="scan_updated"),
            models.Index(fields=["institution", "analysis", "-created_at", "-id"], name="scan_newest_by_analysis"),
            models.Index(fields=["created_at"], condition=Q(analysis__isnull=True), name="scan_without_a_model"),
        ]

    def __str__(self) -> str:
        return f"scan {str(self.id)[:8]}"

    @property
    def note(self) -> str:
        """What everybody who meets the scan must know of it, as a sentence; mostly nothing."""
        if self.frames == 1:
            return ""
        return gettext("Frame 1 of %(frames)d. The other frames were not read and may show something else.") % {
            "frames": self.frames
        }
