"""What a person may see of scans and patients."""

from typing import Any

from django.db import models

from .access import Permission, institutions_where


class ScanQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "ScanQuerySet":
        """Scans of the institutions in which ``user`` may see scans; for anybody else they do not exist."""
        return self.filter(institution__in=institutions_where(user, Permission.SEE_SCANS))

    def readable(self) -> "ScanQuerySet":
        """Scans that the quality gate did not reject."""
        return self.filter(rejected_code="")


class PatientQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "PatientQuerySet":
        """Patients of the institutions in which ``user`` may see scans."""
        return self.filter(institution__in=institutions_where(user, Permission.SEE_SCANS))
