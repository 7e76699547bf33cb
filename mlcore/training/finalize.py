"""What a trained network still needs before it may give opinions, and what it is worth.

Temperature, threshold, uncertain band, sets of labels and the limit of the detector are all chosen on the validation
part; then the network is measured there and, unseen until then, on the test part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow import keras

from mlcore.data.dataset import Item, allowed_masks
from mlcore.data.labels import NO_TUMOUR
from mlcore.data.split import SPLITS
from mlcore.measure.calibrate import (
    choose_threshold,
    fit_temperature,
    softmax,
    threshold_for,
    tumour_probability,
    uncertain_band,
)
from mlcore.measure.conformal import coverage, fit_cuts
from mlcore.measure.evaluate import band_report, evaluate, prior_of, scored_items
from mlcore.measure.metrics import group_weights
from mlcore.model.spec import ModelSpec
from mlcore.networks import ood
from mlcore.networks.runtime import forward
from mlcore.training import ood_samples
from mlcore.training.crops import CropFile
from mlcore.training.loop import Part, logits_of
from mlcore.training.progress import Reporter

# Share of the validation part that may be called unlike the training images: half of what may be flagged of true
# scans, as a limit drawn at 1 % of some four hundred groups was passed by 1.4 % of others.
FALSE_ALARMS = 0.005
# Training images of which descriptions are kept: more teach no more, and memory must not grow with the data.
_MOST_LOOKED_AT = 8000
PART_NAMES = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Choices:
    """What the user of a model wants of it.

    Attributes
    ----------
    error_rate : float
        Share of scans whose set of labels may lack the truth.
    sensitivity : float or None
        Share of tumours, on the validation part, that the threshold must find; None for the threshold nearest to a
        half among the best.
    """

    error_rate: float = 0.1
    sensitivity: float | None = None


def parts_of(items: Sequence[Item], crops: np.ndarray | CropFile, leaves: tuple[str, ...]) -> dict[str, Part]:
    """Part items with their crops, uint8 (N, s, s), into `SPLITS`."""
    masks = allowed_masks(items, leaves)
    parts = {}
    for name in SPLITS:
        chosen = [i for i, item in enumerate(items) if item.split == name]
        parts[name] = Part([items[i] for i in chosen], crops[chosen], masks[chosen])
    return parts


def finalize(
    model: keras.Model, spec: ModelSpec, parts: dict[str, Part], choices: Choices, reporter: Reporter
) -> tuple[ModelSpec, ood.Detector, dict[str, Any]]:
    """Calibrate a network on the validation part, and measure it.

    Parameters
    ----------
    model : keras.Model
        The network with its weights.
    spec : ModelSpec
        Its description; what it says of calibration is not read.
    parts : dict of str to Part
        By `parts_of`.
    choices : Choices
        What is wanted.
    reporter : Reporter
        Told at fractions 0.93 to 0.98; raises `Cancelled`.

    Returns
    -------
    ModelSpec, Detector, dict
        The description with all that was chosen; what the training part looks like; and for the report `validation`,
        `test` (None where it lacks a class), `novelty`, `uncertain`, `sets` and `choices`.
    """
    run = forward(model, spec)
    learned = parts["train"]
    if len(learned.items) > _MOST_LOOKED_AT:
        learned = learned.some(np.random.default_rng(0).permutation(len(learned.items))[:_MOST_LOOKED_AT])
    out: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, name in enumerate(SPLITS):
        part = learned if name == "train" else parts[name]
        if len(part.items):
            out[name] = logits_of(run, part.crops, spec.channels, tick=reporter.check)
        reporter.at(0.93 + 0.01 * number, f"measured on the {PART_NAMES[name]} part", now=True)
    spec = _calibrated(spec, parts["validation"], out["validation"][0], choices)
    reporter.at(0.96, "learning what is no scan", now=True)
    drawn = ood_samples.drawn(learned.crops, 1, tick=reporter.check)
    strange = logits_of(run, drawn, spec.channels, tick=reporter.check)[1]
    detector = reporter.during(lambda: _detector(spec, learned, out, strange))
    limit = float(np.quantile(detector.score(out["validation"][1]), 1.0 - FALSE_ALARMS))
    spec = dataclasses.replace(spec, novelty_threshold=round(limit, 6))
    prior = prior_of([item.label for item in parts["train"].items], spec.leaves)
    report: dict[str, Any] = {
        "choices": dataclasses.asdict(choices),
        "novelty": {"threshold": limit, "strangers": len(drawn), "flagged": {}, "flagged_interval": {}},
        "uncertain": {},
        "sets": {},
    }
    for number, name in enumerate(("validation", "test")):
        reporter.at(0.975 + 0.005 * number, f"intervals for the {PART_NAMES[name]} part", now=True)
        labels = {item.label != NO_TUMOUR for item in parts[name].items}
        if len(labels) < 2:
            report[name] = None
            continue
        scored = scored_items(parts[name].items, out[name][0], spec)
        report[name], report["uncertain"][name], report["sets"][name] = reporter.during(
            lambda scored=scored: (  # type: ignore[misc]
                evaluate(scored, prior=prior),
                band_report(scored, spec.uncertain),
                coverage(scored, spec.cuts),
            )
        )
        far = detector.score(out[name][1]) > spec.novelty_threshold
        report["novelty"]["flagged"][name] = round(float(far.mean()), 5)
        report["novelty"]["flagged_interval"][name] = _interval(far, scored.groups)
    return spec, detector, report


def _detector(
    spec: ModelSpec, learned: Part, out: dict[str, tuple[np.ndarray, np.ndarray]], strange: np.ndarray
) -> ood.Detector:
    """Learn what heads look like, and what tells them from other pictures."""
    logits, described = out["train"]
    inside = learned.masks * softmax(logits, spec.temperature)
    detector = ood.fit_detector(described, inside.argmax(axis=1), len(spec.leaves))
    return ood.fit_line(detector, described, strange, out["validation"][1])


def _interval(flagged: np.ndarray, groups: Sequence[str]) -> list[float]:
    """Give the 95 % interval of the share of flagged images, by bootstrap over groups."""
    weights = group_weights(groups, 1)
    shares = weights @ flagged / weights.sum(axis=1)
    return [round(float(end), 5) for end in np.quantile(shares, (0.025, 0.975))]


def _calibrated(spec: ModelSpec, validation: Part, logits: np.ndarray, choices: Choices) -> ModelSpec:
    """Choose temperature, threshold, band and cuts."""
    temperature = round(fit_temperature(logits, validation.masks), 6)
    scores = tumour_probability(softmax(logits, temperature), spec.leaves)
    tumour = np.array([item.label != NO_TUMOUR for item in validation.items], dtype=bool)
    groups = [item.group or item.sha256 for item in validation.items]
    if choices.sensitivity is None:
        threshold = choose_threshold(scores, tumour, groups)
    else:
        threshold = threshold_for(scores, tumour, groups, choices.sensitivity)
    # Rounded down: the scan that decided must not fall below by rounding.
    threshold = float(np.floor(threshold * 1e6) / 1e6)
    spec = dataclasses.replace(
        spec, temperature=temperature, threshold=threshold, uncertain=uncertain_band(scores, threshold)
    )
    cuts = fit_cuts(scored_items(validation.items, logits, spec), choices.error_rate)
    return dataclasses.replace(spec, error_rate=choices.error_rate, cuts=cuts)
