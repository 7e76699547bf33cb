"""What the challenger says of live cases. A table of its own: nothing that shows opinions can come upon it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan


class ShadowOpinion(models.Model):
    """One challenger's opinion of one scan, never shown to a reader. Written once, when it is known."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="shadow_opinions")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="shadow_opinions")
    label = models.CharField(max_length=16, blank=True, default="")
    finding = models.CharField(max_length=16, blank=True, default="", help_text=_("tumour or no_tumour."))
    probabilities = models.JSONField(null=True, blank=True)
    tumour_probability = models.FloatField(null=True, blank=True)
    failure = models.TextField(blank=True, default="", help_text=_("Why there is no opinion, as a sentence."))
    weights_sha256 = models.CharField(max_length=64, help_text=_("Of the weights really used."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        verbose_name = "shadow opinion"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scan", "model_version"], name="one_shadow_opinion_per_model"),
            models.CheckConstraint(
                condition=Q(failure="", probabilities__isnull=False, tumour_probability__isnull=False)
                & ~Q(label="")
                & ~Q(finding="")
                | ~Q(failure="") & Q(probabilities__isnull=True, tumour_probability__isnull=True, label=""),
                name="shadow_opinion_or_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(tumour_probability__isnull=True)
                | Q(tumour_probability__gte=0.0, tumour_probability__lte=1.0),
                name="shadow_probability_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"shadow opinion {str(self.id)[:8]}"
