"""How a DICOM file wants to be looked at: which way the patient lies, and the grey scale that it brings as a table."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from mlcore.decoded import GreyTable

# Positive directions of the patient's axes (PS3.3 C.7.6.2.1.1): left, posterior, head.
AXES = (("L", "R"), ("P", "A"), ("H", "F"))
# A direction names a second axis only where it leans at least this much (cosine) towards it: about 15 degrees.
LEANS = 0.25
LARGEST_TABLE = 65536  # entries


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
    cosines = _floats(dataset.get("ImageOrientationPatient"))
    if len(cosines) == 6:
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        square = abs(np.linalg.norm(row) - 1) < 0.01 and abs(np.linalg.norm(column) - 1) < 0.01
        return (_letters(row), _letters(column)) if square and abs(row @ column) < 0.01 else None
    value: Any = dataset.get("PatientOrientation")
    words = [str(each).strip().upper() for each in value] if hasattr(value, "__iter__") else []
    if len(words) != 2 or isinstance(value, str) or not all(re.fullmatch("[LRAPHF]{1,3}", word) for word in words):
        return None
    return words[0], words[1]


def _letters(direction: np.ndarray) -> str:
    ranked = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    leaning = [axis for axis in ranked if abs(direction[axis]) >= LEANS]
    return "".join(AXES[axis][0] if direction[axis] > 0 else AXES[axis][1] for axis in leaning)


def grey_table_of(dataset: Dataset) -> GreyTable | None:
    """The first item of the VOI LUT Sequence (DICOM PS3.3 C.11.2.1.1), or None where it is missing or broken."""
    items = dataset.get("VOILUTSequence") or []
    if not items:
        return None
    descriptor = _floats(items[0].get("LUTDescriptor"))
    if len(descriptor) != 3:
        return None
    count, first, bits = (int(each) for each in descriptor)
    count = count or LARGEST_TABLE  # 0 stands for 2^16
    if first > 32767 and int(dataset.get("PixelRepresentation", 0) or 0) == 1:
        first -= 65536  # the same two bytes, read as unsigned
    data = items[0].get("LUTData")
    if isinstance(data, bytes):
        values = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")[:count].astype(np.int64)
    else:
        values = np.array([int(each) for each in _floats(data)], dtype=np.int64)
    if not 8 <= bits <= 16 or not 0 < count <= LARGEST_TABLE or len(values) != count:
        return None
    if values.min() < 0 or values.max() >= 2**bits:
        return None
    return GreyTable(first=first, bits=bits, values=values.astype("<u2"))


def _floats(value: Any) -> list[float]:
    if value is None or isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return []
    try:
        numbers = [float(each) for each in value]
    except (TypeError, ValueError):
        return []
    return numbers if all(np.isfinite(numbers)) else []
