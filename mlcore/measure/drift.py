"""Has what comes in, or what the model says of it, changed? The population stability index, and how far chance goes.

Light: numpy only, so the web process may load it.

References
----------
Siddiqi N. Credit Risk Scorecards. Wiley 2006 (the index, and its usual limits of 0.1 and 0.25).
Yurdakul B. Statistical properties of population stability index. Western Michigan University 2018 (its distribution
where nothing has changed).
Wilson EB, Hilferty MM. The distribution of chi-square. Proc Natl Acad Sci 1931;17:684-688.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10
WATCH, SHIFTED = 0.1, 0.25
LEAST = 50  # on either side; with fewer, chance alone goes beyond every limit
_Z95 = 1.6448536269514722  # of the normal distribution, one-sided


@dataclass(frozen=True)
class Drift:
    """How far two samples are apart.

    Attributes
    ----------
    index : float or None
        The population stability index; None where too few were seen.
    chance : float or None
        What it stays below 95 times in 100 where nothing has changed and so many were seen.
    reference, recent : int
        How many were seen.
    shares : list of (str, float, float)
        Bin or category, its share in the reference and among the recent.
    """

    index: float | None
    chance: float | None
    reference: int
    recent: int
    shares: list[tuple[str, float, float]]

    @property
    def verdict(self) -> str:
        """`few`, `stable`, `watch` or `shifted`; what chance may have done is never more than stable."""
        if self.index is None or self.chance is None:
            return "few"
        if self.index <= max(WATCH, self.chance):
            return "stable"
        return "shifted" if self.index > SHIFTED else "watch"


def psi(reference: np.ndarray, recent: np.ndarray) -> float:
    """Give the population stability index of two rows of counts.

    Parameters
    ----------
    reference, recent : numpy.ndarray, shape (B,)
        Counts by bin. Half a count is added to each bin, as an empty one would make the index infinite.

    Returns
    -------
    float
        Sum over bins of (a - e) ln(a / e), with a and e the shares; 0 for equal shares.

    Examples
    --------
    >>> psi(np.array([50, 50]), np.array([500, 500])) < 1e-4
    True
    """
    e = (np.asarray(reference, np.float64) + 0.5) / (np.sum(reference) + 0.5 * len(reference))
    a = (np.asarray(recent, np.float64) + 0.5) / (np.sum(recent) + 0.5 * len(recent))
    return float(np.sum((a - e) * np.log(a / e)))


def by_chance(bins: int, reference: int, recent: int) -> float:
    """Give the index below which it stays 95 times in 100 where nothing has changed.

    Without a change the index is distributed as chi-square with `bins` - 1 degrees of freedom, times
    (1 / `reference` + 1 / `recent`).
    """
    degrees = max(bins - 1, 1)
    spread = 2.0 / (9.0 * degrees)
    quantile = degrees * (1.0 - spread + _Z95 * np.sqrt(spread)) ** 3
    return float(quantile * (1.0 / max(reference, 1) + 1.0 / max(recent, 1)))


def of_numbers(reference: Sequence[float], recent: Sequence[float], bins: int = BINS) -> Drift:
    """Compare two samples of a number, in bins that hold equal shares of the reference.

    Values that many share make fewer bins; a number that never varied makes two: that value, and any other.
    """
    before, after = np.asarray(reference, np.float64), np.asarray(recent, np.float64)
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if len(before) < LEAST or len(after) < LEAST:
        return Drift(None, None, len(before), len(after), [])
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    if before.min() == before.max():
        edges = np.array([np.nextafter(before[0], -np.inf), before[0]])
    counts = [
        np.bincount(np.searchsorted(edges, each, side="left"), minlength=len(edges) + 1) for each in (before, after)
    ]
    names = [
        f"≤ {edges[0]:.3g}",
        *(f"{a:.3g} – {b:.3g}" for a, b in zip(edges, edges[1:], strict=False)),
        f"> {edges[-1]:.3g}",
    ]
    return _drift(names, counts[0], counts[1])


def of_kinds(reference: Sequence[str], recent: Sequence[str]) -> Drift:
    """Compare two samples of a category."""
    before, after = Counter(reference), Counter(recent)
    if len(reference) < LEAST or len(recent) < LEAST:
        return Drift(None, None, len(reference), len(recent), [])
    names = sorted(set(before) | set(after))
    return _drift(names, np.array([before[name] for name in names]), np.array([after[name] for name in names]))


def _drift(names: Sequence[str], before: np.ndarray, after: np.ndarray) -> Drift:
    n, m = int(before.sum()), int(after.sum())
    shares = [(name, float(e / n), float(a / m)) for name, e, a in zip(names, before, after, strict=True)]
    return Drift(psi(before, after), by_chance(len(names), n, m), n, m, shares)
