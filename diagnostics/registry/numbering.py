"""Numbers that count up, each given once, even when two ask at the same instant."""

from typing import Any

from django.db import IntegrityError, models, transaction

_TRIES = 20


def create_numbered(model: type[models.Model], **fields: Any) -> Any:
    """Create a row with the next ``number``: the unique constraint judges, and the loser asks again.

    Raises
    ------
    IntegrityError
        For any other constraint that the row breaks.
    """
    rows = model._default_manager
    for _ in range(_TRIES):
        number = (rows.aggregate(last=models.Max("number"))["last"] or 0) + 1
        try:
            with transaction.atomic():
                return rows.create(number=number, **fields)
        except IntegrityError:
            # Only a number that was taken meanwhile is worth another try.
            if not rows.filter(number=number).exists():
                raise
    raise IntegrityError(f"No free number was found for {model._meta.verbose_name} in {_TRIES} tries.")
