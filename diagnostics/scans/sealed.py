"""Where the untouched originals of de-identified files are known. Their bytes lie encrypted, apart from all others."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from .institution_models import Institution


class SealedOriginal(models.Model):
    """A DICOM file as it came, before it was de-identified; encrypted in the storage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="sealed_originals")
    stored_sha256 = models.CharField(max_length=64, help_text=_("Of the de-identified file that was made of it."))
    sha256 = models.CharField(max_length=64, help_text=_("Of the encrypted bytes."))
    size_bytes = models.PositiveBigIntegerField()
    original = models.CharField(max_length=200, help_text=_("Storage key of the encrypted bytes."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["institution", "stored_sha256"], name="one_sealed_original_per_file"),
        ]

    def __str__(self) -> str:
        return f"sealed original {str(self.id)[:8]}"
