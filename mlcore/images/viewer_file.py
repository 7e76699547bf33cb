"""What a page needs of a decoded image: its pixels as the viewer reads them, a preview, the picture of a report."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from mlcore.images.decode import to_display
from mlcore.images.decoded import SHAPE_ONLY, Decoded

PREVIEW_SIDE = 256  # pixels
_DTYPES = {"uint8": 1, "uint16": 2, "int16": 3, "float32": 4}
_CONTAINER = struct.Struct("<4sHHIIffffffHHI")
_BEYOND = struct.Struct("<3s3sHHiI")
MOST_WINDOWS = 8


def displayed(decoded: Decoded, side: int) -> np.ndarray:
    """Give an image as the viewer shows it at first.

    Parameters
    ----------
    decoded : Decoded
        An image.
    side : int
        Pixels; no side of the result is longer.

    Returns
    -------
    numpy.ndarray, shape (h, w), dtype uint8
        Pixels that are no squares have their true shape in it.
    """
    shown = to_display(decoded, side)
    rows, columns = decoded.spacing or (decoded.aspect, 1.0)
    if rows == columns:
        return shown
    height, width = shown.shape
    tall = height * rows / columns
    fit = min(1.0, side / tall)
    size = (max(1, round(width * fit)), max(1, round(tall * fit)))
    return np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BILINEAR))


def container(decoded: Decoded) -> bytes:
    """Give the true pixels as the viewer reads them.

    Parameters
    ----------
    decoded : Decoded
        An image.

    Returns
    -------
    bytes
        A 48-byte header, little-endian pixels row by row, and what the file says beyond them; see Notes.

    Notes
    -----
    Header: magic ``OVRD``, version, dtype (1 u8, 2 u16, 3 i16, 4 f32), width, height, rescale slope and intercept,
    window centre and width in rescaled units, row and column spacing in mm (NaN where the file says nothing), flags
    (1 MONOCHROME1, 2 SIGMOID, 4 LINEAR_EXACT), and how many bytes follow the pixels. Version 1 has none; version 2
    what the file says beyond it (:func:`_beyond`). In version 3 the two spacings are no millimetres, only the shape of
    a pixel: whoever does not know it refuses the container rather than measure wrongly. No header of the original
    passes through.
    """
    pixels = np.ascontiguousarray(decoded.pixels)
    height, width = pixels.shape
    nan = float("nan")
    shape_only = decoded.spacing is None and decoded.aspect != 1.0
    rows, columns = decoded.spacing or ((decoded.aspect, 1.0) if shape_only else (nan, nan))
    flags = (
        (1 if decoded.inverted else 0)
        | (2 if decoded.voi_function == "SIGMOID" else 0)
        | (4 if decoded.voi_function == "LINEAR_EXACT" else 0)
    )
    beyond = _beyond(decoded)
    head = _CONTAINER.pack(
        b"OVRD",
        SHAPE_ONLY if shape_only else 2 if beyond else 1,
        _DTYPES[pixels.dtype.name],
        width,
        height,
        decoded.slope,
        decoded.intercept,
        nan if decoded.centre is None else decoded.centre,
        nan if decoded.width is None else decoded.width,
        rows,
        columns,
        flags,
        0,
        len(beyond),
    )
    # Joined once: of a large image each further copy is tens of megabytes.
    stored = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return b"".join((head, stored.reshape(-1).view(np.uint8).data, beyond))


def _beyond(decoded: Decoded) -> bytes:
    """What follows the pixels in version 2: orientation, the windows after the first, the grey table.

    Three letters each of where a row and a column lead (spaces where there are fewer), number of windows, bits of the
    table (0: none), its first value, its number of entries; then centre and width of each window, then the table.
    """
    row, column = decoded.orientation or ("", "")
    windows = [(centre, width) for _name, centre, width in decoded.presets[1:MOST_WINDOWS]]
    table = decoded.grey_table
    if not (row or windows or table):
        return b""
    head = _BEYOND.pack(
        f"{row:3}".encode(),
        f"{column:3}".encode(),
        len(windows),
        table.bits if table else 0,
        table.first if table else 0,
        len(table.values) if table else 0,
    )
    pairs = b"".join(struct.pack("<ff", centre, width) for centre, width in windows)
    return head + pairs + (table.values.astype("<u2").tobytes() if table else b"")


def preview(decoded: Decoded) -> bytes:
    """Give a small PNG for lists, made anew from the pixels, so that nothing of the original file comes along.

    Parameters
    ----------
    decoded : Decoded
        An image.

    Returns
    -------
    bytes
        A grey PNG file, no side longer than 256 pixels.
    """
    shown = Image.fromarray(displayed(decoded, PREVIEW_SIDE))
    out = io.BytesIO()
    # Twice as quick as the default, for a tenth more bytes.
    shown.save(out, format="PNG", compress_level=2)
    return out.getvalue()
