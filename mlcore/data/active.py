"""Which scans to label next: the unsure, those on which heads disagree, or those unlike what is labelled.

Always with a tenth drawn at random: a model that chooses its own lessons never meets what it is sure of and wrong
about, and numbers from chosen scans tell nothing of all (Settles B. Active learning literature survey, 2009).

Light: numpy only, so the web process may load it.
"""

from __future__ import annotations

import numpy as np

STRATEGIES = ("random", "uncertainty", "disagreement", "diversity")
RANDOM_SHARE = 0.1


def uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Give how unsure each answer is, 0 to 1.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (N,)
        Of a tumour.

    Returns
    -------
    numpy.ndarray, shape (N,)
        1 at a half, 0 at none and at all.
    """
    return np.asarray(1.0 - 2.0 * np.abs(np.asarray(probabilities, np.float64) - 0.5))


def disagreement(probabilities: np.ndarray) -> np.ndarray:
    """Give how far a committee is apart on each scan.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (M, N)
        Of a tumour, by each of M members.

    Returns
    -------
    numpy.ndarray, shape (N,)
        Entropy of the mean answer less the mean of the entropies: what they do not know in common (Houlsby et al.
        2011, arXiv:1112.5745).
    """
    return np.asarray(_entropy(probabilities.mean(axis=0)) - _entropy(probabilities).mean(axis=0))


def farthest(described: np.ndarray, labelled: np.ndarray, count: int) -> list[int]:
    """Choose scans one by one, each the farthest from all that are labelled or chosen (Sener & Savarese 2018,
    arXiv:1708.00489).

    Parameters
    ----------
    described : numpy.ndarray, shape (N, d)
        Of all scans.
    labelled : numpy.ndarray, shape (N,), dtype bool
        Which are labelled.
    count : int
        How many to choose, at most as many as are left.

    Returns
    -------
    list of int
        In the order of choosing.
    """
    nearest = np.full(len(described), np.inf)
    for known in np.flatnonzero(labelled).tolist():
        nearest = np.minimum(nearest, _distances(described, known))
    nearest[labelled] = -1.0
    chosen: list[int] = []
    for _ in range(min(count, int((~labelled).sum()))):
        place = int(np.argmax(nearest))
        chosen.append(place)
        nearest = np.minimum(nearest, _distances(described, place))
        nearest[[*chosen, *np.flatnonzero(labelled)]] = -1.0
    return chosen


def mixed(ordered: list[int], left: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Take the first of an order, with a tenth drawn at random from all that are left.

    Parameters
    ----------
    ordered : list of int
        By how much one would learn, most first.
    left : numpy.ndarray
        All that might be chosen.
    count : int
        How many; at least one of them is drawn.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    list of int
        The drawn ones stand at random places, so that the order does not tell which they are.
    """
    count = min(count, len(left))
    drawn = rng.choice(left, max(1, round(RANDOM_SHARE * count)) if count else 0, replace=False).tolist()
    chosen = [place for place in ordered if place not in set(drawn)][: count - len(drawn)]
    for place in drawn:
        chosen.insert(int(rng.integers(len(chosen) + 1)), place)
    return chosen


def _entropy(p: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(p, np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(-p * np.log(p) - (1 - p) * np.log(1 - p))


def _distances(described: np.ndarray, place: int) -> np.ndarray:
    return np.asarray(((described - described[place]) ** 2).sum(axis=1))
