"""Names that differ only in the case of their letters: found by migrations, mended by a command (``mending``).

What stands here works on the models of any state of the database: a migration stops before the newest columns are
there, and the command that mends must run at that moment.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from .folding import folded

COMMAND = ".venv/bin/python manage.py same_names"


@dataclass(frozen=True)
class Twins:
    """Two or more ``names`` of one ``kind`` (``people | institutions | patients | studies``) that are the same."""

    kind: str
    where: str  # the institution's code, and of studies the patient; empty for the installation's own
    names: Sequence[str]

    def __str__(self) -> str:
        place = f" of {self.where}" if self.where else ""
        return f"{self.kind}{place}: {', '.join(self.names)}"


class NamesCollide(CommandError):
    """A migration cannot go on before a person has decided."""


_HOW = {
    "people": f"people: rename all but one, `{COMMAND} rename-person OLD NEW`",
    "institutions": f"institutions: rename all but one, `{COMMAND} rename-institution OLD NEW`",
    "patients": (
        f"patients: if they are one, `{COMMAND} merge-patients INSTITUTION KEEP OTHER`; "
        f"if they are two, `{COMMAND} rename-patient INSTITUTION OLD NEW`"
    ),
    "studies": (
        f"studies: if they are one, `{COMMAND} merge-studies INSTITUTION PATIENT KEEP OTHER`; "
        f"if they are two, `{COMMAND} rename-study INSTITUTION PATIENT OLD NEW`"
    ),
}


def same(rows: Iterable[tuple[object, str, str]], kind: str) -> list[Twins]:
    """The twins among ``rows``: the id to which a name belongs, where that is in words, the name."""
    by_name: dict[tuple[object, str], list[tuple[str, str]]] = defaultdict(list)
    for owner, where, name in rows:
        by_name[owner, folded(name)].append((where, name))
    return [
        Twins(kind, found[0][0], sorted(name for _where, name in found))
        for found in by_name.values()
        if len(found) > 1
    ]


def of_people(apps: Any, alias: str) -> list[Twins]:
    names = apps.get_model("accounts", "User").objects.using(alias).order_by("pk").values_list("username", flat=True)
    return same(((None, "", name) for name in names.iterator()), "people")


def of_scans(apps: Any, alias: str) -> list[Twins]:
    """Institutions, patients and studies."""
    codes = apps.get_model("diagnostics", "Institution").objects.using(alias).order_by("pk")
    patients = apps.get_model("diagnostics", "Patient").objects.using(alias).order_by("created_at", "pk")
    studies = apps.get_model("diagnostics", "Study").objects.using(alias).exclude(accession="")
    numbered = studies.order_by("created_at", "pk").values_list(
        "patient", "patient__institution__code", "patient__pseudonym", "accession"
    )
    return [
        *same(((None, "", code) for code in codes.values_list("code", flat=True)), "institutions"),
        *same(patients.values_list("institution", "institution__code", "pseudonym").iterator(), "patients"),
        *same(((pk, f"{code} {name}", number) for pk, code, name, number in numbered.iterator()), "studies"),
    ]


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
                "Upper and lower case no longer make two names, and these are there twice or more:",
                *[f"  {twins}" for twins in found],
                "Nothing of them was changed. Say of each what it is, then start again:",
                *[f"  {_HOW[kind]}" for kind in kinds],
                f"`{COMMAND}` lists what is left.",
            ]
        )
    )
