"""Who did what to what, when: written in the same transaction as the act, never changed afterwards."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class AuditEvent(models.Model):
    """One act. ``target_type`` and ``target_id`` name the row; ``detail`` holds codes and ids, no patient data."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    institution = models.ForeignKey(
        "diagnostics.Institution", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    act = models.CharField(max_length=40)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["target_type", "target_id"], name="audit_target"),
            models.Index(fields=["institution", "-id"], name="audit_institution"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.target_type} {self.target_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only: an event that was written stays as it is."""
        if self.pk is not None:
            raise AuditIsAppendOnly("An audit event is never edited.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AuditIsAppendOnly("An audit event is never deleted.")


class AuditIsAppendOnly(RuntimeError):
    """Somebody tried to change or delete an audit event."""
