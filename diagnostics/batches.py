"""Many files at once: each has an outcome of its own, and a refused one ends nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO

from diagnostics import pipeline
from diagnostics.actors import Actor
from diagnostics.errors import Conflict, Invalid, Message, Unavailable
from diagnostics.scans import archives
from diagnostics.scans.models import Institution, Priority, Scan
from diagnostics.scans.series import KeptInstance


@dataclass(frozen=True)
class Filed:
    """What is said of all files of a batch. ``patient=None``: an invented pseudonym for each patient of the files."""

    institution: Institution
    patient: str | None
    accession: str = ""
    study_date: date | None = None
    priority: Priority = Priority.ROUTINE
    source: Scan.Source = Scan.Source.PORTAL


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file: ``stored | known | kept | refused | unavailable``.

    ``unavailable``: it could not be taken now, and may be sent again as it is. ``code`` and ``sentence`` say why a
    file was refused or was unavailable.
    """

    name: str
    kind: str
    code: str = ""
    sentence: Message = ""
    scan: Scan | None = None
    kept: KeptInstance | None = None
    arriving: bool = False
    cause: Unavailable | None = None


def submit_file(*, by: Actor, filed: Filed, name: str, data: bytes) -> FileOutcome:
    """Take one file in; whatever is said against it becomes its outcome.

    Raises
    ------
    NotAllowed
    """
    try:
        done = pipeline.submit_scan(
            by=by,
            institution=filed.institution,
            data=data,
            patient=filed.patient,
            accession=filed.accession,
            study_date=filed.study_date,
            priority=filed.priority,
            source=filed.source,
        )
    except (Conflict, Invalid) as refusal:
        return FileOutcome(name, "refused", refusal.code, refusal.sentence)
    except Unavailable as refusal:
        return FileOutcome(name, "unavailable", refusal.code, refusal.sentence, cause=refusal)
    if isinstance(done, pipeline.KeptBeside):
        return FileOutcome(name, "kept", kept=done.kept)
    return FileOutcome(name, "stored" if done.created else "known", scan=done.scan, arriving=done.arriving)


def submit_archive(*, by: Actor, filed: Filed, file: BinaryIO) -> Iterator[FileOutcome]:
    """Take the files of a ZIP in, one after the other, and close their series at the end: all of them have come.

    It ends with the first file that is unavailable: so are those after it. Sent again, it goes on where it stopped,
    because what is here already is known.

    Raises
    ------
    BrokenArchive, NotAllowed
    """
    arriving: dict[object, Scan] = {}
    try:
        for member in archives.members(file):
            if member.code:
                yield FileOutcome(member.name, "refused", member.code, member.refusal)
                continue
            outcome = submit_file(by=by, filed=filed, name=member.name, data=member.data)
            if outcome.scan is not None and outcome.arriving:
                arriving[outcome.scan.series_id] = outcome.scan
            yield outcome
            if outcome.kind == "unavailable":
                return
    finally:
        if arriving:
            pipeline.close_series(by=by, scans_of=list(arriving.values()))


def counted(outcomes: Iterable[FileOutcome]) -> dict[str, int]:
    """How many files came to which end."""
    found = dict.fromkeys(("stored", "known", "kept", "refused", "unavailable"), 0)
    for each in outcomes:
        found[each.kind] += 1
    return found


def scans_of(outcomes: Sequence[FileOutcome]) -> list[Scan]:
    """The scans that the files joined or were, each once."""
    return list({each.scan.pk: each.scan for each in outcomes if each.scan is not None}.values())
