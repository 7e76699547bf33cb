"""DICOM: what may be read is settled from the header before a pixel is decompressed."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mlcore.images.decoded import PIXEL_LIMIT, Decoded, GreyTable, NoSuchFrame, Refused, check_raw, check_sides
from mlcore.images.dicom.checked import Checked
from mlcore.images.dicom.file import is_dicom, read
from mlcore.images.dicom.frames import with_groups_of_frame
from mlcore.images.dicom.groups import Groups, frame_of
from mlcore.images.dicom.header import GREY, Header, get, header_of
from mlcore.images.dicom.mosaic import Mosaic, NoHeader, mosaic_of
from mlcore.images.dicom.pixels import stored_values
from mlcore.images.dicom.quiet import quiet
from mlcore.images.dicom.tables import looked_up
from mlcore.images.dicom.values import luma_of, modality_of, padding_of, presets_of, voi_function_of
from mlcore.images.dicom.view import aspect_of, grey_table_of, is_mosaic, orientation_of, spacing_of

__all__ = ["decode_dicom", "is_dicom"]

NATIVE = (ExplicitVRLittleEndian, ExplicitVRBigEndian)
COMPRESSED = (
    RLELossless,
    JPEG2000Lossless,
    JPEG2000,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)
# Only one frame is decompressed at a time: the others cost the bytes that the file has.
_MOST_OF_ALL_FRAMES = 20 * PIXEL_LIMIT
_LARGEST = float(np.finfo(np.float32).max)
_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})")


def decode_dicom(data: bytes, index: int | None = None) -> Decoded:
    """Decode a DICOM MR image; of one with several frames one.

    Parameters
    ----------
    data : bytes
        The whole file. Old archives leave out the preamble: then its header must say that it holds an image.
    index : int, optional
        Of the frame, from 0; of a mosaic, of the tile. Where left out it is the first, or the mosaic as it is.

    Returns
    -------
    Decoded
        Stored values with rescale, VOI windows and spacing; a Modality LUT is applied, colour is turned into 8-bit
        luma. `frames` says how many there are; the others are neither read nor decompressed.

    Raises
    ------
    Refused
        `not_an_image`, `not_mr`, `no_pixels`, `colour_dicom`,
        `unsupported_format`, `too_large`, `too_small`, `truncated`, `damaged`.
    NoSuchFrame
        If the file has no frame of that index.
    """
    with quiet():
        dataset, syntax = read(data)
        if syntax not in NATIVE + COMPRESSED:
            name = _word(syntax.name)
            raise Refused("unsupported_format", f"The DICOM transfer syntax {name} is not read here.")
        header = _checked_header(dataset)
        mosaic = _mosaic(dataset, header) if index is not None else None
        if not 0 <= (index or 0) < (mosaic.tiles if mosaic else header.frames):
            raise NoSuchFrame(index)
        if mosaic is None:
            return _one(dataset, header, syntax, index or 0)
        whole = _one(dataset, header, syntax, 0)
        tile = mosaic.tile(whole.pixels, index or 0)
        return dataclasses.replace(whole, pixels=tile, frames=mosaic.tiles, mosaic=False)


def _mosaic(dataset: Dataset, header: Header) -> Mosaic | None:
    """Give how a mosaic is cut; None of what is none, or does not say it."""
    if header.frames > 1 or not is_mosaic(dataset):
        return None
    checked = Checked()
    whole = frame_of(Groups(dataset, 1), 0, checked)
    try:
        between = checked.positive(dataset, "SpacingBetweenSlices")
        mosaic = mosaic_of(dataset, whole, header.rows, header.columns, between)
        mosaic.frames(whole)
    except NoHeader:
        return None
    check_sides(mosaic.rows, mosaic.columns)
    return mosaic


def _one(dataset: Dataset, header: Header, syntax: UID, index: int) -> Decoded:
    """Decode the frame of an index."""
    stored, known = stored_values(dataset, header, syntax, index)
    dataset = with_groups_of_frame(dataset, index)
    if known.samples == 3 or known.photometric not in GREY:
        return _coloured(stored, dataset, known, syntax)
    words = dataclasses.replace(header, stored=header.allocated, high=header.allocated - 1)
    padding = padding_of(stored, dataset, known, lambda: stored_values(dataset, words, syntax, index)[0])
    return _grey(stored, padding, dataset, known, syntax)


def _checked_header(dataset: Dataset) -> Header:
    modality = str(get(dataset, "Modality") or "").strip(" \0").upper()
    if modality and modality != "MR":
        raise Refused("not_mr", f"The DICOM file is no MRI: its modality is {_word(modality)}.")
    header = header_of(dataset)
    check_sides(header.rows, header.columns)
    check_raw(header.rows, header.columns, header.samples * header.allocated)
    if header.rows * header.columns * header.frames > _MOST_OF_ALL_FRAMES:
        check_sides(header.rows, header.columns, header.frames)
    return header


def _coloured(stored: np.ndarray, dataset: Dataset, header: Header, syntax: UID) -> Decoded:
    pixels, colour = luma_of(stored, dataset, header)
    return Decoded(pixels=pixels, colour=colour, **_common(dataset, header, syntax))


def _grey(stored: np.ndarray, padding: np.ndarray, dataset: Dataset, header: Header, syntax: UID) -> Decoded:
    inverted = header.photometric == "MONOCHROME1"
    # The ends of what is true: padding may be no number at all.
    true = stored[~padding] if padding.any() else stored
    if not true.size or (true.dtype.kind == "f" and not (np.abs(true) <= _LARGEST).all()):
        raise Refused("damaged", "The DICOM file is damaged: its image holds values that are no numbers.")
    modality = modality_of(dataset, true, header)
    if isinstance(modality, GreyTable):
        stored, true, slope, intercept = looked_up(modality, stored), looked_up(modality, true), 1.0, 0.0
    else:
        slope, intercept = modality
    if padding.any():
        # Padding shows nothing and would bend every scale: it becomes the darkest true value.
        dark = true.max() if inverted != (slope < 0) else true.min()
        stored = np.where(padding, dark, stored).astype(stored.dtype)
    lowest = min(slope * float(true.min()), slope * float(true.max())) + intercept
    signed = lowest < 0 or (header.signed and not isinstance(modality, GreyTable))
    presets = presets_of(dataset)
    return Decoded(
        pixels=_in_a_known_type(stored),
        slope=slope,
        intercept=intercept,
        centre=presets[0][1] if presets else None,
        width=presets[0][2] if presets else None,
        presets=presets,
        voi_function=voi_function_of(dataset),
        inverted=inverted,
        grey_table=grey_table_of(dataset, signed=signed),
        **_common(dataset, header, syntax),
    )


def _in_a_known_type(stored: np.ndarray) -> np.ndarray:
    """Give the values as uint8, uint16, int16 or, where none of these holds them, float32."""
    if stored.dtype.kind in "iu":
        low, high = int(stored.min()), int(stored.max())
        held = stored.dtype.itemsize <= 2
        for kind in (np.uint8, np.uint16, np.int16):
            bounds = np.iinfo(kind)
            if stored.dtype == kind or (not held and bounds.min <= low and high <= bounds.max):
                return np.ascontiguousarray(stored, dtype=np.dtype(kind).newbyteorder("<"))
        if stored.dtype == np.int8:
            return np.ascontiguousarray(stored, dtype="<i2")
    return np.ascontiguousarray(stored, dtype="<f4")


def _common(dataset: Dataset, header: Header, syntax: UID) -> dict[str, Any]:
    """What every image has, grey or coloured."""
    return {
        "spacing": spacing_of(dataset),
        "aspect": aspect_of(dataset),
        "orientation": orientation_of(dataset),
        "format": "dicom",
        "bits": header.stored,
        "frames": header.frames,
        "mosaic": is_mosaic(dataset),
        "meta": {
            "format": "DICOM",
            "transfer_syntax": _word(syntax.name),
            "modality": "MR" if get(dataset, "Modality") else "",
            "photometric": _word(header.photometric),
        },
        "study_date": _date(str(get(dataset, "StudyDate") or "")),
    }


def _date(text: str) -> datetime.date | None:
    found = _DATE.match(text)
    try:
        return datetime.date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


def _word(text: str) -> str:
    """Keep a technical word harmless: printable, short."""
    return "".join(c for c in text if c.isalnum() or c in " -_.,()")[:64]
