"""A model's report as rows of words and numbers; reports lack whatever could not be measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import get_format
from django.utils.translation import gettext as _

from .models import ModelVersion


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class Row:
    """One measure: of the model, of the dummy, of the live model on the same scans, and the difference to it."""

    name: str
    hint: str
    model: Measured
    dummy: Measured | None = None
    live: Measured | None = None
    difference: Measured | None = None
    verdict: str = ""


@dataclass(frozen=True)
class ClassRow:
    """How well one label is told."""

    label: str
    n: int
    sensitivity: Measured
    precision: Measured


def _names() -> tuple[tuple[str, str, str, bool], ...]:
    """Key, name, what it means, and whether more is better."""
    return (
        ("accuracy", _("Accuracy"), _("tumour or not"), True),
        ("auroc", _("AUROC"), _("0.5 is chance, 1 is perfect"), True),
        ("auprc", _("AUPRC"), _("area under the precision–recall curve"), True),
        ("sensitivity", _("Sensitivity"), _("sensitivity: tumours correctly identified"), True),
        ("specificity", _("Specificity"), _("others that were called so"), True),
        ("macro_f1", _("Macro F1"), _("over the labels"), True),
        ("type_accuracy", _("Accuracy over the labels"), _("same label"), True),
        ("brier", _("Brier score"), _("lower is better"), False),
        ("ece", _("Calibration error"), _("lower is better"), False),
    )


def measured(found: Mapping[str, Any] | None, *, signed: bool = False) -> Measured | None:
    """``{"value", "low", "high"}`` in words; None where there is no value."""
    if not found or found.get("value") is None:
        return None
    form = "{:+.3f}" if signed else "{:.3f}"
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return Measured(typeset(form.format(found["value"])))
    return Measured(
        typeset(form.format(found["value"])),
        _("%(low)s to %(high)s") % {"low": typeset(form.format(low)), "high": typeset(form.format(high))},
    )


def typeset(text: str) -> str:
    """A number as people set it: a true minus, and the decimal sign of their language."""
    return text.replace("-", "−").replace(".", str(get_format("DECIMAL_SEPARATOR")))


def part_of(version: ModelVersion) -> dict[str, Any]:
    """What was measured on the test part; empty where nothing was."""
    return (version.report or {}).get("test") or {}


def beside(version: ModelVersion) -> dict[str, Any]:
    """The live model of that time on the same scans; empty where there was none."""
    return (version.report or {}).get("compared_with_live") or {}


def rows(version: ModelVersion) -> list[Row]:
    """The main measures, each beside the dummy and the live model."""
    part, other = part_of(version), beside(version)
    answer = []
    for key, name, hint, more in _names():
        value = measured(part.get("metrics", {}).get(key))
        if value is None:
            continue
        apart = other.get("difference", {}).get(key)
        answer.append(
            Row(
                name,
                hint,
                value,
                measured(part.get("dummy", {}).get(key)),
                measured((other.get("test") or {}).get("metrics", {}).get(key)),
                measured(apart, signed=True),
                _verdict(apart, more),
            )
        )
    return answer


def _verdict(apart: Mapping[str, Any] | None, more: bool) -> str:
    """``better`` or ``worse`` only where the whole interval says so."""
    if not apart or apart.get("low") is None or apart.get("high") is None:
        return ""
    if apart["low"] > 0:
        return "better" if more else "worse"
    if apart["high"] < 0:
        return "worse" if more else "better"
    return ""


def by_class(version: ModelVersion) -> list[ClassRow]:
    """Sensitivity and precision of each label."""
    none = Measured("–")
    return [
        ClassRow(
            leaf,
            row.get("n", 0),
            measured(row.get("sensitivity")) or none,
            measured(row.get("precision")) or none,
        )
        for leaf, row in part_of(version).get("per_class", {}).items()
    ]
