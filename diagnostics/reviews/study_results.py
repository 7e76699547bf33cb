"""The result of a study: what the final reads of its series say together (ADR 0022).

It is derived, never asked for: a study whose series are all read has a result, and nobody states it a second time.
"""

import uuid
from dataclasses import dataclass

from diagnostics.cases.models import Case, CaseState
from diagnostics.scans.models import Arrival, Scan, Study

from .labels import TUMOUR_TYPES
from .models import Label
from .queries import deciding_reads

_TUMOURS = (*TUMOUR_TYPES, Label.TUMOUR)


@dataclass(frozen=True)
class StudyResult:
    """``series``: how many are read as cases or still arrive, ``read`` of them; ``finding``, ``labels`` once all are.

    ``finding``: ``tumour`` where any series shows one, else ``no_tumour`` where any was read as free of one, else
    ``not_assessable``; empty until then. ``labels``: those of the series that decided, the type before "tumour",
    each once; ``by_scan``: the label of each scan.
    """

    series: int
    read: int
    finding: str = ""
    labels: tuple[str, ...] = ()
    by_scan: tuple[tuple[uuid.UUID, str], ...] = ()

    @property
    def complete(self) -> bool:
        return self.series > 0 and self.read == self.series


def result_of(study: Study) -> StudyResult:
    """The result of a study; nothing of it until each of its series has been read to the end.

    A part of it would tell a reader of the rest what a colleague has said of the same head.
    """
    cases = Case.objects.readable().filter(scan__study=study, control=False)
    newest = {scan: (pk, state) for scan, pk, state in cases.order_by("opened_at").values_list("scan", "pk", "state")}
    done = [pk for pk, state in newest.values() if state == CaseState.DONE]
    # A series whose images are still coming will be a case of its own.
    arriving = Scan.objects.filter(study=study, arrival=Arrival.ARRIVING).count()
    if len(done) < len(newest) + arriving or not newest:
        return StudyResult(len(newest) + arriving, len(done))
    reads = deciding_reads().filter(case__in=done).order_by("case__scan__series__number", "case__opened_at")
    by_scan = tuple(reads.values_list("case__scan", "label"))
    found = [label for _scan, label in by_scan]
    return StudyResult(len(newest), len(done), _finding(found), _deciding(found), by_scan)


def _finding(labels: list[str]) -> str:
    if any(label in _TUMOURS for label in labels):
        return "tumour"
    return "no_tumour" if Label.NO_TUMOUR in labels else "not_assessable"


def _deciding(labels: list[str]) -> tuple[str, ...]:
    """The labels that say what the finding is; "tumour" adds nothing to a type of one."""
    tumours = [label for label in _TUMOURS if label in labels]
    if len(tumours) > 1 and Label.TUMOUR in tumours:
        tumours.remove(Label.TUMOUR)
    if tumours:
        return tuple(str(label) for label in tumours)
    return (str(Label.NO_TUMOUR),) if Label.NO_TUMOUR in labels else tuple(dict.fromkeys(labels))
