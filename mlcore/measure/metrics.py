"""Metrics as functions of weights, so that one piece of code gives the value and its interval.

A bootstrap over groups draws groups with replacement; an item's weight is how often its group was drawn. All draws
are computed at once, as rows of a matrix of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.measure.calibrate import tumour_probability

DRAWS = 1000
_ROWS_AT_ONCE = 100
ECE_BINS = 10


@dataclass(frozen=True)
class Scored:
    """Images with their truth and what a model said of them.

    Attributes
    ----------
    probabilities : numpy.ndarray, shape (N, leaves)
        Each row sums to 1.
    labels : sequence of str
        The truth; members of `mlcore.data.labels.READABLE`.
    groups, sources : sequence of str
        Of each image.
    leaves : tuple of str
        Order of the columns.
    threshold : float
        Probability of a tumour from which the finding is `tumour`.
    """

    probabilities: np.ndarray
    labels: Sequence[str]
    groups: Sequence[str]
    sources: Sequence[str]
    leaves: tuple[str, ...]
    threshold: float

    @property
    def tumour(self) -> np.ndarray:
        """The truth of the binary question, bool (N,)."""
        return np.array([label != NO_TUMOUR for label in self.labels], dtype=bool)

    @property
    def scores(self) -> np.ndarray:
        """Probability of a tumour, float64 (N,)."""
        return tumour_probability(self.probabilities, self.leaves)

    def only(self, keep: np.ndarray) -> Scored:
        """Give the items where `keep`, bool (N,), is true."""
        chosen = np.flatnonzero(keep).tolist()
        return Scored(
            self.probabilities[chosen],
            [self.labels[i] for i in chosen],
            [self.groups[i] for i in chosen],
            [self.sources[i] for i in chosen],
            self.leaves,
            self.threshold,
        )


def opinions(probabilities: np.ndarray, leaves: tuple[str, ...], threshold: float) -> list[str]:
    """Give the label of each row: the likeliest leaf that agrees with the finding.

    The finding is decided by the threshold, the type by the leaves below it; so the two never disagree.
    """
    tumour = [i for i, leaf in enumerate(leaves) if leaf != NO_TUMOUR]
    found = tumour_probability(probabilities, leaves) >= threshold
    types = np.array(tumour)[probabilities[:, tumour].argmax(axis=1)]
    return [leaves[kind] if each else NO_TUMOUR for each, kind in zip(found, types, strict=True)]


def group_weights(groups: Sequence[str], seed: int, draws: int = DRAWS) -> np.ndarray:
    """Draw groups with replacement; float64 (draws, N) says how often each item's group was drawn."""
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=draws)
    return np.asarray(counts[:, inverse], dtype=np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def curve(scores: np.ndarray, tumour: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Give weighted counts of true and false positives at each distinct score, highest first.

    Returns
    -------
    thresholds (K,), true positives (B, K), false positives (B, K)
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    positive = np.cumsum(weights[:, order] * tumour[order], axis=1)[:, last]
    negative = np.cumsum(weights[:, order] * ~tumour[order], axis=1)[:, last]
    return ordered[last], positive, negative


def ranking(scores: np.ndarray, tumour: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Give `auroc` and `auprc` (average precision), each (B,); NaN where a draw holds one class only."""
    _, true, false = curve(scores, tumour, weights)
    start = np.zeros((len(weights), 1))
    tpr = np.hstack((start, _ratio(true, np.repeat(true[:, -1:], true.shape[1], axis=1))))
    fpr = np.hstack((start, _ratio(false, np.repeat(false[:, -1:], false.shape[1], axis=1))))
    auroc = (np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2.0).sum(axis=1)
    steps = np.diff(tpr, axis=1)
    precision = np.where(true + false > 0, true / np.maximum(true + false, 1e-12), 0.0)
    return {"auroc": auroc, "auprc": np.where(np.isnan(auroc), np.nan, (steps * precision).sum(axis=1))}


def calibration_error(scores: np.ndarray, tumour: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give the expected calibration error over ten equal bins of the tumour's probability, (B,)."""
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    member = np.eye(ECE_BINS)[bins]
    gap = (weights * scores) @ member - (weights * tumour) @ member
    return np.asarray(np.abs(gap).sum(axis=1) / weights.sum(axis=1))


def confusion(
    labels: Sequence[str], called: Sequence[str], leaves: tuple[str, ...], weights: np.ndarray
) -> np.ndarray:
    """Give weighted counts (B, truth, opinion) over the leaves; items whose truth is no leaf are left out."""
    place = {leaf: i for i, leaf in enumerate(leaves)}
    keep = [i for i, label in enumerate(labels) if label in place]
    cells = np.array([place[labels[i]] * len(leaves) + place[called[i]] for i in keep], dtype=int)
    member = np.eye(len(leaves) ** 2)[cells] if keep else np.zeros((0, len(leaves) ** 2))
    return np.asarray((weights[:, keep] @ member).reshape(-1, len(leaves), len(leaves)))


def measures(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Give every metric for every row of weights.

    Parameters
    ----------
    scored : Scored
        N images.
    weights : numpy.ndarray, shape (B, N)
        Ones for the value itself.

    Returns
    -------
    dict of str to numpy.ndarray, shape (B,)
        NaN where a metric is not defined for a draw.
    """
    scores, tumour = scored.scores, scored.tumour
    called = scores >= scored.threshold
    total = weights.sum(axis=1)
    found = {
        "accuracy": _ratio(weights @ (called == tumour), total),
        "sensitivity": _ratio(weights @ (called & tumour), weights @ tumour),
        "specificity": _ratio(weights @ (~called & ~tumour), weights @ ~tumour),
        "brier": _ratio(weights @ (scores - tumour) ** 2, total),
        "ece": calibration_error(scores, tumour, weights),
    }
    parts = [ranking(scores, tumour, weights[i : i + _ROWS_AT_ONCE]) for i in range(0, len(weights), _ROWS_AT_ONCE)]
    for name in ("auroc", "auprc"):
        found[name] = np.concatenate([part[name] for part in parts])
    words = opinions(scored.probabilities, scored.leaves, scored.threshold)
    truth = scored.labels
    if TUMOUR in scored.leaves:
        truth = [label if label == NO_TUMOUR else TUMOUR for label in truth]
    table = confusion(truth, words, scored.leaves, weights)
    right = np.diagonal(table, axis1=1, axis2=2)
    recall, precision = _ratio(right, table.sum(axis=2)), _ratio(right, table.sum(axis=1))
    # Types can be judged only where the truth names more than one leaf.
    seen = table.sum(axis=2) > 0
    table = np.where((seen.sum(axis=1) > 1)[:, None, None], table, 0.0)
    seen &= (seen.sum(axis=1) > 1)[:, None]
    f1 = _ratio(2 * right, table.sum(axis=2) + table.sum(axis=1))
    found["macro_f1"] = _ratio(np.where(seen, np.nan_to_num(f1), 0.0).sum(axis=1), seen.sum(axis=1).astype(float))
    found["type_accuracy"] = _ratio(np.diagonal(table, axis1=1, axis2=2).sum(axis=1), table.sum(axis=(1, 2)))
    for i, leaf in enumerate(scored.leaves):
        found[f"sensitivity:{leaf}"] = recall[:, i]
        found[f"precision:{leaf}"] = precision[:, i]
    return found
