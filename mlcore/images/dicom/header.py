"""What a DICOM header says of its pixels. Real ones hold words, commas and gaps where numbers belong."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from mlcore.images.decoded import Refused

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,")


@dataclass(frozen=True)
class Header:
    """The Image Pixel module (DICOM PS3.3 C.7.6.3), what is missing filled in with what other readers take.

    Attributes
    ----------
    keyword : str
        Which of `PIXELS` holds the image.
    rows, columns, frames, samples : int
        As the header says; `samples` is 1 or 3.
    photometric : str
        One of `GREY` or `COLOUR`.
    allocated, stored, high : int
        Bits of a sample's container, bits that are used, and the highest of these.
    signed : bool
        Whether stored values are two's complement.
    planar : int
        1 where red, green and blue stand one after the other.
    """

    keyword: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: int


def header_of(dataset: Dataset) -> Header:
    """Read the Image Pixel module.

    Raises
    ------
    Refused
        `no_pixels`, `colour_dicom`, `damaged`.
    """
    keyword = next((name for name in PIXELS if name in dataset), None)
    rows, columns = whole(dataset, "Rows", 0), whole(dataset, "Columns", 0)
    if keyword is None or rows < 1 or columns < 1:
        raise Refused("no_pixels")
    frames = whole(dataset, "NumberOfFrames", 1)
    if frames < 0:
        raise Refused("damaged")
    frames = max(frames, 1)
    photometric, samples = _photometric_and_samples(dataset)
    allocated, stored, high = _bits(dataset, keyword, rows * columns * samples * frames)
    return Header(
        keyword=keyword,
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=whole(dataset, "PixelRepresentation", 0) == 1,
        planar=1 if whole(dataset, "PlanarConfiguration", 0) == 1 else 0,
    )


def _photometric_and_samples(dataset: Dataset) -> tuple[str, int]:
    """Give the photometric interpretation and the samples of a pixel; what is missing follows from the other."""
    photometric = word(dataset, "PhotometricInterpretation")
    samples = whole(dataset, "SamplesPerPixel", 0) or (3 if photometric in COLOUR[:-1] else 1)
    if not photometric:
        palette = "RedPaletteColorLookupTableDescriptor" in dataset
        photometric = "RGB" if samples == 3 else "PALETTE COLOR" if palette else "MONOCHROME2"
    if photometric not in GREY + COLOUR or samples not in (1, 3):
        raise Refused("colour_dicom")
    return photometric, samples


def _bits(dataset: Dataset, keyword: str, values: int) -> tuple[int, int, int]:
    """Give bits allocated, bits stored and the highest bit of an image of so many values; none exceeds the former."""
    allocated = whole(dataset, "BitsAllocated", {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword, 0))
    if allocated < 1:
        allocated = _bits_by_length(dataset, values)
    high = whole(dataset, "HighBit", -1)
    stored = whole(dataset, "BitsStored", high + 1 if 0 < high < allocated else allocated)
    stored = stored if 0 < stored <= allocated else allocated
    return allocated, stored, high if stored - 1 <= high < allocated else stored - 1


def _bits_by_length(dataset: Dataset, values: int) -> int:
    """Give the bits of a value where the header does not: 8 where the bytes are too few for 16."""
    length = len(dataset["PixelData"].value or b"") if "PixelData" in dataset else 0
    return 8 if values <= length < 2 * values else 16


def get(dataset: Dataset, name: str) -> Any:
    """Give the value of an element, None where it is missing; its bytes where pydicom cannot read them."""
    try:
        return dataset.get(name)
    except Exception:  # noqa: BLE001 - whatever pydicom says of an odd value, it must not stand in the way of the image
        raw = dataset.get_item(tag_for_keyword(name) or 0)
        return raw.value if raw is not None and isinstance(raw.value, bytes) else None


def word(dataset: Dataset, name: str) -> str:
    """Give a code string as the standard writes it: upper case, without padding."""
    value = get(dataset, name)
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return "" if value is None else str(value).strip(" \0\t\r\n").upper()


def numbers(dataset: Dataset, name: str) -> list[float | None]:
    """Give the values of an element in their places; None stands for one that is empty or no finite number."""
    return [number_of(each) for each in _several(get(dataset, name))]


def number(dataset: Dataset, name: str, default: float) -> float:
    """Give the first value of an element that is a number."""
    return next((each for each in numbers(dataset, name) if each is not None), default)


def whole(dataset: Dataset, name: str, default: int) -> int:
    """Give the first value of an element that is a number, as a whole one."""
    return int(number(dataset, name, default))


def number_of(value: Any) -> float | None:
    """Read one number; a single comma is a decimal point. None where it is none, or not finite."""
    if isinstance(value, str):
        value = value.strip(" \0\t\r\n")
        if _DECIMAL_COMMA.fullmatch(value):
            value = value.replace(",", ".")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        return value.split("\\")
    return value if hasattr(value, "__iter__") else [value]


def integers(value: Any, little: bool) -> list[int]:
    """Give the 16-bit integers of a value; bytes, where pydicom left them so, in the byte order of the file."""
    if value is None or isinstance(value, str):
        return []
    if isinstance(value, bytes):
        count = len(value) // 2
        return list(struct.unpack(f"{'<' if little else '>'}{count}H", value[: 2 * count]))
    try:
        return [int(each) for each in (value if hasattr(value, "__iter__") else [value])]
    except (TypeError, ValueError, OverflowError):
        return []


def is_little_endian(dataset: Dataset) -> bool:
    """Tell the byte order in which the file was written."""
    return dataset.original_encoding[1] is not False
