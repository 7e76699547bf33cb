"""The gate's word as rows of words and numbers for people."""

from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from diagnostics.registry.gate import STALE, UNMEASURED, Standing, rule_names
from diagnostics.registry.models import GateVerdict
from diagnostics.registry.queries import typeset

from .labels import LABELS

TONES = {GateVerdict.PASS: "ok", GateVerdict.FAIL: "danger", GateVerdict.TOO_FEW: "warn", STALE: "warn"}


@dataclass(frozen=True)
class Number:
    """One number of a rule beside what the rule wants."""

    name: str
    value: str
    interval: str
    wanted: str
    verdict: str
    tone: str


@dataclass(frozen=True)
class Rule:
    """One rule: its name, its verdict, the numbers behind it, and what has to be known to read them."""

    name: str
    verdict: str
    tone: str
    numbers: list[Number] = field(default_factory=list)
    hint: str = ""


@dataclass(frozen=True)
class Gate:
    """What the gate says of a model now."""

    verdict: str
    tone: str
    sentence: str
    passed: bool
    standing: Standing
    rules: list[Rule]


def verdict_in_words(verdict: str) -> str:
    """``pass`` and so on, as a person reads it."""
    own = {STALE: _("Out of date"), UNMEASURED: _("Not judged")}
    return own[verdict] if verdict in own else str(GateVerdict(verdict).label)


def _sentence(verdict: str) -> str:
    return {
        GateVerdict.PASS: _("On the same test scans its loss is within the rules."),
        GateVerdict.FAIL: _("On the same test scans it is worse than the rules allow."),
        GateVerdict.TOO_FEW: _("The test set is too small to decide."),
        STALE: _(
            "It was judged against another model or by older rules. The newest candidates are being judged again."
        ),
        UNMEASURED: _("Not known: it was not trained here, or before the gate existed."),
    }[verdict]


def _hint(rule: str, numbers: list[Number]) -> str:
    """Why a calibration error may lie below its interval.

    The report moves the interval onto the value (mlcore.measure.evaluate). The rule was tried as it is: moved here, it
    would no longer be what the verdict goes by.
    """
    if rule != "calibration" or not any(number.interval for number in numbers):
        return ""
    return _(
        "Resampling adds to this error, so its interval can lie above the value. The rule uses the interval, "
        "which is stricter."
    )


def shown(stands: Standing, *, with_numbers: bool) -> Gate:
    """The gate for a page. ``with_numbers``: whether the viewer may know how many scans of which kind there were."""
    rules = []
    if stands.result is not None:
        names = rule_names()
        for each in stands.result.findings:
            numbers = _numbers(each) if with_numbers else []
            rules.append(
                Rule(
                    names.get(each["rule"], each["rule"]),
                    verdict_in_words(each["verdict"]),
                    TONES.get(each["verdict"], "quiet"),
                    numbers,
                    _hint(each["rule"], numbers),
                )
            )
    return Gate(
        verdict_in_words(stands.verdict),
        TONES.get(stands.verdict, "quiet"),
        _sentence(stands.verdict),
        stands.passed,
        stands,
        rules,
    )


def _numbers(found: dict[str, Any]) -> list[Number]:
    """The numbers of a rule; one alone needs no name."""
    rows = [_number(found["rule"], number) for number in found["numbers"]]
    return [replace(row, name=row.name or _("of this model")) for row in rows] if len(rows) > 1 else rows


def _number(rule: str, number: dict[str, Any]) -> Number:
    counted = rule in ("same_test", "test_size")
    form = "{:.0f}" if counted else "{:.3f}" if rule == "calibration" else "{:+.3f}"

    def said(value: float | None) -> str:
        return "–" if value is None else typeset(form.format(value))

    low, high = number.get("low"), number.get("high")
    names = {"images": _("scans"), "groups": _("groups"), **LABELS}
    own = {"accuracy": "", "auroc": "", "calibration": "", "calibration_difference": _("above the live model")}
    limit = number.get("limit")
    if limit is None:
        wanted = ""
    elif rule == "calibration":
        wanted = _("at most %(limit)s") % {"limit": said(limit)}
    else:
        wanted = _("at least %(limit)s") % {"limit": said(limit)}
    return Number(
        str(own.get(number["name"], names.get(number["name"], number["name"]))),
        said(number.get("value")),
        "" if low is None or high is None else _("%(low)s to %(high)s") % {"low": said(low), "high": said(high)},
        wanted,
        verdict_in_words(number["verdict"]),
        TONES.get(number["verdict"], "quiet"),
    )
