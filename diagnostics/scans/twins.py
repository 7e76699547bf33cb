"""Names that differ only in the case of their letters: found by migrations, mended by a command."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.management.base import CommandError

COMMAND = ".venv/bin/python manage.py same_names"


@dataclass(frozen=True)
class Twins:
    """Two or more ``names`` of one ``kind`` (``people | institutions | patients | accessions``) that are the same."""

    kind: str
    where: str  # the institution's code, and of accessions the patient; empty for the installation's own
    names: Sequence[str]

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        return f"{self.kind}{place}: {', '.join(self.names)}"


class NamesCollide(CommandError):
    """A migration cannot go on before a person has decided."""


_HOW = {
    "people": f"Rename all but one: {COMMAND} rename-person OLD NEW",
    "institutions": f"Rename all but one: {COMMAND} rename-institution OLD NEW",
    "patients": (
        f"One patient: {COMMAND} merge-patients INSTITUTION KEEP OTHER. "
        f"Two patients: {COMMAND} rename-patient INSTITUTION OLD NEW"
    ),
    "accessions": (
        f"One study: {COMMAND} merge-studies INSTITUTION PATIENT KEEP OTHER. "
        f"Two studies: {COMMAND} rename-study INSTITUTION PATIENT OLD NEW"
    ),
}


def refuse(found: Sequence[Twins]) -> None:
    """Stop a migration that has found names which are the same, with what to do.

    Raises
    ------
    NamesCollide
        Where there is any.
    """
    if not found:
        return
    kinds = dict.fromkeys(twins.kind for twins in found)
    raise NamesCollide(
        "\n".join(
            [
                "From this version on, upper and lower case do not make two names. These are there twice:",
                *[f"  {twins}" for twins in found],
                "Nothing was changed in them. Decide what each pair is, then start again:",
                *[f"  {_HOW[kind]}" for kind in kinds],
                f"  {COMMAND} lists what is left.",
            ]
        )
    )
