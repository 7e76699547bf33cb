"""Whether an image shows one head: mosaics and montages of any size, with or without gaps, are seen by two signs.

Heads that lie apart are counted. Heads that touch make a pattern that comes round: shifted by the width (or the
height) of a tile, the image is like itself again, and less so by half of it. A head alone is not.

Of 6,023 public slices, each a single head, none is refused and 31 are warned of; of 1,000 montages of them by lot none
passes (`python -m benchmarks.montages`, docs/the-science.md).
"""

from __future__ import annotations

import enum

import cv2
import numpy as np

_SIDE = 192
# A margin: so much of the edge is of one value, give or take.
_MARGIN, _NEAR = 0.4, 10
_SHORTEST, _LONGEST = 5, 0.62
# How far the similarity rises again: one way alone, or both ways together; and from where on it is a doubt.
_RISE, _RISE_EACH, _RISE_BOTH = 0.45, 0.2, 0.65
_RISE_DOUBT, _RISE_BOTH_DOUBT = 0.35, 0.5
# A thing counts as a head if it is this large at least of the largest, this full in its box, and this near to square.
_NEARLY, _FULL, _ROUND = 0.3, 0.4, 0.4
# Beside a head, one smaller thing of this share of its size, or two of the lesser one, may be further pictures.
_BESIDE_ONE, _BESIDE_TWO = 0.05, 0.02
# A single outline is a head for certain where it is an oval that fills the image within its margins.
_OVAL, _SHARE_OVAL = 0.94, 0.6
# The largest head takes this much of the image within its margins, and that is no longer by its width than this.
_SHARE_DOUBT, _LONG_DOUBT = 0.25, 2.4


class Heads(enum.Enum):
    """How many heads an image shows."""

    ONE = "one"
    UNSURE = "unsure"
    SEVERAL = "several"


def heads_in(grey: np.ndarray) -> Heads:
    """Judge how many heads an image shows.

    Parameters
    ----------
    grey : numpy.ndarray, shape (H, W), dtype uint8
        Bright is bright.

    Returns
    -------
    Heads
        `UNSURE` for whatever cannot be judged, `ONE` never by default.
    """
    shrink = min(1.0, _SIDE / max(grey.shape))
    if shrink < 1:
        size = tuple(max(_SHORTEST, round(side * shrink)) for side in grey.shape[::-1])
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    inside = _within_margins(np.ascontiguousarray(grey))
    count, share, oval, beside = _apart(inside)
    if count == 1 and share >= _SHARE_OVAL and oval >= _OVAL:
        # Whatever comes round within it.
        return Heads.UNSURE if beside else Heads.ONE
    soft = cv2.GaussianBlur(inside, (3, 3), 0).astype(np.float64)
    rises = sorted((_rise(soft), _rise(soft.T)))
    both = sum(rises) if rises[0] >= _RISE_EACH else 0.0
    if count >= 3 or rises[1] >= _RISE or both >= _RISE_BOTH:
        return Heads.SEVERAL
    doubts = (
        count != 1,
        beside,
        share < _SHARE_DOUBT,
        rises[1] >= _RISE_DOUBT,
        both >= _RISE_BOTH_DOUBT,
        max(inside.shape) > _LONG_DOUBT * min(inside.shape),
    )
    return Heads.UNSURE if any(doubts) else Heads.ONE


def _within_margins(grey: np.ndarray) -> np.ndarray:
    """Blacken what is of the edge's own value and hangs together with it, and cut off what is then black around."""
    edge = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    near = np.convolve(np.bincount(edge, minlength=256), np.ones(13, np.int64), "same")
    value = int(near.argmax())
    if near[value] < _MARGIN * edge.size:
        return grey
    like = (np.abs(grey.astype(np.int16) - value) <= _NEAR).astype(np.uint8)
    _, parts = cv2.connectedComponents(like, connectivity=4)
    touching = np.unique(np.concatenate((parts[0], parts[-1], parts[:, 0], parts[:, -1])))
    outside = np.isin(parts, touching[touching > 0]).astype(np.uint8)
    if value > 3 * _NEAR:
        # Where a bright margin was made smaller with the image, its rim is neither of the two.
        outside = np.asarray(cv2.dilate(outside, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    grey = np.where(outside > 0, 0, grey).astype(np.uint8)
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    if not rows.size:
        return grey
    return np.ascontiguousarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _apart(grey: np.ndarray) -> tuple[int, float, float, bool]:
    """Count things like heads nearly as large as the largest. Give that one's share of all, how oval it is, and
    whether smaller pictures may lie beside it."""
    soft = cv2.GaussianBlur(grey, (5, 5), 0)
    otsu, _ = cv2.threshold(soft, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = np.asarray(soft > max(10.0, 0.4 * float(otsu)), dtype=np.uint8)
    mask[:] = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8), iterations=2)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas: list[float] = []
    largest_of_all: np.ndarray | None = None
    for outline in outlines:
        area, (_, _, wide, high) = cv2.contourArea(outline), cv2.boundingRect(outline)
        if area >= _FULL * wide * high and min(wide, high) >= _ROUND * max(wide, high):
            largest_of_all = outline if area > max(areas, default=0.0) else largest_of_all
            areas.append(area)
    largest = max(areas, default=0.0)
    count = sum(area >= _NEARLY * largest for area in areas)
    oval = 0.0 if largest_of_all is None else _oval(largest_of_all, grey.shape)
    small = [area / largest for area in areas if area < _NEARLY * largest]
    beside = max(small, default=0.0) >= _BESIDE_ONE or sum(part >= _BESIDE_TWO for part in small) >= 2
    return count, largest / grey.size, oval, beside


def _oval(outline: np.ndarray, shape: tuple[int, ...]) -> float:
    """Give how much of an outline and of the ellipse nearest to it lies in both (intersection over union)."""
    if len(outline) < 5:
        return 0.0
    filled, ellipse = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
    cv2.ellipse(ellipse, cv2.fitEllipse(outline), 1, cv2.FILLED)
    return float(np.count_nonzero(filled & ellipse) / np.count_nonzero(filled | ellipse))


def _rise(grey: np.ndarray) -> float:
    """Give how far the similarity of an image (H, W) float64 with itself, shifted sideways, rises after a fall."""
    similarity = _similarity(grey)
    lowest = np.minimum.accumulate(similarity)
    here, before, after = similarity[_SHORTEST:-1], similarity[_SHORTEST - 1 : -2], similarity[_SHORTEST + 1 :]
    peaks = (here >= before) & (here >= after)
    return float(np.max((here - lowest[_SHORTEST - 1 : -2])[peaks], initial=0.0))


def _similarity(grey: np.ndarray) -> np.ndarray:
    """Give the correlation of an image with itself for each shift sideways from 0, over where the two overlap."""
    height, width = grey.shape
    most = int(_LONGEST * width)
    if most <= _SHORTEST + 1:
        return np.ones(_SHORTEST + 2)
    grey = grey - grey.mean()
    spectrum = np.fft.rfft(grey, 2 * width, axis=1)
    product = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=0), 2 * width)[: most + 1]
    sums = np.concatenate(([0.0], np.cumsum(grey.sum(axis=0))))
    squares = np.concatenate(([0.0], np.cumsum((grey * grey).sum(axis=0))))
    shift = np.arange(most + 1)
    count = height * (width - shift)
    left, right = sums[width - shift] / count, (sums[width] - sums[shift]) / count
    spread_left = squares[width - shift] / count - left**2
    spread_right = (squares[width] - squares[shift]) / count - right**2
    return np.asarray((product / count - left * right) / np.sqrt(np.maximum(spread_left * spread_right, 1e-6)))
