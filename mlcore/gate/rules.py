"""Rules by which a candidate may take the place of the model in use, and what they say of one.

Each rule answers `pass`, `fail` or `too_few` ("too few to say"). A loss is judged as in a trial of non-inferiority: it
passes where the whole interval of the paired difference lies above minus the margin, it fails where the whole interval
lies below zero, and in between the test part is too small to tell. Pure arithmetic on what two models said of the very
same images; both are drawn again by groups together, so the differences are paired.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.measure.metrics import Scored, group_weights, measures

PASS, FAIL, TOO_FEW = "pass", "fail", "too_few"
VERDICTS = (PASS, FAIL, TOO_FEW)
RULES = ("same_test", "test_size", "accuracy", "auroc", "sensitivity", "calibration")
_RANGES: dict[str, tuple[float, float]] = {
    "least_scans": (1, 1_000_000),
    "least_groups": (1, 1_000_000),
    "least_of_class": (1, 1_000_000),
    "accuracy_margin": (0.0, 0.5),
    "auroc_margin": (0.0, 0.5),
    "sensitivity_margin": (0.0, 0.5),
    "calibration_limit": (0.001, 1.0),
    "calibration_margin": (-1.0, 0.5),
    "confidence": (0.5, 0.999),
}
_WHOLE = ("least_scans", "least_groups", "least_of_class")


class BadRules(ValueError):
    """Rules that cannot be applied; the sentence names the one and what it may be."""


@dataclass(frozen=True)
class Rules:
    """What a candidate must show, declared before it is measured.

    Attributes
    ----------
    least_scans, least_groups : int
        Images, and groups of them, that the test part must hold.
    least_of_class : int
        Images of a class from which its sensitivity is judged.
    accuracy_margin, auroc_margin : float
        Loss against the model in use that is borne at most.
    sensitivity_margin : float
        The same for the sensitivity of each class.
    calibration_limit : float
        Calibration error that the whole interval must keep within.
    calibration_margin : float
        By how much the error may surely not exceed that of the model in use on the same images, where it cannot be
        told whether it keeps the limit. One large group of look-alikes moves the errors of both, and their difference
        little. -1: the limit alone counts.
    confidence : float
        Of the two-sided intervals.
    """

    least_scans: int = 300
    least_groups: int = 100
    least_of_class: int = 40
    accuracy_margin: float = 0.03
    auroc_margin: float = 0.05
    sensitivity_margin: float = 0.12
    calibration_limit: float = 0.1
    calibration_margin: float = 0.01
    confidence: float = 0.85

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            wanted = int if name in _WHOLE else (int, float)
            if isinstance(value, bool) or not isinstance(value, wanted):
                kind = "a whole number" if name in _WHOLE else "a number"
                raise BadRules(f"The rule {name} must be {kind}, not {value!r}.")
            if not low <= value <= high:
                raise BadRules(f"The rule {name} must lie between {low:g} and {high:g}, not at {value:g}.")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Rules:
        """Make rules from a mapping; what it leaves out has its default. Raises `BadRules`.

        Rules without a margin of calibration were declared when there was none, and have none.
        """
        unknown = sorted(set(given) - set(_RANGES))
        if unknown:
            raise BadRules(f"The rule {unknown[0]!r} is unknown; known are {', '.join(_RANGES)}.")
        return cls(**{"calibration_margin": -1.0, **given})

    def to_dict(self) -> dict[str, Any]:
        """Give the rules as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Drawn:
    """A model measured on its images, and on so many draws of their groups.

    Attributes
    ----------
    weights : numpy.ndarray, shape (draws, N)
        How often each image was drawn.
    values, draws : dict of str to numpy.ndarray, shapes (1,) and (draws,)
        Every metric on all images, and in each draw.
    """

    weights: np.ndarray
    values: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]


def drawn(scored: Scored, *, weights: np.ndarray | None = None, seed: int = 1, draws: int = 1000) -> Drawn:
    """Measure a model; the same seed draws the same groups, and `weights` takes those of another of its images."""
    if weights is None:
        weights = group_weights(scored.groups, seed, draws)
    return Drawn(weights, measures(scored, np.ones((1, len(scored.labels)))), measures(scored, weights))


def judge(
    live: Scored | None,
    candidate: Scored,
    rules: Rules,
    *,
    seed: int = 1,
    draws: int = 1000,
    beside: Drawn | None = None,
    measured: Drawn | None = None,
) -> dict[str, Any]:
    """Say what the rules say of a candidate.

    Parameters
    ----------
    live : Scored or None
        The model in use on the test part; None where there is none, or it could not be measured.
    candidate : Scored
        The candidate on the same images in the same order.
    rules : Rules
        Declared beforehand.
    seed, draws : int
        Of the bootstrap.
    beside, measured : Drawn, optional
        `drawn` of the model in use and of the candidate on the same draws, for whoever judges either more than once.

    Returns
    -------
    dict
        JSON-able: `verdict` over all, and `rules`: for each of `RULES`, in order, `rule`, `verdict`, and `numbers`,
        a list of `name`, `value`, `low`, `high`, `n`, `limit` and `verdict` (None where there is none).
    """
    same = live is not None and list(live.labels) == list(candidate.labels) and live.groups == candidate.groups
    found = [_rule("same_test", [_number("images", float(len(candidate.labels)), verdict=PASS if same else TOO_FEW)])]
    found.append(_test_size(candidate, rules))
    if live is not None and same:
        beside = beside or drawn(live, seed=seed, draws=draws)
        measured = measured or drawn(candidate, weights=beside.weights)
        found += _losses((live, candidate), (beside, measured), rules)
    else:
        measured = measured or drawn(candidate, seed=seed, draws=draws)
        found += [_rule(name, [_number(name, None, verdict=TOO_FEW)]) for name in RULES[2:5]]
    found.append(_calibration(len(candidate.labels), measured, beside if same else None, rules))
    return {"verdict": worst(each["verdict"] for each in found), "rules": found}


def worst(verdicts: Any) -> str:
    """Give one verdict over several: a fault outweighs a doubt, a doubt a pass."""
    said = set(verdicts)
    return FAIL if FAIL in said else TOO_FEW if TOO_FEW in said else PASS


def loss_verdict(low: float, high: float, margin: float) -> str:
    """Judge a difference, candidate minus live, by its interval; what is not a number says nothing."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return TOO_FEW
    if low >= -margin:
        return PASS
    return FAIL if high < 0 else TOO_FEW


def compared_leaves(live: Scored, candidate: Scored) -> list[tuple[str, str]]:
    """Give (class, name of its measure): the two findings, and the types where both models tell them."""
    found = [(NO_TUMOUR, "specificity"), (TUMOUR, "sensitivity")]
    shared = [leaf for leaf in candidate.leaves if leaf in live.leaves and leaf not in (NO_TUMOUR, TUMOUR)]
    return found + [(leaf, f"sensitivity:{leaf}") for leaf in shared]


def _rule(name: str, numbers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"rule": name, "verdict": worst(each["verdict"] for each in numbers), "numbers": numbers}


def _number(
    name: str,
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    n: int | None = None,
    limit: float | None = None,
    verdict: str,
) -> dict[str, Any]:
    def plain(each: float | None) -> float | None:
        return None if each is None or not np.isfinite(each) else round(float(each), 6)

    return {
        "name": name,
        "value": plain(value),
        "low": plain(low),
        "high": plain(high),
        "n": n,
        "limit": plain(limit),
        "verdict": verdict,
    }


def _test_size(candidate: Scored, rules: Rules) -> dict[str, Any]:
    sizes = (
        ("images", len(candidate.labels), rules.least_scans),
        ("groups", len(set(candidate.groups)), rules.least_groups),
    )
    return _rule(
        "test_size",
        [_number(name, n, limit=least, verdict=PASS if n >= least else TOO_FEW) for name, n, least in sizes],
    )


def _losses(models: tuple[Scored, Scored], measured: tuple[Drawn, Drawn], rules: Rules) -> list[dict[str, Any]]:
    """Judge accuracy, AUROC, and the sensitivity of each class, live and candidate drawn together by groups."""
    live, candidate = models
    before, now = measured

    def difference(name: str, words: str, margin: float, n: int) -> dict[str, Any]:
        apart = now.draws[name] - before.draws[name]
        known = apart[np.isfinite(apart)]
        half = 50.0 * (1.0 - rules.confidence)
        low, high = np.percentile(known, (half, 100.0 - half)) if len(known) else (np.nan, np.nan)
        return _number(
            words,
            now.values[name][0] - before.values[name][0],
            low=low,
            high=high,
            n=n,
            limit=-margin,
            verdict=loss_verdict(low, high, margin),
        )

    total = len(live.labels)
    counts = Counter(candidate.labels)
    counts[TUMOUR] = total - counts[NO_TUMOUR]
    classes = []
    for leaf, measure in compared_leaves(live, candidate):
        if not counts[leaf]:
            continue
        number = difference(measure, leaf, rules.sensitivity_margin, counts[leaf])
        # A handful of scans may all be right by chance; only harm that is sure is said of them.
        if counts[leaf] < rules.least_of_class and number["verdict"] == PASS:
            number["verdict"] = TOO_FEW
        classes.append(number)
    return [
        _rule("accuracy", [difference("accuracy", "accuracy", rules.accuracy_margin, total)]),
        _rule("auroc", [difference("auroc", "auroc", rules.auroc_margin, total)]),
        _rule("sensitivity", classes),
    ]


def _calibration(n: int, measured: Drawn, beside: Drawn | None, rules: Rules) -> dict[str, Any]:
    """Judge the calibration error: it fails where its whole interval is beyond the limit, and passes where all of it
    keeps within, or where all of what it exceeds that of the model in use by keeps within the margin."""
    half = 50.0 * (1.0 - rules.confidence)
    ends = (half, 100.0 - half)
    low, high = np.percentile(measured.draws["ece"], ends)
    limit, margin = rules.calibration_limit, rules.calibration_margin
    verdict = PASS if high <= limit else FAIL if low > limit else TOO_FEW
    value = float(measured.values["ece"][0])
    if beside is None or verdict != TOO_FEW or margin < 0:
        return _rule(
            "calibration", [_number("calibration", value, low=low, high=high, n=n, limit=limit, verdict=verdict)]
        )
    lower, upper = np.percentile(measured.draws["ece"] - beside.draws["ece"], ends)
    if upper <= margin:
        verdict = PASS
    apart = value - float(beside.values["ece"][0])
    return _rule(
        "calibration",
        [
            _number("calibration", value, low=low, high=high, n=n, limit=limit, verdict=verdict),
            _number("calibration_difference", apart, low=lower, high=upper, n=n, limit=margin, verdict=verdict),
        ],
    )
