"""Rows found by how a text of theirs begins."""

from typing import TypeVar

from django.db import connection, models
from django.db.models import Value
from django.db.models.functions import Upper
from django.db.models.lookups import GreaterThanOrEqual, LessThan

Row = TypeVar("Row", bound=models.Model)


def beginning_with(rows: models.QuerySet[Row], field: str, text: str) -> models.QuerySet[Row]:
    """Rows whose ``field`` begins with ``text``, in capitals or not, found in the index over its capitals."""
    if connection.vendor == "postgresql":
        # An index of patterns serves it; between two bounds letters would be sorted by language.
        return rows.filter(**{f"{field}__istartswith": text})
    # SQLite's LIKE never uses an index once a character may be escaped; between two bounds it does.
    last = Value(text + chr(0x10FFFF))
    return rows.filter(GreaterThanOrEqual(Upper(field), Upper(Value(text))), LessThan(Upper(field), Upper(last)))
