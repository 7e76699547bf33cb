"""What only the lab's pages show of a model: charts, and figures by source under names that the viewer may know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from diagnostics.models import Institution, ModelVersion
from diagnostics.registry.queries import ClassRow, Measured, beside, by_class, measured, part_of
from portal.learning.labels import LABELS, SHORT
from portal.ui import charts

_SITE = "site-"


@dataclass(frozen=True)
class SourceRow:
    name: str
    n: int
    accuracy: Measured
    auroc: Measured


def classes(version: ModelVersion) -> list[tuple[str, ClassRow]]:
    """Sensitivity and precision of each label, under its name."""
    return [(str(LABELS.get(row.label, row.label)), row) for row in by_class(version)]


def sources(version: ModelVersion, visible: Mapping[str, str]) -> list[SourceRow]:
    """Accuracy and AUROC by where the scans came from. ``visible``: name of each ``site-…`` that may be named.

    What a foreign institution contributed is left out: nobody sees another institution's numbers.
    """
    none = Measured("–")
    answer = []
    for source, part in part_of(version).get("by_source", {}).items():
        if source.startswith(_SITE) and source not in visible:
            continue
        numbers = part.get("metrics", {})
        answer.append(
            SourceRow(
                visible.get(source, source),
                part.get("n", 0),
                measured(numbers.get("accuracy")) or none,
                measured(numbers.get("auroc")) or none,
            )
        )
    return answer if len(answer) > 1 else []


def site_names(institutions: Any) -> dict[str, str]:
    """``site-3`` to the institution's name."""
    return {f"{_SITE}{place.pk}": place.name for place in institutions if isinstance(place, Institution)}


def _closed(truth: str, opinion: str) -> str:
    """No address: these cells cannot be opened."""
    return ""


def _cell_of(version: ModelVersion) -> Callable[[str, str], str]:
    """Gives the address of the cases behind a cell of the confusion matrix."""
    here = reverse("lab:tested", args=[version.pk])
    return lambda truth, opinion: f"{here}?{urlencode({'truth': truth, 'opinion': opinion})}"


def drawings(version: ModelVersion, *, cells_open: bool = False) -> list[Any]:
    """The charts of a model, the live one beside it where it was measured.

    ``cells_open``: whether the cells of the confusion matrix lead to their cases.
    """
    part, other = part_of(version), beside(version)
    mine = str(version)
    series: dict[str, dict[str, Any]] = {mine: part}
    if other.get("test"):
        series[_("Live model at the time: %(name)s v%(number)s") % other] = other["test"]
    auroc, auprc, ece = (measured(part.get("metrics", {}).get(name)) for name in ("auroc", "auprc", "ece"))
    found = [
        charts.roc(
            {name: each.get("roc", []) for name, each in series.items()},
            _("AUROC %(value)s (95 %% interval %(interval)s).") % auroc.__dict__ if auroc else "",
            part.get("roc_band", []),
        ),
        charts.precision_recall(
            {name: each.get("pr", []) for name, each in series.items()},
            _("AUPRC %(value)s (95 %% interval %(interval)s).") % auprc.__dict__ if auprc else "",
        ),
        charts.calibration(
            {name: each.get("calibration", []) for name, each in series.items()},
            _("Expected calibration error %(value)s.") % ece.__dict__ if ece else "",
        ),
        charts.decision(
            {name: each.get("decision", []) for name, each in series.items()},
            _("The higher curve has more benefit at the chosen threshold."),
        ),
        charts.confusion(part.get("confusion", {}), SHORT, _cell_of(version) if cells_open else _closed),
    ]
    return [chart for chart in found if chart is not None]


def not_kept(version: ModelVersion) -> list[str]:
    """Name what a measured model's report lacks, since an earlier version of the software wrote it.

    It cannot be had from the rest of the report: both need what the model said of each scan. Nor from the weights,
    where they have seen the test part since (docs/adr/0006): then only a new training measures them.
    """
    part = part_of(version)
    if not part.get("roc"):
        return []
    names = {"roc_band": _("the band about the ROC curve"), "decision": _("the decision curve")}
    return [name for key, name in names.items() if not part.get(key)]
