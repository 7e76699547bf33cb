"""What a candidate, and the model in use beside it, said of each scan of its test part."""

from typing import Any, ClassVar

from django.db import models

from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan


class TestedScan(models.Model):
    """One scan of a candidate's test part: the truth as frozen, and what two models made of it."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="tested")
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="tested")
    truth = models.CharField(max_length=16)
    label = models.CharField(max_length=16)
    tumour_probability = models.FloatField()
    live = models.ForeignKey(ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    live_label = models.CharField(max_length=16, blank=True, default="")
    live_tumour_probability = models.FloatField(null=True, blank=True)

    # Not a test of pytest's, whatever its name begins with.
    __test__ = False

    class Meta:
        verbose_name = "tested scan"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["version", "scan"], name="one_test_per_scan_and_model"),
            models.CheckConstraint(
                condition=models.Q(tumour_probability__gte=0.0, tumour_probability__lte=1.0),
                name="tested_probability_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(live__isnull=True, live_label="", live_tumour_probability__isnull=True)
                | models.Q(live__isnull=False, live_tumour_probability__isnull=False) & ~models.Q(live_label=""),
                name="tested_beside_a_model",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} on {self.scan_id}"
