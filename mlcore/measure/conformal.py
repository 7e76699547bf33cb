"""Sets of labels that hold the truth at a promised rate, whatever the network is worth.

Split conformal prediction by label (Vovk 2012, arXiv:1209.2673; Sadinle, Lei & Wasserman 2019, arXiv:1609.00451): on
the validation part, how probable was the true label? A label belongs to the set of a new scan where it is at least as
probable as it was for all but a tenth of those that truly had it. Images of one group are no independent witnesses,
so a group counts once (Lee, Barber & Willett 2023, arXiv:2306.06342).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlcore.data.labels import READABLE, allowed_leaves
from mlcore.measure.metrics import DRAWS, Scored, group_weights, opinions


def fit_cuts(scored: Scored, error_rate: float) -> tuple[float, ...]:
    """Find for each leaf the least probability with which it belongs to the set.

    Parameters
    ----------
    scored : Scored
        The validation part. Images whose label allows several leaves say nothing of any one of them.
    error_rate : float
        Share of scans, between 0 and 1, whose set may lack the true leaf; it holds for each leaf by itself.

    Returns
    -------
    tuple of float
        In the order of the leaves. 0, so that the leaf is in every set, where there are too few groups to promise
        more: fewer than 9 at an error rate of 0.1.
    """
    own = [allowed_leaves(label, scored.leaves) for label in scored.labels]
    return tuple(
        _cut(scored, [i for i, each in enumerate(own) if each == (k,)], k, error_rate)
        for k in range(len(scored.leaves))
    )


def _cut(scored: Scored, chosen: Sequence[int], leaf: int, error_rate: float) -> float:
    if not chosen:
        return 0.0
    names, inverse, sizes = np.unique(
        np.asarray([scored.groups[i] for i in chosen]), return_inverse=True, return_counts=True
    )
    weights, probable = 1.0 / sizes[inverse], scored.probabilities[list(chosen), leaf]
    order = np.argsort(-probable, kind="stable")
    # The new scan is one more group, of which nothing is known: it counts as if it lay below all others.
    held = np.cumsum(weights[order]) >= (1.0 - error_rate) * (len(names) + 1) - 1e-9
    if not held.any():
        return 0.0
    # Rounded down for the spec, so that rounding takes no scan out of its set.
    return float(np.floor(probable[order][int(np.argmax(held))] * 1e6) / 1e6)


def label_sets(
    probabilities: np.ndarray, cuts: Sequence[float], leaves: tuple[str, ...], labels: Sequence[str]
) -> np.ndarray:
    """Give the set of each image.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (N, leaves)
        Calibrated.
    cuts : sequence of float
        Of `fit_cuts`.
    leaves : tuple of str
        Order of the columns.
    labels : sequence of str
        The opinion's label of each image, which always belongs: a set is never empty, and never contradicts.

    Returns
    -------
    numpy.ndarray, shape (N, leaves), dtype bool
        Whether each leaf belongs.
    """
    inside = probabilities >= np.asarray(cuts)[None]
    inside[np.arange(len(labels)), [leaves.index(label) for label in labels]] = True
    return np.asarray(inside)


def coverage(scored: Scored, cuts: Sequence[float], *, seed: int = 1, draws: int = DRAWS) -> dict[str, Any]:
    """Measure how often the sets hold the truth, and how large they are.

    Parameters
    ----------
    scored : Scored
        Images.
    cuts : sequence of float
        Of `fit_cuts`.
    seed, draws : int
        Of the bootstrap over groups.

    Returns
    -------
    dict
        JSON-able: `by_label` (label to `n` and `covered` with its 95 % interval; a tumour without a type is covered
        where any type is in the set), `all` the same over all images, `size` the mean number of labels in a set and
        `single` the share of sets of one label.
    """
    called = opinions(scored.probabilities, scored.leaves, scored.threshold)
    inside = label_sets(scored.probabilities, cuts, scored.leaves, called)
    covered = np.array(
        [inside[i, list(allowed_leaves(label, scored.leaves))].any() for i, label in enumerate(scored.labels)]
    )
    weights = group_weights(scored.groups, seed, draws)
    labels = np.asarray(scored.labels)

    def share(chosen: np.ndarray) -> dict[str, Any]:
        seen = weights[:, chosen].sum(axis=1)
        drawn = (weights[:, chosen] @ covered[chosen])[seen > 0] / seen[seen > 0]
        low, high = np.percentile(drawn, (2.5, 97.5))
        value, ends = covered[chosen].mean(), (low, high)
        return {
            "n": int(chosen.sum()),
            "covered": {
                name: round(float(each), 6)
                for name, each in zip(("value", "low", "high"), (value, *ends), strict=True)
            },
        }

    return {
        "all": share(np.ones(len(labels), dtype=bool)),
        "by_label": {label: share(labels == label) for label in READABLE if np.any(labels == label)},
        "size": round(float(inside.sum(axis=1).mean()), 6),
        "single": round(float((inside.sum(axis=1) == 1).mean()), 6),
    }
