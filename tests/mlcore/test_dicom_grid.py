"""Our values, windows and tables against pydicom's own numpy pipeline, over every way to write an image."""

import warnings
import zlib

import numpy as np
import pytest
from pydicom.uid import UID

from mlcore.images.decode import decode, rescaled, windowed
from mlcore.images.decoded import Decoded
from tests.mlcore.dicom_grid import SYNTAXES, Combination, small_grid, whole_grid, write

CLOSE = 1e-6


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """How far one is from the other, of the largest that there should be."""
    return float(np.abs(found.astype(np.float64) - wanted).max() / max(1.0, np.abs(wanted).max()))


def faults(combination: Combination) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom speaks of odd files
        written = write(combination, zlib.crc32(str(combination).encode()))
    decoded = decode(written.data)
    found = []
    values = rescaled(decoded)
    if off(values, written.values) > CLOSE:
        found.append(f"values are off by {off(values, written.values):g}")
    if decoded.inverted != (combination.photometric == "MONOCHROME1"):
        found.append("inverted is wrong")
    if written.shown is not None:
        found += _of_window(decoded, written.values, written.shown)
    if written.table is not None:
        found += _of_table(decoded, written.values, written.table)
    return found


def _of_window(decoded: Decoded, values: np.ndarray, wanted: np.ndarray) -> list[str]:
    if decoded.centre is None or decoded.width is None:
        return ["the window is lost"]
    shown = np.clip(windowed(values, decoded.centre, decoded.width, decoded.voi_function), 0.0, 1.0)
    return [] if off(shown, wanted) <= CLOSE else [f"what is shown is off by {off(shown, wanted):g}"]


def _of_table(decoded: Decoded, values: np.ndarray, wanted: np.ndarray) -> list[str]:
    table = decoded.grey_table
    if table is None:
        return ["the table is lost"]
    index = np.clip(np.floor(values) - table.first, 0, len(table.values) - 1).astype(np.int64)
    return [] if np.array_equal(table.values[index], wanted) else ["the table is another"]


def wrong(combinations: list[Combination]) -> dict[str, list[str]]:
    return {str(each): found for each in combinations if (found := faults(each))}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_values_windows_and_tables_are_those_of_pydicom(syntax: UID) -> None:
    combinations = [each for each in small_grid() if each.syntax == syntax]
    assert len(combinations) > 40
    assert wrong(combinations) == {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_values_windows_and_tables_are_those_of_pydicom_in_every_combination() -> None:
    combinations = list(whole_grid())
    assert len(combinations) > 70_000
    assert wrong(combinations) == {}
