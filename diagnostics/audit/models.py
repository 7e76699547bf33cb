"""Who did what to what, when: written in the same transaction as the act, never changed afterwards.

Each event is a link of a hash chain (``chain.py``, ADR 0014), and the database itself refuses to change one
(``guards.py``).
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

BEFORE_THE_FIRST = bytes(32)


class AuditEventQuerySet(models.QuerySet[Any]):
    """Events can be added and looked at. The database refuses the rest too, whoever asks it."""

    def update(self, **kwargs: object) -> int:
        raise AuditIsAppendOnly("An audit event is never edited.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AuditIsAppendOnly("An audit event is never deleted.")


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

    objects = AuditEventQuerySet.as_manager()

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

    def delete(self, *args: object, **kwargs: object) -> tuple[int, dict[str, int]]:
        raise AuditIsAppendOnly("An audit event is never deleted.")


class AuditIsAppendOnly(RuntimeError):
    """Somebody tried to change or delete an audit event."""


class AuditChain(models.Model):
    """How far one chain of events has come. Writers at the same time extend different ones, so that none waits."""

    length = models.PositiveBigIntegerField(default=0, help_text=_("Events in it."))
    head = models.BinaryField(max_length=32, default=BEFORE_THE_FIRST, help_text=_("Hash of the last link."))

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        verbose_name = _("audit chain")

    def __str__(self) -> str:
        return f"audit chain {self.pk}: {self.length}"


class AuditLink(models.Model):
    """The place of an event in its chain, and the hash over the event and all before it.

    No foreign keys: the link of an event that somebody removed must stay, to tell that it is gone.
    """

    event_id = models.BigIntegerField(primary_key=True)
    chain = models.IntegerField()
    position = models.BigIntegerField(help_text=_("Counted from 1."))
    hash = models.BinaryField(max_length=32)

    class Meta:
        verbose_name = _("audit link")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["chain", "position"], name="one_audit_link_per_position"),
        ]

    def __str__(self) -> str:
        return f"link {self.chain}.{self.position}"
