"""How far two readers agree: percent, Cohen's and Fleiss' kappa, each with a bootstrap interval over groups.

Light: numpy only, so the web process may load it.

References
----------
Cohen J. A coefficient of agreement for nominal scales. Educ Psychol Meas 1960;20:37-46.
Fleiss JL. Measuring nominal scale agreement among many raters. Psychol Bull 1971;76:378-382.
Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc 1927;22:209-212.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
LEVEL = 0.95
_Z = 1.959963984540054  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Measured:
    """A value with its 95 % interval; None where it is not defined, or where too little was seen for an interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


def percent(tables: np.ndarray) -> np.ndarray:
    """Share of agreement; `tables` (..., K, K) counts what the first said against what the second said."""
    return _ratio(np.trace(tables, axis1=-2, axis2=-1), tables.sum(axis=(-2, -1)))


def cohen(tables: np.ndarray) -> np.ndarray:
    """Cohen's kappa of tables (..., K, K); not a number where chance alone would agree always."""
    total = tables.sum(axis=(-2, -1))
    seen = percent(tables)
    chance = _ratio((tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1), total**2)
    return _ratio(seen - chance, 1.0 - chance)


def fleiss_of_two(tables: np.ndarray) -> np.ndarray:
    """Fleiss' kappa of tables (..., K, K): it asks not who of the two said what."""
    seen = percent(tables)
    share = _ratio(tables.sum(axis=-1) + tables.sum(axis=-2), 2.0 * tables.sum(axis=(-2, -1))[..., None])
    chance = (share**2).sum(axis=-1)
    return _ratio(seen - chance, 1.0 - chance)


def fleiss(counts: np.ndarray) -> float:
    """Fleiss' kappa for more than two: `counts` (N, K), how many of the readers gave item n the label k.

    Raises
    ------
    ValueError
        The items were not all read by the same number of readers, two or more.
    """
    readers = counts.sum(axis=1)
    if len(counts) == 0 or readers.min() != readers.max() or readers[0] < 2:
        raise ValueError("Fleiss' kappa needs the same number of readers, two or more, for each item.")
    n = float(readers[0])
    seen = ((counts**2).sum(axis=1) - n) / (n * (n - 1.0))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return float(_ratio(np.asarray(seen.mean() - chance), np.asarray(1.0 - chance)))


def one_against_rest(tables: np.ndarray, k: int) -> np.ndarray:
    """Tables (..., 2, 2) of label `k` against all others, from tables (..., K, K)."""
    both = tables[..., k, k]
    first, second = tables[..., k, :].sum(axis=-1), tables[..., :, k].sum(axis=-1)
    neither = tables.sum(axis=(-2, -1)) - first - second + both
    rows = [np.stack([both, first - both], axis=-1), np.stack([second - both, neither], axis=-1)]
    return np.stack(rows, axis=-2)


def specific(tables: np.ndarray) -> np.ndarray:
    """Positive specific agreement of tables (..., 2, 2): of all that either gave the label, how much both did."""
    both = 2.0 * tables[..., 0, 0]
    return _ratio(both, both + tables[..., 0, 1] + tables[..., 1, 0])


def _tables_by_group(
    first: Sequence[str], second: Sequence[str], labels: Sequence[str], groups: Sequence[object]
) -> np.ndarray:
    place = {label: k for k, label in enumerate(labels)}
    order = {group: g for g, group in enumerate(dict.fromkeys(groups))}
    tables = np.zeros((len(order), len(labels), len(labels)))
    for a, b, group in zip(first, second, groups, strict=True):
        tables[order[group], place[a], place[b]] += 1.0
    return tables


class Pairs:
    """What two readers said of the same items, ready to be measured.

    Parameters
    ----------
    first, second : sequence of str
        Their labels, item by item.
    labels : sequence of str
        All labels there are.
    groups : sequence
        Of each item: items of one patient are no independent evidence, so the bootstrap draws groups.
    seed, draws : int
        Of the bootstrap.
    """

    def __init__(
        self,
        first: Sequence[str],
        second: Sequence[str],
        labels: Sequence[str],
        groups: Sequence[object],
        *,
        seed: int = 1,
        draws: int = DRAWS,
    ) -> None:
        by_group = _tables_by_group(first, second, labels, groups)
        self.n, self.n_groups = len(first), len(by_group)
        self.table = by_group.sum(axis=0)
        rng = np.random.default_rng(seed)
        g = self.n_groups
        drawn = rng.multinomial(g, np.full(g, 1.0 / g), size=draws).astype(np.float64) if g > 1 else np.empty((0, g))
        self.drawn = (drawn @ by_group.reshape(g, -1)).reshape(len(drawn), len(labels), len(labels))

    def measure(self, of: Callable[[np.ndarray], np.ndarray]) -> Measured:
        """Measure with a function of tables, with the interval of the draws in which it is defined.

        Where it is not in a tenth of the draws or more, there is no interval: it would be of the lucky draws only.
        """
        value = float(of(self.table)) if self.n else float("nan")
        if not np.isfinite(value):
            return Measured(None)
        values = of(self.drawn) if len(self.drawn) else np.empty(0)
        values = values[np.isfinite(values)]
        if len(values) <= 0.9 * len(self.drawn) or not len(values):
            return Measured(value)
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Measured(value, float(low), float(high))


def share(hits: int, of: int) -> Measured:
    """`hits` of `of` with Wilson's 95 % interval; None of none."""
    if of == 0:
        return Measured(None)
    p, z = hits / of, _Z
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    # Where none or all were hit the near end is the edge itself, which rounding would miss.
    low = 0.0 if hits == 0 else float(middle - half)
    high = 1.0 if hits == of else float(middle + half)
    return Measured(p, low, high)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=np.abs(below) > 1e-12))
