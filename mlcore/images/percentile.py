"""Percentiles of pictures: those of numpy, but counted instead of sorted where the values are of eight bits."""

from __future__ import annotations

import numpy as np


def percentiles(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Give two percentiles with linear interpolation, bit for bit as `numpy.percentile`.

    Parameters
    ----------
    values : numpy.ndarray, dtype float32 or uint8
        Of any shape, not empty.
    low, high : float
        From 0 to 100.

    Returns
    -------
    (float, float)
        Of most scans, whose values are whole numbers of 0 to 255, in less than half of the time.
    """
    if values.dtype == np.uint8:
        return counted(np.bincount(values.ravel(), minlength=256), low, high)
    if float(values.min()) >= 0.0 and float(values.max()) <= 255.0:
        whole = values.astype(np.uint8)
        if np.array_equal(whole, values):
            return counted(np.bincount(whole.ravel(), minlength=256), low, high)
    first, second = np.percentile(values, (low, high))
    return float(first), float(second)


def counted(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Give two percentiles of bytes from how often each of them comes, int64 (256,)."""
    upto = np.cumsum(counts)
    return _at(upto, low), _at(upto, high)


def of_counts(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Give two percentiles from values and how often each of them comes.

    Parameters
    ----------
    values : numpy.ndarray, shape (N,), dtype float32
        Ascending.
    counts : numpy.ndarray, shape (N,), dtype int64
        More than 0 each.
    low, high : float
        From 0 to 100.

    Returns
    -------
    (float, float)
        Bit for bit as `numpy.percentile` of the whole.
    """
    upto = np.cumsum(counts)
    return _at(upto, low, values), _at(upto, high, values)


def _at(upto: np.ndarray, percent: float, values: np.ndarray | None = None) -> float:
    """Give one percentile from the running counts of the values, which are 0 to 255 where left out."""
    place = percent / 100.0 * (int(upto[-1]) - 1)
    before = int(place)
    # The value of rank k is the first whose running count exceeds k.
    ranks = (before, min(before + 1, int(upto[-1]) - 1))
    places = np.searchsorted(upto, ranks, side="right")
    one, next_one = (np.float32(each) for each in (places if values is None else values[places]))
    share = np.float64(place - before)
    # The two sides of the same line, as numpy rounds them.
    return float(one + (next_one - one) * share if share < 0.5 else next_one - (next_one - one) * (1.0 - share))
