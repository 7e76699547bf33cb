"""The one road from a decoded scan to the network's input, walked by training and by inference alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mlcore.images.decode import rescaled
from mlcore.images.decoded import Decoded
from mlcore.images.percentile import counted, percentiles
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.montage import Heads, heads_in

PREPROCESS_VERSION = "1"
_WORKING_SIDE = 256
# A second head is this large at least, of the first and of the image; this full in its box, and this near to square.
# In none of 6,023 public slices is there such a thing.
_NEARLY, _SMALLEST, _FULL, _ROUND = 0.3, 0.03, 0.4, 0.4


@dataclass(frozen=True)
class Prepared:
    """One image, ready for a network.

    Attributes
    ----------
    tensor : numpy.ndarray, shape (size, size, channels), dtype float32
        Values from 0 to 1 in steps of 1/255, so that a cache of 8-bit pixels is exactly the same.
    box : (int, int, int, int)
        The crop (x0, y0, x1, y1) in pixels of the decoded image, the end excluded.
    heads : Heads
        Whether the image shows one head.
    """

    tensor: np.ndarray
    box: tuple[int, int, int, int]
    heads: Heads = Heads.ONE


def prepare(decoded: Decoded, spec: ModelSpec) -> Prepared:
    """Crop the head, pad to a square, resize, scale by percentiles.

    Parameters
    ----------
    decoded : Decoded
        An image.
    spec : ModelSpec
        Its `size` and `channels` are used.

    Returns
    -------
    Prepared
        The tensor, and where in the image it lies.
    """
    values = _true_values(decoded)
    grey = scaled(values)
    square, found = _cropped(values, grey, spec.size)
    several = found.several or decoded.mosaic
    heads = Heads.SEVERAL if several else heads_in(grey)
    return Prepared(tensor=to_tensor(square, spec.channels), box=found.box, heads=heads)


def crop(decoded: Decoded, size: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Give the cropped head as uint8 (size, size), and its box; what training keeps."""
    values = _true_values(decoded)
    square, found = _cropped(values, scaled(values), size)
    return square, found.box


@dataclass(frozen=True)
class Found:
    """Where the head lies, (x0, y0, x1, y1), and whether there is another beside it."""

    box: tuple[int, int, int, int]
    several: bool


def _cropped(values: np.ndarray, grey: np.ndarray, size: int) -> tuple[np.ndarray, Found]:
    found = find_head(grey)
    x0, y0, x1, y1 = found.box
    return _square(scaled(values[y0:y1, x0:x1]), size), found


def _true_values(decoded: Decoded) -> np.ndarray:
    """Give the true values, bright is bright: bytes where they are bytes as stored, else float32."""
    if decoded.pixels.dtype == np.uint8 and (decoded.slope, decoded.intercept) == (1.0, 0.0) and not decoded.inverted:
        return decoded.pixels
    values = rescaled(decoded)
    return -values if decoded.inverted else values


def to_tensor(square: np.ndarray, channels: int) -> np.ndarray:
    """Give float32 (..., size, size, channels) from 0 to 1 for uint8 (..., size, size)."""
    grey = square.astype(np.float32)[..., None] / np.float32(255.0)
    return np.ascontiguousarray(np.repeat(grey, channels, axis=-1))


def scaled(values: np.ndarray) -> np.ndarray:
    """Scale by the percentiles 1 and 99 to uint8; what is constant becomes 0."""
    if values.dtype == np.uint8:
        counts = cv2.calcHist([np.ascontiguousarray(values)], [0], None, [256], [0, 256])
        # Counted in float32, which is exact up to 16 million of a kind.
        exact = values.size < 2**24
        low, high = counted(counts.ravel().astype(np.int64), 1.0, 99.0) if exact else percentiles(values, 1.0, 99.0)
    else:
        low, high = percentiles(values, 1.0, 99.0)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    if values.dtype == np.uint8:
        # The same arithmetic once for each of the 256 values there are.
        return np.asarray(cv2.LUT(np.ascontiguousarray(values), _stretched(_BYTES, low, high)))
    return _stretched(values, low, high)


_BYTES = np.arange(256, dtype=np.float32)


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint(np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


def find_head(grey: np.ndarray) -> Found:
    """Find the head by its contour.

    Parameters
    ----------
    grey : numpy.ndarray, shape (H, W), dtype uint8
        The whole image, as `scaled` gives it: bright is bright.

    Returns
    -------
    Found
        The box (x0, y0, x1, y1) around the largest bright thing, with what lies within a twentieth beside it; the
        whole image where nothing stands out.
    """
    height, width = grey.shape
    shrink = min(1.0, _WORKING_SIDE / max(height, width))
    small = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else grey
    small = _without_white_border(cv2.GaussianBlur(small, (5, 5), 0))
    otsu, _ = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    # Otsu parts tissue from tissue in bright scans; the dark of the air lies well below it.
    mask = np.asarray(small > max(10.0, 0.4 * float(otsu)), dtype=np.uint8)
    mask[:] = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8), iterations=2)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    whole = (0, 0, width, height)
    if not outlines:
        return Found(whole, False)
    largest = max(outlines, key=cv2.contourArea)
    if cv2.contourArea(largest) < 0.05 * small.size:
        return Found(whole, False)
    left, top, across, down = cv2.boundingRect(largest)
    box = (
        max(0, int(left / shrink) - 1),
        max(0, int(top / shrink) - 1),
        min(width, int(np.ceil((left + across) / shrink)) + 1),
        min(height, int(np.ceil((top + down) / shrink)) + 1),
    )
    return Found(box, _another(outlines, largest, small.size))


def _another(outlines: Sequence[np.ndarray], head: np.ndarray, size: int) -> bool:
    """Tell whether another outline, apart from the head, is as full and round as heads are and nearly as large."""
    area, (left, top, across, down) = cv2.contourArea(head), cv2.boundingRect(head)
    if not _like_a_head(area, across, down):
        return False
    for other in outlines:
        beside, (x, y, wide, high) = cv2.contourArea(other), cv2.boundingRect(other)
        apart = x >= left + across or left >= x + wide or y >= top + down or top >= y + high
        if apart and beside >= max(_NEARLY * area, _SMALLEST * size) and _like_a_head(beside, wide, high):
            return True
    return False


def _like_a_head(area: float, wide: int, high: int) -> bool:
    return area >= _FULL * wide * high and min(wide, high) >= _ROUND * max(wide, high)


def _without_white_border(grey: np.ndarray) -> np.ndarray:
    """Blacken what is nearly white and hangs together with the image's edge: page, frame, screenshot."""
    edge = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    if np.mean(edge > 200) < 0.25:
        return grey
    white = np.asarray(grey > 200, dtype=np.uint8)
    _, parts = cv2.connectedComponents(white)
    touching = np.unique(np.concatenate((parts[0], parts[-1], parts[:, 0], parts[:, -1])))
    outside = np.isin(parts, touching[touching > 0])
    return np.where(cv2.dilate(outside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0, 0, grey).astype(np.uint8)


def _square(grey: np.ndarray, size: int) -> np.ndarray:
    height, width = grey.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = cv2.copyMakeBorder(
        grey, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=0
    )
    # Area averaging when making smaller keeps noise from turning into pattern; it cannot make larger.
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(padded, (size, size), interpolation=how), dtype=np.uint8)


def square_to_frame(
    square: np.ndarray, box: tuple[int, int, int, int], frame: tuple[int, int], longest: int
) -> np.ndarray:
    """Lay a map over the crop back onto the whole image.

    Parameters
    ----------
    square : numpy.ndarray, shape (s, s), dtype float32
        A map over the square that `crop` made, from 0 to 1.
    box : (int, int, int, int)
        The crop's box in the image.
    frame : (int, int)
        Height and width of the image.
    longest : int
        Longest side of the result; only ever makes smaller.

    Returns
    -------
    numpy.ndarray, shape (h, w), dtype uint8
        In the image's own proportions, 0 outside the crop.
    """
    height, width = frame
    shrink = min(1.0, longest / max(height, width))
    out = np.zeros((max(1, round(height * shrink)), max(1, round(width * shrink))), np.float32)
    x0, y0, x1, y1 = (round(v * shrink) for v in box)
    x1, y1 = min(max(x1, x0 + 1), out.shape[1]), min(max(y1, y0 + 1), out.shape[0])
    across, down = x1 - x0, y1 - y0
    if across < 1 or down < 1:
        return out.astype(np.uint8)
    side = max(across, down)
    large = cv2.resize(square.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    top, left = (side - down) // 2, (side - across) // 2
    out[y0:y1, x0:x1] = large[top : top + down, left : left + across]
    return np.rint(np.clip(out, 0.0, 1.0) * 255.0).astype(np.uint8)
