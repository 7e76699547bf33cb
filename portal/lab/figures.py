"""What only the lab's pages show of a model: charts, and figures by source under names that the viewer may know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from diagnostics.models import Institution, ModelVersion
from diagnostics.registry.queries import ClassRow, Measured, beside, by_class, measured, part_of
from diagnostics.reviews.models import Label
from portal.ui import charts

_SITE = "site-"
# Of a model, "tumour" is an answer and not one whose type was left out.
LABELS: dict[str, Any] = {**dict(Label.choices), Label.TUMOUR: _lazy("Tumour")}
SHORT: dict[str, Any] = {**LABELS, Label.PITUITARY: _lazy("Pituitary"), Label.MENINGIOMA: _lazy("Mening.")}


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


def drawings(version: ModelVersion) -> list[Any]:
    """ROC, calibration and confusion matrix of a model, the live one beside it where it was measured."""
    part, other = part_of(version), beside(version)
    mine = str(version)
    series: dict[str, dict[str, Any]] = {mine: part}
    if other.get("test"):
        series[_("Live then: %(name)s v%(number)s") % other] = other["test"]
    auroc, ece = measured(part.get("metrics", {}).get("auroc")), measured(part.get("metrics", {}).get("ece"))
    found = [
        charts.roc(
            {name: each.get("roc", []) for name, each in series.items()},
            _("AUROC %(value)s (95 %% interval %(interval)s).") % auroc.__dict__ if auroc else "",
        ),
        charts.calibration(
            {name: each.get("calibration", []) for name, each in series.items()},
            _("Expected calibration error %(value)s.") % ece.__dict__ if ece else "",
        ),
        charts.confusion(part.get("confusion", {}), SHORT),
    ]
    return [chart for chart in found if chart is not None]
