"""From stored values to what they mean: colour to grey, padding, the modality transform, windows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from mlcore.images.decoded import GreyTable, Refused, colour_of
from mlcore.images.dicom.header import Header, get, integers, is_little_endian, number, number_of, numbers, word
from mlcore.images.dicom.tables import looked_up, palette_of, table_of

# Values are computed and handed on as float32.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_ROWS_AT_ONCE = 128
_LUMA = np.array([0.299, 0.587, 0.114])
_PADDING = ("PixelPaddingValue", "FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue")


def luma_of(stored: np.ndarray, dataset: Dataset, header: Header) -> tuple[np.ndarray, float]:
    """Make a colour image grey.

    Parameters
    ----------
    stored : numpy.ndarray, shape (H, W, 3), or (H, W) of indices into a palette
        Stored values.
    dataset : pydicom.dataset.Dataset
        Of the palette.
    header : Header
        Of the stored values: their full range is that of the bits stored, however wide the container.

    Returns
    -------
    numpy.ndarray, shape (H, W), dtype uint8
        Luma (ITU-R BT.601).
    float
        How coloured the image was: see `Decoded.colour`.
    """
    if header.photometric == "PALETTE COLOR":
        tables, top = palette_of(dataset, header)
    else:
        tables, top = [], 2.0**header.stored - 1
    if stored.ndim != (2 if tables else 3):
        raise Refused("damaged")

    def colours(part: np.ndarray) -> np.ndarray:
        return np.stack([looked_up(table, part) for table in tables], axis=-1) if tables else part

    step = max(1, min(stored.shape[:2]) // 64)
    few = colours(stored[::step, ::step]) * (255.0 / top)
    grey = np.empty(stored.shape[:2], np.uint8)
    for begin in range(0, len(grey), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        grey[rows] = np.clip(np.rint(colours(stored[rows]).astype(np.float64) @ _LUMA * (255.0 / top)), 0, 255)
    return grey, colour_of(np.asarray(np.clip(few, 0, 255), dtype=np.uint8))


def padding_of(stored: np.ndarray, dataset: Dataset, header: Header, words: Callable[[], np.ndarray]) -> np.ndarray:
    """Tell which pixels are padding (DICOM PS3.3 C.7.5.1.1.2): bool (H, W).

    Parameters
    ----------
    stored : numpy.ndarray, shape (H, W)
        Stored values.
    dataset, header
        Of the file.
    words : callable
        Gives the same as they stand in the file, unused bits included.

    Notes
    -----
    The padding's elements may have the other sign than the pixels, and more bits than are stored: what they mean is
    found in the type of the pixels. A value that stored bits cannot hold is looked for in the words. What is no number
    is padding whether or not the file declares it.
    """
    ends = _ends_of_padding(dataset, header)
    if header.keyword != "PixelData":
        none = np.isnan(stored)
        return none if ends is None else none | _float_padding(stored, dataset, ends)
    if ends is None or not all(math.isfinite(each) and each == int(each) for each in ends):
        return np.zeros(stored.shape, bool)
    return _whole_padding(stored, header, (int(ends[0]), int(ends[1])), words)


def _float_padding(stored: np.ndarray, dataset: Dataset, ends: tuple[float, float]) -> np.ndarray:
    # An end of 32 bits beside pixels of 64 is that of the rounded pixel.
    kind = np.float32 if "DoubleFloatPixelPaddingValue" not in dataset else stored.dtype.type
    rounded = stored.astype(kind)
    return (rounded >= kind(min(ends))) & (rounded <= kind(max(ends)))


def _whole_padding(
    stored: np.ndarray, header: Header, ends: tuple[int, int], words: Callable[[], np.ndarray]
) -> np.ndarray:
    least, most = sorted(_in_the_type_of_pixels(each, header) for each in ends)
    low = -(2 ** (header.stored - 1)) if header.signed else 0
    fits = low <= least and most < low + 2**header.stored
    looked_at = stored if fits else words()
    padding = (looked_at >= least) & (looked_at <= most)
    if header.allocated > 16 and not padding.any():
        # An element of 16 bits says of wider pixels what it says, or the same bits with the other sign.
        least, most = sorted(_with_the_other_sign(each) for each in ends)
        padding = (stored >= least) & (stored <= most)
    return padding


def _with_the_other_sign(end: int) -> int:
    """What 16 bits mean with the other sign; beyond them the value stays as it is."""
    if 2**15 <= end < 2**16:
        return end - 2**16
    return end + 2**16 if -(2**15) <= end < 0 else end


def _ends_of_padding(dataset: Dataset, header: Header) -> tuple[float, float] | None:
    """Give both ends as the file has them, by the element that belongs to its pixels or else by another.

    None where the file has none, or one that is no number.
    """
    for name in sorted(_PADDING, key=lambda name: name.removesuffix("PaddingValue") + "Data" != header.keyword):
        first = _end_of_padding(dataset, name)
        if first is not None:
            limit = _end_of_padding(dataset, name.replace("Value", "RangeLimit"))
            ends = first, first if limit is None or math.isnan(limit) else limit
            return None if math.isnan(first) else ends
    return None


def _end_of_padding(dataset: Dataset, name: str) -> float | None:
    value = get(dataset, name)
    if name == _PADDING[0]:
        whole = integers(value, is_little_endian(dataset))
        return float(whole[0]) if whole else number_of(value)
    try:
        return None if value is None else float(value)  # NaN and the infinite are as good as others here
    except (TypeError, ValueError):
        return None


def _in_the_type_of_pixels(end: int, header: Header) -> int:
    """Read the same bits as the pixels are read; what the container cannot hold stays as it is, and is nowhere."""
    if header.allocated == 8 and 65536 - 128 <= end < 65536:
        end -= 65536
    half = 2 ** (header.allocated - 1)
    # The elements have 16 bits, so that in wider pixels they mean what they say.
    if header.allocated not in (8, 12, 16) or not -half <= end < 2 * half:
        return end
    return (end + half) % (2 * half) - half if header.signed else end % (2 * half)


def modality_of(dataset: Dataset, stored: np.ndarray, header: Header) -> GreyTable | tuple[float, float]:
    """Give the modality transform (DICOM PS3.3 C.11.1): a table, or slope and intercept.

    Raises
    ------
    Refused
        `damaged` where the values leave float32: none could be shown or judged.
    """
    if stored.dtype.kind in "iu":
        for item in list(get(dataset, "ModalityLUTSequence") or [])[:1]:
            if not get(item, "LUTData"):
                continue
            table = table_of(item, dataset, signed=header.signed)
            if table is None:
                raise Refused("damaged", "The DICOM file is damaged: its table of values (Modality LUT) is broken.")
            return table
    slope, intercept = number(dataset, "RescaleSlope", 1.0), number(dataset, "RescaleIntercept", 0.0)
    slope = 1.0 if slope == 0 else slope
    largest = max(abs(float(stored.min())), abs(float(stored.max())))
    if abs(slope) * largest + abs(intercept) > _LARGEST or abs(slope) > _LARGEST:
        raise Refused("damaged", "The DICOM file is damaged: its rescaling leads to values that are no numbers.")
    return slope, intercept


def presets_of(dataset: Dataset) -> tuple[tuple[str, float, float], ...]:
    """Give every window that is one; the others of the file do not count."""
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    exact = voi_function_of(dataset) != "LINEAR"
    pairs = [
        (c, w)
        for c, w in zip(centres, widths, strict=False)
        if c is not None and w is not None and max(abs(c), w) <= _LARGEST and (w >= 1 or (exact and w >= _SMALLEST))
    ]
    # The explanations of the windows are free text and may carry anything, so they are numbered instead.
    return tuple((f"Window {i}", c, w) for i, (c, w) in enumerate(pairs, start=1))


def voi_function_of(dataset: Dataset) -> str:
    """Give the function of the windows; the usual one where the file names none that is known."""
    name = word(dataset, "VOILUTFunction")
    return name if name in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"
