"""How a DICOM file wants to be looked at: which way the patient lies, and the grey scale that it brings as a table."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from mlcore.images.decoded import GreyTable
from mlcore.images.dicom.header import get, is_little_endian, number, numbers
from mlcore.images.dicom.siemens import private_value
from mlcore.images.dicom.tables import table_of

# Positive directions of the patient's axes (PS3.3 C.7.6.2.1.1): left, posterior, head.
AXES = (("L", "R"), ("P", "A"), ("H", "F"))
# A direction names a second axis only where it leans at least this much (cosine) towards it: about 15 degrees.
LEANS = 0.25
# Beyond, a shape is a slip of the pen: an image of it could not be shown.
FLATTEST, TALLEST = 1 / 50, 50.0
_LARGEST = float(np.finfo(np.float32).max)
# What tells the shape of a pixel without telling millimetres at the object, by row and by column: docs/viewer.md.
_SHAPES = ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def orientation_of(dataset: Dataset) -> tuple[str, str] | None:
    """Where the rows and the columns of the image lead.

    Returns
    -------
    (str, str) or None
        Letters of L, R, A, P, H, F, the strongest first: where one gets to along a row (to the right of the stored
        image) and down a column. None where the file does not say, or says what cannot be: a wrong letter is worse
        than none.

    Notes
    -----
    ImageOrientationPatient, else PatientOrientation (DICOM PS3.3 C.7.6.2.1.1 and C.7.6.1.1.1).
    """
    cosines = _floats(get(dataset, "ImageOrientationPatient"))
    if len(cosines) == 6:
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        square = abs(np.linalg.norm(row) - 1) < 0.01 and abs(np.linalg.norm(column) - 1) < 0.01
        return (_letters(row), _letters(column)) if square and abs(row @ column) < 0.01 else None
    value: Any = get(dataset, "PatientOrientation")
    words = [str(each).strip().upper() for each in value] if hasattr(value, "__iter__") else []
    if len(words) != 2 or isinstance(value, str) or not all(re.fullmatch("[LRAPHF]{1,3}", word) for word in words):
        return None
    return words[0], words[1]


def _letters(direction: np.ndarray) -> str:
    ranked = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    leaning = [axis for axis in ranked if abs(direction[axis]) >= LEANS]
    return "".join(AXES[axis][0] if direction[axis] > 0 else AXES[axis][1] for axis in leaning)


def spacing_of(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres in the patient between rows and between columns: Pixel Spacing, which alone is that."""
    return _pair(dataset, "PixelSpacing")


def aspect_of(dataset: Dataset) -> float:
    """How much taller than wide a pixel is, by whatever tells it; 1 where nothing does."""
    for name in ("PixelSpacing", *_SHAPES):
        pair = _pair(dataset, name)
        if pair and FLATTEST <= pair[0] / pair[1] <= TALLEST:
            return pair[0] / pair[1]
    return 1.0


def _pair(dataset: Dataset, name: str) -> tuple[float, float] | None:
    values = numbers(dataset, name)
    if len(values) != 2:
        return None
    first, second = values
    if first is None or second is None:
        return None
    return (first, second) if min(first, second) > 0 and max(first, second) <= _LARGEST else None


def grey_table_of(dataset: Dataset, *, signed: bool | None = None) -> GreyTable | None:
    """Read the first item of the VOI LUT Sequence (DICOM PS3.3 C.11.2.1.1).

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of the file.
    signed : bool, optional
        Whether the table's input may be negative; as the pixels where left out.

    Returns
    -------
    GreyTable or None
        None where it is missing or broken.
    """
    if signed is None:
        signed = number(dataset, "PixelRepresentation", 0) == 1
    for item in list(get(dataset, "VOILUTSequence") or [])[:1]:
        table = table_of(item, dataset, signed=signed)
        if table is not None and int(table.values.max()) < 2**table.bits:
            return table
    return None


def _floats(value: Any) -> list[float]:
    if value is None or isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return []
    try:
        numbers = [float(each) for each in value]
    except (TypeError, ValueError):
        return []
    return numbers if all(np.isfinite(numbers)) else []


def is_mosaic(dataset: Dataset) -> bool:
    """Whether the one image is made of several: MOSAIC among its types, or more than one image by Siemens' own count.

    The word may stand anywhere in ImageType (PS3.3 C.7.6.1.1.2 leaves all values from the third on to the maker).
    """
    kind = get(dataset, "ImageType")
    words = [kind] if isinstance(kind, str | bytes) else list(kind or [])
    count = _siemens_tiles(dataset)
    # One tile is the whole image, whatever its type says.
    return count > 1 if count else any("MOSAIC" in str(word).upper() for word in words)


def _siemens_tiles(dataset: Dataset) -> int:
    """NumberOfImagesInMosaic of Siemens' private group 0019; 0 where it is not told."""
    value = private_value(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little" if is_little_endian(dataset) else "big")
    return value if isinstance(value, int) else 0
