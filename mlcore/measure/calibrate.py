"""From logits to probabilities that mean what they say, and to a threshold, both chosen on the validation part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlcore.data.labels import NO_TUMOUR


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Give probabilities, float64 (N, leaves), each row summing to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def tree_loss(probabilities: np.ndarray, masks: np.ndarray) -> float:
    """Give the mean of -log(sum of the allowed leaves), in nats."""
    return float(-np.log(np.maximum((probabilities * masks).sum(axis=1), 1e-12)).mean())


def fit_temperature(logits: np.ndarray, masks: np.ndarray) -> float:
    """Find the temperature with the least tree loss.

    Parameters
    ----------
    logits : numpy.ndarray, shape (N, leaves)
        Of the validation part.
    masks : numpy.ndarray, shape (N, leaves)
        Allowed leaves.

    Returns
    -------
    float
        Between 0.25 and 8; found by golden section on its logarithm, in which the loss has one valley.
        (Guo et al. 2017, arXiv:1706.04599.)
    """
    low, high, golden = np.log(0.25), np.log(8.0), (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(40):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if tree_loss(softmax(logits, np.exp(a)), masks) < tree_loss(softmax(logits, np.exp(b)), masks):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2.0))


def tumour_probability(probabilities: np.ndarray, leaves: tuple[str, ...]) -> np.ndarray:
    """Give 1 - p(no tumour), float64 (N,)."""
    return np.asarray(np.clip(1.0 - probabilities[:, leaves.index(NO_TUMOUR)], 0.0, 1.0))


def choose_threshold(scores: np.ndarray, tumour: np.ndarray, groups: Sequence[str]) -> float:
    """Choose the threshold nearest to a half among those that are as good as the best.

    Parameters
    ----------
    scores : numpy.ndarray, shape (N,)
        Probability of a tumour.
    tumour : numpy.ndarray, shape (N,), dtype bool
        The truth.
    groups : sequence of str
        Of each image. Every group counts the same, as forty slices of one head are one head.

    Returns
    -------
    float
        By the mean of sensitivity and specificity; as good as the best is what lies within one standard error of
        it. The very best of a few dozen groups lies where chance put it, and calibrated probabilities mean that a
        half is where it should lie.
    """
    ordered = np.unique(scores)
    candidates = np.unique(np.concatenate(((ordered[1:] + ordered[:-1]) / 2.0, [0.5])))
    called = scores[None, :] >= candidates[:, None]
    rates, variances = [], []
    for side, right in ((tumour, called), (~tumour, ~called)):
        names, inverse, sizes = np.unique(np.asarray(groups)[side], return_inverse=True, return_counts=True)
        rate = right[:, side] @ (1.0 / sizes[inverse]) / len(names)
        rates.append(rate)
        # Two groups right and two wrong beside those seen (Agresti & Coull 1998): a rate of 1 is not known exactly.
        seen = len(names) + 4.0
        likely = (rate * len(names) + 2.0) / seen
        variances.append(likely * (1.0 - likely) / seen)
    balanced = (rates[0] + rates[1]) / 2.0
    top = int(np.argmax(balanced))
    error = float(np.sqrt(variances[0][top] + variances[1][top])) / 2.0
    best = candidates[balanced >= balanced[top] - error - 1e-9]
    return float(best[np.argmin(np.abs(best - 0.5))])


def threshold_for(scores: np.ndarray, tumour: np.ndarray, groups: Sequence[str], sensitivity: float) -> float:
    """Choose the highest threshold that finds a wanted share of the tumours; parameters as of `choose_threshold`.

    Parameters
    ----------
    sensitivity : float
        Wanted, more than 0 and at most 1; every group counts the same.
    """
    names, inverse, sizes = np.unique(np.asarray(groups)[tumour], return_inverse=True, return_counts=True)
    order = np.argsort(-scores[tumour], kind="stable")
    found = np.cumsum((1.0 / sizes[inverse] / len(names))[order])
    return float(scores[tumour][order][int(np.argmax(found >= sensitivity - 1e-9))])


def uncertain_band(scores: np.ndarray, threshold: float, share: float = 0.05) -> tuple[float, float]:
    """Give the probabilities around the threshold between which the nearest `share` of the scores lies."""
    shift = _logit(np.clip(threshold, 1e-6, 1 - 1e-6))
    reach = float(np.quantile(np.abs(_logit(np.clip(scores, 1e-6, 1 - 1e-6)) - shift), share))
    return float(_inverse(shift - reach)), float(_inverse(shift + reach))


def _logit(p: np.ndarray | float) -> np.ndarray:
    return np.asarray(np.log(p) - np.log1p(-np.asarray(p)))


def _inverse(x: np.ndarray | float) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(x))))
