"""The case: a scan as work for a reader. Where it stands in the worklist is all in its row."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.scans.access import Permission, within
from diagnostics.scans.models import Analysis, Institution, Priority, Scan, Study

# A case is opened once the images of its scan are here, and only of what a model is asked about.
OF_A_CASE = tuple(each for each in Analysis if each not in (Analysis.ARRIVING, Analysis.NONE))


class CaseState(models.TextChoices):
    OPEN = "open", _("Waiting to be read")
    DONE = "done", _("Read")


class Stage(models.TextChoices):
    """Which seat at a case: whose read it waits for, and as what a claim was taken or a read given."""

    FIRST = "first", _("First read")
    SECOND = "second", _("Second read")
    ADJUDICATION = "adjudication", _("Adjudication")


class Lane(models.IntegerChoices):
    """What comes before everything else in the worklist; smaller is sooner."""

    STAT = 0, _("STAT")
    OVERDUE = 1, _("Overdue")
    URGENT = 2, _("Urgent")
    ROUTINE = 3, _("Routine")


class SecondRead(models.TextChoices):
    """Why a case has a second reader."""

    POLICY = "policy", _("Each case here gets one")
    SHARE = "share", _("Random sample")
    DIFFERS = "differs", _("The first reader and the AI differ")
    ASKED = "asked", _("The first reader requested a second opinion")


class CaseQuerySet(models.QuerySet["Case"]):
    def visible_to(self, user: Actor) -> "CaseQuerySet":
        """Cases of the institutions in which ``user`` may see scans."""
        return self.filter(within(user, Permission.SEE_SCANS))

    def readable(self) -> "CaseQuerySet":
        """Cases whose scan the quality gate did not reject."""
        return self.exclude(analysis=Analysis.REJECTED)


class Case(models.Model):
    """A scan as work. ``institution``, ``priority`` and ``opened_at`` repeat the scan's so that the worklist's order
    is one index (the scan's never change). ``study`` repeats the scan's where the scan is a stack of a DICOM series:
    the cases of one study are one row of the worklist (ADR 0021).

    ``analysis`` repeats the state of the scan's newest prediction, so that the list narrowed to it is one index too
    (ADR 0010). Only ``predictions.analysis_status`` writes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="cases")
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="cases")
    study = models.ForeignKey(
        Study,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="cases",
        db_index=False,  # below, of those alone that have one
        editable=False,
        help_text=_("The study that it is read with; empty for a single picture."),
    )
    priority = models.PositiveSmallIntegerField(choices=Priority)
    state = models.CharField(max_length=8, choices=CaseState, default=CaseState.OPEN)
    stage = models.CharField(
        max_length=12,
        choices=Stage,
        default=Stage.FIRST,
        help_text=_("The reader slot that the case awaits; of a closed case: the slot that decided."),
    )
    second_read = models.CharField(
        max_length=8, choices=SecondRead, blank=True, default="", help_text=_("Why it has a second reader, if it has.")
    )
    control = models.BooleanField(
        default=False, editable=False, help_text=_("A control case: it measures its reader and counts as no work.")
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="assigned_cases",
        help_text=_("The only reader who may claim it now."),
    )
    returned_at = models.DateTimeField(null=True, blank=True, help_text=_("When an adjudicator sent it back."))
    analysis = models.CharField(
        max_length=12,
        choices=Analysis,
        default=Analysis.QUEUED,
        editable=False,
        help_text=_("Progress of the AI analysis; not its result."),
    )
    opened_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField(help_text=_("Until when it should be read."))
    lane = models.PositiveSmallIntegerField(choices=Lane, editable=False)
    turn = models.PositiveSmallIntegerField(default=0, editable=False, help_text=_("Position within its lane."))
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
            models.CheckConstraint(
                condition=Q(stage="first") | Q(stage__in=["second", "adjudication"]) & ~Q(second_read=""),
                name="two_readers_have_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(assigned_to__isnull=True) | Q(state="open", stage__in=["first", "second"]),
                name="only_waiting_reads_are_assigned",
            ),
            models.CheckConstraint(condition=Q(control=False) | Q(stage="first"), name="controls_have_one_reader"),
            models.CheckConstraint(
                condition=Q(returned_at__isnull=True) | Q(assigned_to__isnull=False) & ~Q(second_read=""),
                name="returned_means_to_whom",
            ),
            models.CheckConstraint(
                condition=Q(analysis__in=[each.value for each in OF_A_CASE]), name="case_analysis_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["institution", "priority", "opened_at", "id"],
                condition=Q(state="open"),
                name="case_worklist",
            ),
            models.Index(
                fields=["institution", "lane", "turn", "due_at", "id"],
                condition=Q(state="open"),
                name="case_in_turn",
            ),
            # The list narrowed to an analysis or a priority: what is left open is gone through value by value
            # (reviews.partitions), so one index an order serves every choice.
            models.Index(
                fields=["institution", "analysis", "priority", "opened_at", "id"],
                condition=Q(state="open"),
                name="case_worklist_by_analysis",
            ),
            models.Index(
                fields=["institution", "analysis", "priority", "lane", "turn", "due_at", "id"],
                condition=Q(state="open"),
                name="case_in_turn_by_analysis",
            ),
            models.Index(
                fields=["institution", "due_at"],
                condition=Q(state="open", lane__in=[Lane.URGENT.value, Lane.ROUTINE.value]),
                name="case_to_be_overdue",
            ),
            models.Index(
                fields=["institution", "stage"],
                condition=Q(state="open") & (~Q(stage="first") | Q(assigned_to__isnull=False)),
                name="case_two_readers",
            ),
            models.Index(fields=["institution", "-done_at", "-id"], condition=Q(state="done"), name="case_done"),
            models.Index(
                fields=["institution", "analysis", "priority", "-done_at", "-id"],
                condition=Q(state="done"),
                name="case_done_by_analysis",
            ),
            models.Index(fields=["updated_at", "id"], name="case_updated"),
            models.Index(fields=["study"], condition=Q(study__isnull=False), name="case_of_study"),
            # The API lists a tab by the last change.
            models.Index(
                fields=["institution", "updated_at", "id"], condition=Q(state="open"), name="case_open_by_change"
            ),
            models.Index(
                fields=["institution", "updated_at", "id"], condition=Q(state="done"), name="case_done_by_change"
            ),
        ]

    def __str__(self) -> str:
        return f"case {str(self.id)[:8]}"
