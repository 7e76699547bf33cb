"""Frozen sets of labelled scans from which models are trained and on which they are measured."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.reviews.models import Label, Read
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.models import Institution, Scan


class DatasetVersionQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "DatasetVersionQuerySet":
        """Versions whose every institution is one in which ``user`` may freeze datasets."""
        theirs = institutions_where(user, Permission.FREEZE_DATASET)
        foreign = Institution.objects.exclude(pk__in=theirs.values("pk"))
        return self.exclude(institutions__in=foreign).filter(institutions__isnull=False).distinct()


class DatasetVersion(models.Model):
    """A frozen manifest with a hash. The test part of a lineage is fixed at its first version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text=_("Counts up from 1."))
    lineage = models.CharField(max_length=40, default="main", help_text=_("Versions that share one frozen test part."))
    institutions = models.ManyToManyField(Institution, related_name="dataset_versions")
    seed = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="", help_text=_("Of the manifest."))
    manifest = models.CharField(max_length=200, blank=True, default="", help_text=_("Storage key, JSON Lines."))
    counts = models.JSONField(default=dict, help_text=_("By split, label, label source, institution; groups."))
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
        return f"dataset v{self.number}"


class Split(models.TextChoices):
    TRAIN = "train", _("Train")
    VALIDATION = "validation", _("Validation")
    TEST = "test", _("Test")


class DatasetItem(models.Model):
    """One scan in a dataset version, with the label it had then and where that label came from."""

    class LabelSource(models.TextChoices):
        READ = "read", _("Final read")
        ADOPTED = "adopted", _("Adopted from the AI")
        IMPORTED = "imported", _("Imported reference label")

    dataset = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="items")
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="dataset_items")
    read = models.ForeignKey(Read, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=16, choices=Label)
    label_source = models.CharField(max_length=10, choices=LabelSource)
    group = models.CharField(max_length=64, help_text=_("Patient and near-duplicates together; never parted."))
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
