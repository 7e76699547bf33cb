"""Frozen sets of labelled scans from which models are trained and on which they are measured."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.jobs.models import LeasedRow
from diagnostics.reviews.models import Label, Read
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Institution, Scan


class DatasetVersionQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Actor) -> "DatasetVersionQuerySet":
        """Versions whose every institution is one in which ``user`` may freeze datasets."""
        theirs = institutions_where(user, Permission.FREEZE_DATASET)
        foreign = Institution.objects.exclude(pk__in=theirs.values("pk"))
        return self.exclude(institutions__in=foreign).filter(institutions__isnull=False).distinct()


class DatasetVersion(models.Model):
    """A frozen manifest with a hash. The test part of a lineage is fixed at its first version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text=_("Counts up from 1."))
    lineage = models.CharField(max_length=40, default="main", help_text=_("Versions that share one frozen test set."))
    institutions = models.ManyToManyField(Institution, related_name="dataset_versions")
    seed = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="", help_text=_("Of the manifest."))
    manifest = models.CharField(max_length=200, blank=True, default="", help_text=_("Storage key, JSON Lines."))
    counts = models.JSONField(default=dict, help_text=_("By split, label, label source and institution; groups."))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(frozen_at__isnull=True) | (~Q(sha256="") & ~Q(manifest="")),
                name="frozen_means_hashed",
            ),
        ]

    def __str__(self) -> str:
        return gettext("dataset v%(n)d") % {"n": self.number}


class Split(models.TextChoices):
    TRAIN = "train", _("Train")
    VALIDATION = "validation", _("Validation")
    TEST = "test", _("Test")


class DatasetItem(models.Model):
    """One scan in a dataset version, with the label it had then and where that label came from."""

    class LabelSource(models.TextChoices):
        READ = "read", _("Final read")
        ADJUDICATED = "adjudicated", _("Adjudicated")
        ADOPTED = "adopted", _("Changed to the AI's label")
        IMPORTED = "imported", _("Imported reference label")

    dataset = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="items")
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="dataset_items")
    read = models.ForeignKey(Read, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=16, choices=Label)
    label_source = models.CharField(max_length=12, choices=LabelSource)
    group = models.CharField(max_length=64, help_text=_("Patient and near-duplicates together; never split."))
    split = models.CharField(max_length=10, choices=Split)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["dataset", "scan"], name="one_item_per_scan"),
            models.CheckConstraint(
                condition=Q(label_source="imported", read__isnull=True)
                | (~Q(label_source="imported") & Q(read__isnull=False)),
                name="label_points_to_its_source",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["dataset", "group"], name="item_group"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"


class PlanState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


class DatasetPlan(LeasedRow):
    """What somebody wants to see planned, or frozen, of so many scans that a worker does it.

    ``wanted`` holds the parameters, rows by their ids; ``key`` is their hash. ``result`` is what a page shows of the
    plan; ``produced`` what a freeze has made.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    wanted = models.JSONField()
    freezes = models.BooleanField(default=False)
    seen = models.CharField(max_length=64, blank=True, default="", help_text=_("SHA-256 of the plan to be frozen."))
    state = models.CharField(max_length=8, choices=PlanState, default=PlanState.QUEUED)
    result = models.JSONField(null=True, blank=True)
    produced = models.ForeignKey(DatasetVersion, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    failure = models.TextField(blank=True, default="", help_text=_("Why there is no result, as a sentence."))
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["by", "key", "freezes"],
                condition=Q(state__in=["queued", "running"]),
                name="one_plan_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state="running", fence__isnull=False, lease_until__isnull=False)
                | ~Q(state="running") & Q(lease_until__isnull=True),
                name="running_plan_has_a_lease",
            ),
            models.CheckConstraint(
                condition=(Q(state="failed") & ~Q(failure="")) | (~Q(state="failed") & Q(failure="")),
                name="failed_plan_has_a_reason",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at"], condition=Q(state__in=["queued", "running"]), name="plan_waiting"),
        ]

    def __str__(self) -> str:
        return f"plan {str(self.id)[:8]}"

    @property
    def active(self) -> bool:
        """Whether it waits or is worked on."""
        return self.state in (PlanState.QUEUED, PlanState.RUNNING)


class RuledOutQuerySet(models.QuerySet[Any]):
    def standing(self) -> "RuledOutQuerySet":
        """Those that nobody has taken back."""
        return self.filter(taken_back_at__isnull=True)

    def visible_to(self, user: Actor) -> "RuledOutQuerySet":
        """Of scans of the institutions in which ``user`` may freeze datasets."""
        return self.filter(scan__institution__in=institutions_where(user, Permission.FREEZE_DATASET))


class RuledOut(models.Model):
    """A scan's label that its look-alikes contradict, and that somebody has kept out of datasets.

    The scan stays out for as long as it has this very label; a read that gives it another brings it back. Nothing is
    labelled anew: what a reader stated is the reader's.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ruling = models.UUIDField(db_index=True, help_text=_("One decision can exclude several."))
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=16, choices=Label)
    stands = models.CharField(
        max_length=16,
        choices=Label,
        blank=True,
        default="",
        help_text=_("The correct label, if one was chosen."),
    )
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    taken_back_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    taken_back_at = models.DateTimeField(null=True, blank=True)

    objects = RuledOutQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "id"]
        verbose_name = _("label-conflict decision")
        verbose_name_plural = _("label-conflict decisions")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["scan", "label"], condition=Q(taken_back_at__isnull=True), name="one_ruling_per_label"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="ruling_has_a_reason"),
            models.CheckConstraint(
                condition=Q(taken_back_at__isnull=True, taken_back_by__isnull=True)
                | Q(taken_back_at__isnull=False, taken_back_by__isnull=False),
                name="taken_back_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"ruling {str(self.ruling)[:8]}"
