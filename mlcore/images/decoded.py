"""What a decoded scan is, and how a file that is none is refused."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import numpy as np

ACCEPTED = (
    "Accepted: single MRI images as JPEG, PNG or DICOM. At least 32 × 32 pixels, at most 16 million pixels, no "
    "side longer than 8192."
)
# What the sentences end with that were kept before.
FORMERLY_ACCEPTED = (
    "Accepted are single MRI images as JPEG, PNG or DICOM, of at least 32 × 32 and at most 50 million pixels.",
)
BYTE_LIMIT = 128 * 1024 * 1024
# What a scan can be, and far more: scanners write up to 1024 × 1024, a mosaic of them 2048 × 2048, a photograph of a
# film has 12 million pixels.
PIXEL_LIMIT = 4096 * 4096
LARGEST_SIDE = 8192
SMALLEST_SIDE = 32
# Of the image before it is made grey: four bytes a pixel of the largest one.
RAW_LIMIT = 4 * PIXEL_LIMIT
# A deflated DICOM file, inflated.
INFLATED_LIMIT = 64 * 1024 * 1024
# Segments, chunks and the like; an image of the largest size in pieces of 4 KB has fewer.
MOST_PARTS = 20_000
SHAPE_ONLY = 3  # the version of the viewer's file whose spacing is no millimetres
# No head is so long: public slices reach 2 : 1, and at 256 : 1 the network's input would have a side of no pixel.
MOST_ELONGATED = 20

REFUSALS: dict[str, str] = {
    "empty": "The file is empty.",
    "not_an_image": "The file is not an image.",
    "truncated": "The file is truncated: its end is missing.",
    "too_large": "The image is too large.",
    "too_small": "The image is too small for a brain scan.",
    "elongated": "The image is too long and narrow for a brain scan.",
    "unsupported_format": "Unsupported file type.",
    "jpeg_extended_12bit": "The DICOM file uses 12-bit colour JPEG Extended, which is not supported. Export it "
    "uncompressed, as lossless JPEG or as JPEG 2000.",
    "multi_frame": "The file has several frames. Upload the relevant frame as a single image.",
    "several_heads": "The image shows several heads. Upload the relevant slice as a single image.",
    "no_pixels": "The DICOM file contains no image.",
    "colour_dicom": "This type of colour image in a DICOM file is not supported.",
    "not_mr": "The DICOM file is not MRI.",
    "damaged": "The file is damaged: its image cannot be read.",
    "too_slow": "The image takes too long to decode.",
    "too_much_memory": "The image takes too much memory to decode.",
}


class Refused(ValueError):
    """A file that cannot be taken.

    Parameters
    ----------
    code : str
        A key of `REFUSALS`, or a slug of `mlcore.preprocessing.quality`.
    sentence : str, optional
        What is wrong; what is accepted is added to it. The sentence of `REFUSALS` where left out.

    Attributes
    ----------
    code : str
        The slug that clients may rely on.
    sentence : str
        For people: what was wrong and what is accepted. Repeats nothing out of the file but technical words.
    """

    def __init__(self, code: str, sentence: str | None = None) -> None:
        what = sentence if sentence is not None else REFUSALS[code]
        self.code = code
        self.sentence = what if what.endswith(ACCEPTED) else f"{what} {ACCEPTED}"
        super().__init__(self.sentence)

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return (Refused, (self.code, self.sentence))


class NoSuchFrame(IndexError):
    """A frame was asked for that a file does not have: a fault of who asks, not of the file."""


@dataclass(frozen=True)
class GreyTable:
    """A grey scale as a table (VOI LUT): the value ``first`` and all below take ``values[0]``, and so on upwards.

    ``values`` are uint16 of ``bits`` bits: ``2 ** bits - 1`` is white. Its input is rescaled values.
    """

    first: int
    bits: int
    values: np.ndarray


@dataclass(frozen=True)
class Decoded:
    """One grey image as stored, and what is needed to show its true values.

    Attributes
    ----------
    pixels : numpy.ndarray, shape (H, W), dtype uint8, uint16, int16 or float32
        Stored values, C-contiguous, little-endian.
    slope, intercept : float
        Modality rescale: value = stored * slope + intercept.
    centre, width : float or None
        First VOI window in rescaled units, where the file gives one.
    presets : tuple of (str, float, float)
        Every VOI window as (name, centre, width).
    voi_function : str
        `LINEAR`, `LINEAR_EXACT` or `SIGMOID` (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).
    inverted : bool
        True for MONOCHROME1: low values are bright.
    spacing : (float, float) or None
        Millimetres at the object between rows and between columns, from PixelSpacing only.
    aspect : float
        Height of a pixel by its width. Where there is no `spacing`, other fields may tell it, though no millimetres
        at the object: see docs/viewer.md.
    orientation : (str, str) or None
        Letters (L, R, A, P, H, F) towards which a row and a column lead, where the file says so.
    grey_table : GreyTable or None
        The file's own grey scale, where it brings one as a table.
    format : str
        `jpeg`, `png` or `dicom`.
    bits : int
        Bits stored per pixel.
    frames : int
        In the file. Where there are several, all else here is of one, the first unless another was asked for.
    mosaic : bool
        Whether the file says that its one image is made of several.
    meta : dict of str to str
        Harmless technical words. Never a name, a description or an identifier.
    colour : float
        How coloured the image was before it was made grey: mean distance of the strongest from the weakest of red,
        green and blue, 0 to 1.
    study_date : datetime.date or None
        StudyDate, offered as the default of a form; the only thing here that belongs to a patient.
    """

    pixels: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    centre: float | None = None
    width: float | None = None
    presets: tuple[tuple[str, float, float], ...] = ()
    voi_function: str = "LINEAR"
    inverted: bool = False
    spacing: tuple[float, float] | None = None
    aspect: float = 1.0
    orientation: tuple[str, str] | None = None
    grey_table: GreyTable | None = None
    format: str = "png"
    bits: int = 8
    frames: int = 1
    mosaic: bool = False
    meta: dict[str, str] = field(default_factory=dict)
    colour: float = 0.0
    study_date: datetime.date | None = None


def colour_of(pixels: np.ndarray) -> float:
    """Give how coloured uint8 (H, W, 3) is: see `Decoded.colour`."""
    return float(np.mean(pixels.max(axis=2) - pixels.min(axis=2))) / 255.0


def check_sides(rows: int, columns: int, frames: int = 1) -> None:
    """Refuse an image by its announced size, before any pixel of it is decoded."""
    if rows < SMALLEST_SIDE or columns < SMALLEST_SIDE:
        raise Refused("too_small", f"The image is too small to show a brain: {columns} × {rows} pixels.")
    if max(rows, columns) > MOST_ELONGATED * min(rows, columns):
        raise Refused(
            "elongated",
            f"The image is too long and narrow to show a brain: {columns} × {rows} pixels. "
            f"One side may be {MOST_ELONGATED} times the other at most.",
        )
    if max(rows, columns) > LARGEST_SIDE or rows * columns * max(frames, 1) > PIXEL_LIMIT:
        many = f" in each of {frames} frames" if frames > 1 else ""
        raise Refused("too_large", f"The image is too large: {columns} × {rows} pixels{many}.")


def check_raw(rows: int, columns: int, bits: int) -> None:
    """Refuse an image by the bytes it takes before it is grey; `bits` are those of all samples of a pixel."""
    if rows * ((columns * bits + 7) // 8) > RAW_LIMIT:
        raise Refused("too_large", f"The image is too large: {columns} × {rows} pixels of {bits} bits.")


def check_parts(count: int) -> None:
    """Refuse a file of more pieces than any image has: each of them takes time."""
    if count > MOST_PARTS:
        raise Refused("damaged", "The file is damaged: it is made of far more parts than an image is.")
