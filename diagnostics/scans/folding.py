"""Names without regard to the case of letters.

``Reader2`` and ``reader2`` are one person, ``P-0042`` and ``p-0042`` one patient.

Databases disagree about it (SQLite's LOWER knows ASCII only, PostgreSQL's goes by the locale), so a name that may hold
other letters is kept a second time, folded here.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.functions import Lower


def folded(text: str) -> str:
    """The text as it is compared: Unicode's compatible form without case (``Straße`` as ``STRASSE``)."""
    # Twice, as folding can undo the form: a name must be equal to itself folded.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class FoldedField(models.CharField):
    """Another column of the row, folded; filled whenever the row is saved, so that a constraint can hold it.

    ``QuerySet.update`` of the other column must set this one too.
    """

    def __init__(self, *args: Any, of: str, **kwargs: Any) -> None:
        self.of = of
        super().__init__(*args, **{"editable": False, **kwargs})

    def deconstruct(self) -> tuple[str, str, Sequence[object], dict[str, object]]:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value = folded(getattr(model_instance, self.of))
        setattr(model_instance, self.attname, value)
        return value


def fill(model: Any, column: str, alias: str) -> None:
    """Fill ``<column>_folded`` of every row, in a migration. Rows of plain ASCII by the database itself, at once."""
    rows = model.objects.using(alias)
    rows.update(**{f"{column}_folded": Lower(column)})
    # The database's own lower case is not that of all letters.
    odd = {
        pk: folded(name)
        for pk, name, there in rows.values_list("pk", column, f"{column}_folded").iterator(chunk_size=5000)
        if there != folded(name)
    }
    for pk, name in odd.items():
        rows.filter(pk=pk).update(**{f"{column}_folded": name})
