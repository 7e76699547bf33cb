"""From stored values to what they mean: colour to grey, padding, the modality transform, windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from mlcore.decoded import GreyTable, Refused, colour_of
from mlcore.dicom_header import Header, get, integers, is_little_endian, number, number_of, numbers, word
from mlcore.dicom_tables import palette_of, table_of

# Values are computed and handed on as float32.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_LUMA = np.array([0.299, 0.587, 0.114])
_PADDING = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


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
        stored, top = palette_of(dataset, stored, header)
    else:
        top = 2**header.stored - 1
    if stored.ndim != 3:
        raise Refused("damaged")
    step = max(1, min(stored.shape[:2]) // 64)
    colour = colour_of(np.asarray(np.clip(stored[::step, ::step] * (255.0 / top), 0, 255), dtype=np.uint8))
    grey = np.clip(np.rint(stored.astype(np.float64) @ _LUMA * (255.0 / top)), 0, 255)
    return grey.astype(np.uint8), colour


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
    first, limit = (_end_of_padding(dataset, name, header) for name in _PADDING[header.keyword])
    if header.keyword != "PixelData":
        padding = np.isnan(stored)
        if first is not None and not np.isnan(first):
            ends = (first, first if limit is None or np.isnan(limit) else limit)
            kind = stored.dtype.type
            padding |= (stored >= kind(min(ends))) & (stored <= kind(max(ends)))
        return padding
    if first is None:
        return np.zeros(stored.shape, bool)
    least, most = sorted((int(first), int(first if limit is None else limit)))
    low = -(2 ** (header.stored - 1)) if header.signed else 0
    fits = low <= least and most < low + 2**header.stored
    looked_at = stored if fits else words()
    return (looked_at >= least) & (looked_at <= most)


def _end_of_padding(dataset: Dataset, name: str, header: Header) -> float | None:
    """Give one end of the padding as a number of the pixels' type; NaN where it says so, None where it is missing."""
    value = get(dataset, name)
    if header.keyword != "PixelData":
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError):
            return number_of(value)
    found = integers(value, is_little_endian(dataset))
    if not found:
        found = [int(each) for each in numbers(dataset, name) if each is not None]
    if not found:
        return None
    given = found[0] - 65536 if header.allocated == 8 and 65536 - 128 <= found[0] < 65536 else found[0]
    half = 2 ** (header.allocated - 1)
    if header.allocated not in (8, 12, 16) or not -half <= given < 2 * half:
        return given
    return given % (2 * half) if not header.signed else (given + half) % (2 * half) - half


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
