"""Which way the patient lies, and the file's own grey table: right, or not there."""

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mlcore.images.dicom.view import grey_table_of, orientation_of

TILT = math.radians(20)


def lying(*cosines: float, **more: object) -> Dataset:
    dataset = Dataset()
    if cosines:
        dataset.ImageOrientationPatient = list(cosines)
    for name, value in more.items():
        setattr(dataset, name, value)
    return dataset


@pytest.mark.parametrize(
    ("dataset", "letters"),
    [
        (lying(1, 0, 0, 0, 1, 0), ("L", "P")),  # axial
        (lying(0, 1, 0, 0, 0, -1), ("P", "F")),  # sagittal
        (lying(1, 0, 0, 0, 0, -1), ("L", "F")),  # coronal
        (lying(-1, 0, 0, 0, -1, 0), ("R", "A")),
        (lying(1, 0, 0, 0, math.cos(TILT), -math.sin(TILT)), ("L", "PF")),
        (lying(0.9999, 0.0141, 0, -0.0141, 0.9999, 0), ("L", "P")),
        (lying(PatientOrientation=["L", "PF"]), ("L", "PF")),
        (lying(1, 0, 0, 0, 1, 0, PatientOrientation=["A", "F"]), ("L", "P")),
        (lying(), None),
        (lying(1, 0, 0, 1, 0, 0), None),  # no right angle
        (lying(0, 0, 0, 0, 1, 0), None),
        (lying(2, 0, 0, 0, 1, 0), None),
        (lying(PatientOrientation=["LEFT", "P"]), None),
        (lying(PatientOrientation=["L"]), None),
        (lying(PatientOrientation="L"), None),
        (lying(PatientOrientation=["L", "X"]), None),
    ],
)
def test_orientation_in_letters(dataset, letters):
    assert orientation_of(dataset) == letters


def table(descriptor: object, data: object, representation: int = 0) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = descriptor
    item.add_new(0x00283006, "OW" if isinstance(data, bytes) else "US", data)
    dataset = Dataset()
    dataset.PixelRepresentation = representation
    dataset.VOILUTSequence = [item]
    return dataset


def test_table_of_words_and_of_bytes():
    values = [0, 10, 200, 4095]
    for data in (values, np.array(values, "<u2").tobytes()):
        found = grey_table_of(table([4, 100, 12], data))
        assert found is not None
        assert (found.first, found.bits, found.values.tolist()) == (100, 12, values)


def test_first_value_of_signed_pixels_is_signed():
    found = grey_table_of(table([2, 65036, 8], [0, 255], representation=1))
    assert found is not None
    assert found.first == -500


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset(),
        table([5, 0, 12], [1, 2, 3]),  # shorter than it says
        table([3, 0, 8], [1, 2, 256]),  # brighter than white
        table([3, 0, 32], [1, 2, 3]),
        table([3, 0], [1, 2, 3]),
    ],
)
def test_table_that_is_missing_or_broken_is_none(dataset):
    assert grey_table_of(dataset) is None
