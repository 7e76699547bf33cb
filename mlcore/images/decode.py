"""The one decoder: bytes of a JPEG, PNG or DICOM file to one grey image with its true values."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
from PIL import Image

from mlcore.images.decoded import (
    ACCEPTED,
    BYTE_LIMIT,
    PIXEL_LIMIT,
    REFUSALS,
    SMALLEST_SIDE,
    Decoded,
    NoSuchFrame,
    Refused,
)
from mlcore.images.dicom.decode import decode_dicom, is_dicom
from mlcore.images.jpeg import MAGIC as JPEG_MAGIC
from mlcore.images.kinds import ADVICE, UNSUPPORTED, is_directory, refusal_of
from mlcore.images.percentile import of_counts, percentiles
from mlcore.images.png import MAGIC as PNG_MAGIC
from mlcore.images.raster import decode_raster

__all__ = [
    "ACCEPTED",
    "BYTE_LIMIT",
    "PIXEL_LIMIT",
    "REFUSALS",
    "SMALLEST_SIDE",
    "Decoded",
    "NoSuchFrame",
    "Refused",
    "decode",
    "frame",
    "rescaled",
    "to_display",
]

# A decoder's log tells of each file that it could not read, and may quote it; the refusal says what there is to say.
for _decoder in ("pydicom", "pylibjpeg", "openjpeg", "PIL"):
    logging.getLogger(_decoder).setLevel(logging.CRITICAL)

# What is shown without a window: all but the darkest and the brightest half per cent.
_ENDS = (0.5, 99.5)
_PIXELS_AT_ONCE = 1 << 20


def decode(data: bytes) -> Decoded:
    """Decode one file, whatever it is.

    Parameters
    ----------
    data : bytes
        The whole file. Its first bytes decide what it is; a name is never asked.

    Returns
    -------
    Decoded
        One grey image as stored.

    Raises
    ------
    Refused
        And nothing else, for any input whatever. `code` is a key of `REFUSALS`.
    """
    return _decoded(data, None)


def frame(data: bytes, index: int) -> Decoded:
    """Decode one frame of a file, as `decode` does the first, and no other.

    Parameters
    ----------
    data : bytes
        The whole file.
    index : int
        Of the frame, from 0 in the order of the file. The tiles of a Siemens mosaic are frames, where its header
        tells where they lie.

    Returns
    -------
    Decoded
        With the rescaling, window, spacing and orientation of that frame.

    Raises
    ------
    Refused
        For any file that cannot be read, as `decode` does.
    NoSuchFrame
        If a file that can be read has no frame of that index.
    """
    return _decoded(data, index)


def _decoded(data: bytes, index: int | None) -> Decoded:
    if len(data) == 0:
        raise Refused("empty")
    if len(data) > BYTE_LIMIT:
        raise Refused("too_large", f"The file is larger than {BYTE_LIMIT // (1024 * 1024)} MB.")
    decoded = _by_its_decoder(data, index)
    if decoded is None:
        raise _refusal_of_unread(data)
    return decoded


def _by_its_decoder(data: bytes, index: int | None) -> Decoded | None:
    """Decode a file with the decoder that its first bytes ask for; None where they ask for none.

    Raises
    ------
    Refused
        And nothing else.
    """
    try:
        if data.startswith((PNG_MAGIC, JPEG_MAGIC)):
            if index:
                raise NoSuchFrame(index)
            return decode_raster(data)
        if is_directory(data):
            raise Refused("unsupported_format", f"{UNSUPPORTED.format(name='DICOMDIR')} {ADVICE['list']}")
        if is_dicom(data):
            return decode_dicom(data, index)
    except (Refused, NoSuchFrame):
        raise
    except MemoryError as error:
        raise Refused("too_much_memory") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the edge to hostile bytes: decoders in C and Rust, whose panics are no Exception
        raise Refused("damaged") from error
    return None


def _refusal_of_unread(data: bytes) -> Refused:
    """Say what a file is that no decoder reads: of another kind, the beginning of an image, or no image."""
    kind = refusal_of(data)
    if kind is not None:
        return Refused("unsupported_format", kind)
    if len(data) < 12 and (PNG_MAGIC.startswith(data[:8]) or JPEG_MAGIC.startswith(data[:3])):
        return Refused("truncated")
    return Refused("not_an_image")


def rescaled(decoded: Decoded) -> np.ndarray:
    """Give the true values, float32 of shape (H, W): stored * slope + intercept."""
    return decoded.pixels.astype(np.float32) * np.float32(decoded.slope) + np.float32(decoded.intercept)


def to_display(decoded: Decoded, max_side: int | None = None) -> np.ndarray:
    """Give what a screen shows.

    Parameters
    ----------
    decoded : Decoded
        An image.
    max_side : int, optional
        Longest side of the result in pixels; only ever makes smaller.

    Returns
    -------
    numpy.ndarray, shape (h, w), dtype uint8
        By the first VOI window where there is one (DICOM PS3.3 C.11.2.1.2), otherwise between the
        percentiles 0.5 and 99.5. MONOCHROME1 is inverted, so that bright is always bright.
    """
    if decoded.pixels.dtype.kind in "iu" and decoded.pixels.dtype.itemsize <= 2:
        shown = _shown_by_table(decoded)
    else:
        values = rescaled(decoded)
        shown = _shown(decoded, values, lambda: percentiles(values, *_ENDS))
    longest = max(shown.shape)
    if max_side is not None and longest > max_side:
        height, width = (max(1, round(side * max_side / longest)) for side in shown.shape)
        shown = np.asarray(Image.fromarray(shown).resize((width, height), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(shown)


def _shown(decoded: Decoded, values: np.ndarray, ends: Callable[[], tuple[float, float]]) -> np.ndarray:
    """Give uint8 greys for true values of any shape; `ends` gives the two percentiles of the image."""
    if decoded.centre is not None and decoded.width is not None:
        scaled = windowed(values, decoded.centre, decoded.width, decoded.voi_function)
    else:
        low, high = ends()
        if high <= low:
            low, high = float(values.min()), float(values.max())
        scaled = (values - low) / max(high - low, 1e-6)
    shown = np.rint(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return 255 - shown if decoded.inverted else shown


def _shown_by_table(decoded: Decoded) -> np.ndarray:
    """Give what `_shown` gives, computed once for each stored value that there is.

    Quicker, and of a large image it takes no float32 copies, several at once, each four times as large as the image.
    """
    kind = np.dtype(f"u{decoded.pixels.dtype.itemsize}")
    index = decoded.pixels.astype(decoded.pixels.dtype.newbyteorder("="), copy=False).view(kind)
    bands = range(0, index.shape[0], max(1, _PIXELS_AT_ONCE // max(index.shape[1], 1)))
    step = bands.step
    counts = np.zeros(np.iinfo(kind).max + 1, np.int64)
    for top in bands:
        counts += np.bincount(index[top : top + step].ravel(), minlength=len(counts))
    there = np.flatnonzero(counts)
    every = there.astype(kind).view(decoded.pixels.dtype.newbyteorder("="))
    values = rescaled(dataclasses.replace(decoded, pixels=every))
    order = np.argsort(values, kind="stable")
    table = np.zeros(len(counts), np.uint8)
    table[there] = _shown(decoded, values, lambda: of_counts(values[order], counts[there][order], *_ENDS))
    shown = np.empty(index.shape, np.uint8)
    for top in bands:
        shown[top : top + step] = table[index[top : top + step]]
    return shown


def windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Apply a VOI window (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Parameters
    ----------
    values : numpy.ndarray, shape (H, W)
        True values.
    centre, width : float
        The window.
    function : str
        `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.

    Returns
    -------
    numpy.ndarray, shape (H, W)
        0 is black and 1 white; by the two linear functions not yet clipped to these.
    """
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60.0, 60.0)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width <= 1:
        return (values > centre - 0.5).astype(np.float32)
    return (values - (centre - 0.5)) / (width - 1.0) + 0.5
