"""Tables of a DICOM file: from stored values to true ones, to greys, to colours; in all the ways they are written."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from mlcore.images.decoded import GreyTable, Refused
from mlcore.images.dicom.header import Header, get, integers, is_little_endian

LARGEST_TABLE = 65536  # entries
_AT_ONCE = 1 << 18
_COLOURS = ("Red", "Green", "Blue")


def looked_up(table: GreyTable, stored: np.ndarray) -> np.ndarray:
    """Look up whole numbers of any shape; gives uint16."""
    found = np.empty(stored.size, "<u2")
    flat = stored.reshape(-1)
    # Piece by piece: indices are four times as large as what they find.
    for begin in range(0, flat.size, _AT_ONCE):
        part = flat[begin : begin + _AT_ONCE].astype(np.int64) - table.first
        found[begin : begin + _AT_ONCE] = table.values[np.clip(part, 0, len(table.values) - 1)]
    return found.reshape(stored.shape)


def table_of(item: Dataset, dataset: Dataset, *, signed: bool) -> GreyTable | None:
    """Read LUT Descriptor and LUT Data (DICOM PS3.3 C.11.1.1.1, C.11.2.1.1).

    Parameters
    ----------
    item : pydicom.dataset.Dataset
        Of a Modality or VOI LUT Sequence.
    dataset : pydicom.dataset.Dataset
        Of the file, whose byte order the data have.
    signed : bool
        Whether the table's input may be negative.

    Returns
    -------
    GreyTable or None
        None where one of the two is missing or they do not fit together.
    """
    little = is_little_endian(dataset)
    return _table(get(item, "LUTDescriptor"), get(item, "LUTData"), little, signed)


def _table(descriptor: object, data: object, little: bool, signed: bool) -> GreyTable | None:
    described = integers(descriptor, little)
    if len(described) != 3:
        return None
    # 0 stands for 2^16, which two bytes cannot say.
    count, first, bits = described[0] % LARGEST_TABLE or LARGEST_TABLE, described[1], described[2]
    if signed and first > 32767:
        first -= 65536  # the same two bytes, read as unsigned
    values = _entries(data, count, bits, little)
    if not 8 <= bits <= 16 or values is None:
        return None
    return GreyTable(first=first, bits=bits, values=values.astype("<u2"))


def _entries(data: object, count: int, bits: int, little: bool) -> np.ndarray | None:
    """Give the entries. Of 8 bits they may stand two in a word, the first in its lower half (PS3.3 C.11.1.1.1)."""
    words = np.asarray(_words(data, little), dtype=np.int64) & 0xFFFF
    if len(words) >= count:
        return words[:count]
    if bits > 8:
        return None
    packed = np.stack((words & 255, words >> 8), axis=1).ravel()
    if isinstance(data, bytes) and len(data) % 2:
        packed = np.append(packed, data[-1])
    return packed[:count] if len(packed) >= count else None


def _words(data: object, little: bool) -> np.ndarray | list[int]:
    if isinstance(data, bytes):
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
    return integers(data, little)


def palette_of(dataset: Dataset, header: Header) -> tuple[list[GreyTable], float]:
    """Read the tables of a palette (DICOM PS3.3 C.7.9).

    Returns
    -------
    list of GreyTable
        Of red, green and blue.
    float
        The value that stands for full brightness.

    Raises
    ------
    Refused
        `damaged` where there is no whole palette.
    """
    tables = [_colour_table(dataset, colour, header.signed) for colour in _COLOURS]
    if any(table is None for table in tables):
        raise Refused("damaged", "The DICOM file is damaged: its palette is not whole.")
    whole = [table for table in tables if table is not None]
    brightest = max(int(table.values.max()) for table in whole)
    top = 2 ** whole[0].bits - 1
    if brightest > top:
        top = 65535
    elif whole[0].bits > 8 and brightest <= 255:
        # Bytes in words: a palette of 16 bits that is next to black from end to end is none.
        top = 255
    return whole, float(top)


def _colour_table(dataset: Dataset, colour: str, signed: bool) -> GreyTable | None:
    little = is_little_endian(dataset)
    descriptor = integers(get(dataset, f"{colour}PaletteColorLookupTableDescriptor"), little)
    data = get(dataset, f"{colour}PaletteColorLookupTableData")
    if not data and (segments := get(dataset, f"Segmented{colour}PaletteColorLookupTableData")):
        if len(descriptor) != 3:
            return None
        words = np.asarray(_words(segments, little), dtype=np.int64)
        if eight := descriptor[2] == 8:
            words = np.stack((words & 255, words >> 8), axis=1).ravel()
        data = _expanded(words, descriptor[0] % LARGEST_TABLE or LARGEST_TABLE, eight)
    return _table(descriptor, data, little, signed)


def _expanded(words: np.ndarray, count: int, eight: bool) -> list[int]:
    """Write a segmented table out (DICOM PS3.3 C.7.9.2): runs of values, straight lines, and segments said before."""
    segments, at = _segments_of(words, eight), 0
    entries = list[int]()
    steps = [(kind, values) for kind, values, _ in segments]
    places = {place: number for number, (_, _, place) in enumerate(segments)}
    while at < len(steps) and len(entries) < count:
        kind, values = steps[at]
        if kind == 2:
            # The standard counts bytes, some writers words.
            again = places.get(values[1], places.get(values[1] // 2))
            if again is None or again + values[0] > at:
                raise Refused("damaged")
            if any(steps[number][0] == 2 for number in range(again, again + values[0])):
                raise Refused("damaged")
            for number in range(again, again + values[0]):
                _append(entries, *steps[number])
        else:
            _append(entries, kind, values)
        at += 1
    return entries[:count]


def _append(entries: list[int], kind: int, values: list[int]) -> None:
    if kind == 0:
        entries.extend(values)
        return
    length, end = values
    if not entries or length < 1:
        raise Refused("damaged")
    start = entries[-1]
    entries.extend(int(each) for each in np.rint(start + (end - start) * np.arange(1, length + 1) / length))


def _segments_of(words: np.ndarray, eight: bool) -> list[tuple[int, list[int], int]]:
    """Give (kind, values, place): 0 values, 1 length and end of a line, 2 number and place of segments to repeat."""
    found, at = list[tuple[int, list[int], int]](), 0
    while at + 2 <= len(words):
        kind, length = int(words[at]), int(words[at + 1])
        size = {0: 2 + length, 1: 3, 2: 6 if eight else 4}.get(kind)
        if size is None or at + size > len(words):
            break  # padding behind the last segment
        if kind == 0:
            values = [int(each) for each in words[at + 2 : at + size]]
        elif kind == 1:
            values = [length, int(words[at + 2])]
        else:
            parts = [int(each) for each in words[at + 2 : at + size]]
            values = [length, sum(part << (8 if eight else 16) * place for place, part in enumerate(parts))]
        found.append((kind, values, at))
        at += size
    return found
