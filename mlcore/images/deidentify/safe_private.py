"""The Retain Safe Private Option: numbers of makers' own attributes that reading an MR image needs."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

_FORMATS = {"US": "H", "FL": "f", "FD": "d"}
_MOST_NUMBERS = 16


@dataclass(frozen=True)
class Safe:
    """A private attribute: group, creator, element within the creator's block, VR."""

    group: int
    creator: str
    element: int
    vr: str


# All in PS3.15 Table E.3.10-1. The CSA headers of Siemens (0029,xx10 and xx20) are not: they hold free text.
SAFE = (
    Safe(0x0019, "SIEMENS MR HEADER", 0x0A, "US"),  # images in a mosaic
    Safe(0x0019, "SIEMENS MR HEADER", 0x0C, "IS"),  # b-value
    Safe(0x0019, "SIEMENS MR HEADER", 0x0E, "FD"),  # direction of the gradient
    Safe(0x0019, "SIEMENS MR HEADER", 0x27, "FD"),  # b-matrix
    Safe(0x2001, "Philips Imaging DD 001", 0x03, "FL"),  # b-value
    Safe(0x2005, "Philips MR Imaging DD 001", 0xB0, "FL"),  # direction, right to left
    Safe(0x2005, "Philips MR Imaging DD 001", 0xB1, "FL"),  # front to back
    Safe(0x2005, "Philips MR Imaging DD 001", 0xB2, "FL"),  # foot to head
    Safe(0x0043, "GEMS_PARM_01", 0x39, "IS"),  # b-value and three more whole numbers
    Safe(0x0019, "GEMS_ACQU_01", 0xBB, "DS"),  # direction
    Safe(0x0019, "GEMS_ACQU_01", 0xBC, "DS"),
    Safe(0x0019, "GEMS_ACQU_01", 0xBD, "DS"),
)


def safe_numbers(dataset: Dataset) -> list[tuple[Safe, list[float]]]:
    """Read the numbers of safe private attributes.

    They are read as numbers and written anew, so that nothing else passes with them.
    """
    found: list[tuple[Safe, list[float]]] = []
    for safe in SAFE:
        try:
            element = dataset.private_block(safe.group, safe.creator)[safe.element]
        except KeyError:
            continue
        values = _numbers(element.value, safe.vr, dataset.original_encoding[1] is not False)
        if values:
            found.append((safe, values))
    return found


def write_numbers(dataset: Dataset, numbers: list[tuple[Safe, list[float]]]) -> list[int]:
    """Put such numbers into a data set without private attributes; give the tags that were written."""
    written = []
    for safe, values in numbers:
        block = dataset.private_block(safe.group, safe.creator, create=True)
        said: list[str] | list[int] | list[float] = values
        if safe.vr in ("IS", "US"):
            said = [int(each) for each in values]
        elif safe.vr == "DS":
            said = [f"{each:.9g}" for each in values]
        block.add_new(safe.element, safe.vr, said if len(values) > 1 else said[0])
        written.append(int(block.get_tag(safe.element)))
    return written


def _numbers(value: object, vr: str, little: bool) -> list[float]:
    """Give finite numbers, or none at all where anything else stands there."""
    if isinstance(value, bytes) and vr in _FORMATS:
        form = _FORMATS[vr]
        count, rest = divmod(len(value), struct.calcsize(f"={form}"))
        if rest or count > _MOST_NUMBERS:
            return []
        parts: list[object] = list(struct.unpack(f"{'<' if little else '>'}{count}{form}", value))
    elif isinstance(value, bytes):
        parts = list(value.decode("ascii", "replace").strip(" \0").split("\\"))
    else:
        parts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        numbers = [float(str(part)) for part in parts]
    except ValueError:
        return []
    fits = all(math.isfinite(each) and (vr not in ("IS", "US") or _whole(each, vr)) for each in numbers)
    return numbers if fits and len(numbers) <= _MOST_NUMBERS else []


def _whole(number: float, vr: str) -> bool:
    least, most = (0, 0xFFFF) if vr == "US" else (-(2**31), 2**31 - 1)
    return number == int(number) and least <= number <= most
