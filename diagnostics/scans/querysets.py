"""What a person may see of scans and patients."""

from typing import Any

from django.db import connection, models
from django.db.models import Value
from django.db.models.functions import Upper

from diagnostics.actors import Actor

from .access import Permission, within


class ScanQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Actor) -> "ScanQuerySet":
        """Scans of the institutions in which ``user`` may see scans; for anybody else they do not exist."""
        return self.filter(within(user, Permission.SEE_SCANS))

    def readable(self) -> "ScanQuerySet":
        """Scans that the quality gate did not reject."""
        return self.filter(rejected_code="")


class PatientQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Actor) -> "PatientQuerySet":
        """Patients of the institutions in which ``user`` may see scans."""
        return self.filter(within(user, Permission.SEE_SCANS))


def beginning_with(rows: models.QuerySet[Any], field: str, text: str) -> models.QuerySet[Any]:
    """Rows whose ``field`` begins with ``text``, in capitals or not, found in the index over its capitals."""
    if connection.vendor == "postgresql":
        # An index of patterns serves it; between two bounds letters would be sorted by language.
        return rows.filter(**{f"{field}__istartswith": text})
    # SQLite's LIKE never uses an index once a character may be escaped; between two bounds it does.
    last = Value(text + chr(0x10FFFF))
    return rows.alias(_capitals=Upper(field)).filter(_capitals__gte=Upper(Value(text)), _capitals__lt=Upper(last))
