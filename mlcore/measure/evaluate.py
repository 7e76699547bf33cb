"""What a model is worth: every number with its 95 % interval, and beside a dummy that never looks at the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlcore.data.dataset import Item
from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.measure.calibrate import softmax, tumour_probability
from mlcore.measure.metrics import (
    DRAWS,
    ECE_BINS,
    Scored,
    confusion,
    curve,
    group_weights,
    measures,
    opinions,
)
from mlcore.model.spec import ModelSpec

MAIN = (
    "accuracy",
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "brier",
    "ece",
    "macro_f1",
    "type_accuracy",
)
_CURVE_POINTS = 100
_BAND_POINTS = 41
_BAND_DRAWS = 400


def scored_items(
    items: Sequence[Item], logits: np.ndarray, spec: ModelSpec, *, threshold: float | None = None
) -> Scored:
    """Put a model's logits beside the truth.

    Parameters
    ----------
    items : sequence of Item
        N images.
    logits : numpy.ndarray, shape (N, leaves)
        Of the network.
    spec : ModelSpec
        Gives temperature, leaves and threshold.
    threshold : float, optional
        Instead of that of the spec.

    Returns
    -------
    Scored
        With calibrated probabilities; an item without a group is a group of its own.
    """
    return Scored(
        probabilities=softmax(logits, spec.temperature),
        labels=[item.label for item in items],
        groups=[item.group or item.sha256 for item in items],
        sources=[item.source for item in items],
        leaves=spec.leaves,
        threshold=spec.threshold if threshold is None else threshold,
    )


def prior_of(labels: Sequence[str], leaves: tuple[str, ...]) -> np.ndarray:
    """Give the share of each leaf among labels, float64 (leaves,); a tumour without a type counts for all types."""
    counts = Counter(labels)
    shares = np.array([float(counts.get(leaf, 0)) for leaf in leaves])
    untyped = sum(n for label, n in counts.items() if label not in leaves or label == TUMOUR)
    types = [i for i, leaf in enumerate(leaves) if leaf != NO_TUMOUR]
    if TUMOUR in leaves:
        shares[types[0]] = len(labels) - counts.get(NO_TUMOUR, 0)
    elif untyped:
        known = shares[types].sum()
        shares[types] += untyped * (shares[types] / known if known else 1.0 / len(types))
    return np.asarray(shares / max(shares.sum(), 1.0))


def evaluate(scored: Scored, *, prior: np.ndarray | None = None, seed: int = 1, draws: int = DRAWS) -> dict[str, Any]:
    """Measure a model.

    Parameters
    ----------
    scored : Scored
        Images it has not been trained on.
    prior : numpy.ndarray, shape (leaves,), optional
        Shares of the leaves in the training part, which the dummy repeats for every image; those of `scored` itself
        where left out.
    seed : int
        Of the bootstrap.
    draws : int
        Number of bootstrap draws.

    Returns
    -------
    dict
        JSON-able: `n`, `n_groups`, `metrics` (name to value, low, high), `per_class`, `confusion`, `roc`, `roc_band`,
        `pr`, `decision`, `calibration`, `by_source`, and `dummy` with the same metrics.

    Raises
    ------
    ValueError
        For no images at all.
    """
    if not scored.labels:
        raise ValueError("There is nothing to measure on.")
    if prior is None:
        prior = prior_of(scored.labels, scored.leaves)
    dummy = Scored(
        np.tile(prior, (len(scored.labels), 1)),
        scored.labels,
        scored.groups,
        scored.sources,
        scored.leaves,
        0.5,
    )
    report = _measured(scored, seed, draws)
    report["dummy"] = _measured(dummy, seed, draws)["metrics"]
    report["threshold"] = scored.threshold
    report["confusion"] = _confusion(scored)
    report.update(_curves(scored))
    report["roc_band"] = _roc_band(scored, seed)
    report["decision"] = decision_curve(scored)
    report["calibration"] = _calibration(scored)
    report["by_source"] = {}
    for source in sorted(set(scored.sources)):
        inside = np.array([each == source for each in scored.sources])
        part = _measured(scored.only(inside), seed, draws)
        part["dummy"] = _measured(dummy.only(inside), seed, draws)["metrics"]
        report["by_source"][source] = part
    return report


def _number(value: float) -> float | None:
    return None if not np.isfinite(value) else round(float(value), 6)


def _measured(scored: Scored, seed: int, draws: int) -> dict[str, Any]:
    """Give counts, the main metrics and those of each class, each as value, low, high."""
    values = measures(scored, np.ones((1, len(scored.labels))))
    drawn = measures(scored, group_weights(scored.groups, seed, draws))

    def interval(name: str) -> dict[str, float | None]:
        known = drawn[name][np.isfinite(drawn[name])]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
        if name == "ece" and len(known):
            # Drawing anew adds noise to every bin, so the errors of the draws are too large by nearly the same amount
            # each, and with few scans all of them may lie above the value. They are moved so that their middle is it.
            too_much = np.median(known) - values[name][0]
            low, high = max(0.0, low - too_much), max(0.0, high - too_much)
        return {"value": _number(values[name][0]), "low": _number(low), "high": _number(high)}

    counts = Counter(scored.labels)
    per_class: dict[str, Any] = {
        leaf: {
            "n": counts.get(leaf, 0) if leaf != TUMOUR else sum(scored.tumour.tolist()),
            "sensitivity": interval(f"sensitivity:{leaf}"),
            "precision": interval(f"precision:{leaf}"),
        }
        for leaf in scored.leaves
    }
    return {
        "n": len(scored.labels),
        "n_groups": len(set(scored.groups)),
        "n_tumour": int(scored.tumour.sum()),
        "metrics": {name: interval(name) for name in MAIN},
        "per_class": per_class,
    }


def _confusion(scored: Scored) -> dict[str, Any]:
    """Give counts of opinions by truth; a truth without a type has a row of its own."""
    words = opinions(scored.probabilities, scored.leaves, scored.threshold)
    rows = list(scored.leaves)
    if TUMOUR not in rows and TUMOUR in scored.labels:
        rows.append(TUMOUR)
    truth = [label if label in rows else TUMOUR for label in scored.labels]
    table = confusion(truth, words, tuple(rows), np.ones((1, len(truth))))[0][:, : len(scored.leaves)]
    return {"truth": rows, "opinion": list(scored.leaves), "counts": table.astype(int).tolist()}


def _curves(scored: Scored) -> dict[str, list[list[float]]]:
    """Give at most a hundred points each of `roc` (false, true positive rate) and `pr` (recall, precision)."""
    tumour = scored.tumour
    if tumour.all() or not tumour.any():
        return {"roc": [], "pr": []}
    _, true, false = curve(scored.scores, tumour, np.ones((1, len(tumour))))
    some = np.unique(np.linspace(0, true.shape[1] - 1, min(_CURVE_POINTS, true.shape[1])).astype(int))
    t, f = true[0, some], false[0, some]
    tpr, fpr, precision = t / tumour.sum(), f / (~tumour).sum(), t / (t + f)
    roc = [[0.0, 0.0], *np.column_stack((fpr, tpr)).round(5).tolist()]
    return {"roc": roc, "pr": np.column_stack((tpr, precision)).round(5).tolist()}


def _roc_band(scored: Scored, seed: int) -> list[list[float]]:
    """Give (false positive rate, low, high) of the true positive rate's 95 % interval, by bootstrap over groups."""
    tumour = scored.tumour
    if tumour.all() or not tumour.any():
        return []
    grid = np.linspace(0.0, 1.0, _BAND_POINTS)
    _, true, false = curve(scored.scores, tumour, group_weights(scored.groups, seed, _BAND_DRAWS))
    drawn = [
        np.interp(grid, np.append(0.0, f / f[-1]), np.append(0.0, t / t[-1]))
        for t, f in zip(true, false, strict=True)
        if t[-1] > 0 and f[-1] > 0
    ]
    if not drawn:
        return []
    low, high = np.percentile(np.stack(drawn), (2.5, 97.5), axis=0)
    return np.column_stack((grid, low, high)).round(5).tolist()


def decision_curve(scored: Scored) -> list[list[float]]:
    """Give (threshold, net benefit of the model, of calling everybody a tumour) from 0.05 to 0.95.

    Net benefit counts a true positive as one and a false one as the odds of the threshold, a scan each: what a reader
    gains who acts from that probability on (Vickers & Elkin 2006, Med Decis Making 26:565). Of calling nobody it is 0.
    """
    tumour, scores, total = scored.tumour, scored.scores, len(scored.labels)
    rows = []
    for threshold in np.arange(0.05, 0.96, 0.05):
        odds = threshold / (1.0 - threshold)
        called = scores >= threshold
        model = (called & tumour).sum() / total - odds * (called & ~tumour).sum() / total
        everybody = tumour.sum() / total - odds * (~tumour).sum() / total
        rows.append([round(float(each), 5) for each in (threshold, model, everybody)])
    return rows


def _calibration(scored: Scored) -> list[dict[str, float]]:
    """Give by tenth of probability: `n`, mean `predicted`, share `observed`; empty tenths are left out."""
    scores, tumour = scored.scores, scored.tumour
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "n": int((bins == k).sum()),
            "predicted": round(float(scores[bins == k].mean()), 5),
            "observed": round(float(tumour[bins == k].mean()), 5),
        }
        for k in range(ECE_BINS)
        if np.any(bins == k)
    ]


def compare(a: Scored, b: Scored, *, seed: int = 1, draws: int = DRAWS) -> dict[str, dict[str, float | None]]:
    """Compare two models on the same images, by paired bootstrap over groups.

    Parameters
    ----------
    a, b : Scored
        The same images in the same order.
    seed, draws : int
        Of the bootstrap.

    Returns
    -------
    dict
        For each main metric the difference b - a: `value`, `low`, `high`.

    Raises
    ------
    ValueError
        Where the images differ.
    """
    if list(a.labels) != list(b.labels) or list(a.groups) != list(b.groups):
        raise ValueError("Two models can only be compared on the same images.")
    ones, weights = np.ones((1, len(a.labels))), group_weights(a.groups, seed, draws)
    value_a, value_b = measures(a, ones), measures(b, ones)
    drawn_a, drawn_b = measures(a, weights), measures(b, weights)
    answer = {}
    for name in MAIN:
        apart = drawn_b[name] - drawn_a[name]
        known = apart[np.isfinite(apart)]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
        difference = value_b[name][0] - value_a[name][0]
        answer[name] = {"value": _number(difference), "low": _number(low), "high": _number(high)}
    return answer


def band_report(scored: Scored, band: tuple[float, float]) -> dict[str, float | None]:
    """Say how often opinions within the uncertain band, and outside of it, are wrong."""
    scores = tumour_probability(scored.probabilities, scored.leaves)
    inside = (scores >= band[0]) & (scores <= band[1])
    wrong = (scores >= scored.threshold) != scored.tumour
    return {
        "share": _number(float(inside.mean())),
        "wrong_inside": _number(float(wrong[inside].mean()) if inside.any() else np.nan),
        "wrong_outside": _number(float(wrong[~inside].mean()) if (~inside).any() else np.nan),
    }
