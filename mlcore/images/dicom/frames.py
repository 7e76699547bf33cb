"""One frame of a DICOM file: where its compressed bytes lie, and what the file says of that frame alone."""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset

from mlcore.images.decoded import Refused
from mlcore.images.dicom.header import get

# By the module that they are otherwise read from: spacing, orientation, window and rescaling
# (DICOM PS3.3 C.7.6.16.2.1, .4, .10 and C.7.6.16.2.9).
_READ = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}
# Of what a group says, what may stand at the top and would otherwise go before it.
_REPLACED = {
    "FrameVOILUTSequence": ("VOILUTFunction", "VOILUTSequence"),
    "PixelValueTransformationSequence": ("ModalityLUTSequence",),
}
_PADDING = 65536  # bytes that are looked at
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_STREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")


def with_groups_of_frame(dataset: Dataset, index: int) -> Dataset:
    """Put at the top what the functional groups say of one frame, what it has alone over what all share.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of an image; changed in place.
    index : int
        Of the frame, from 0.

    Returns
    -------
    pydicom.dataset.Dataset
        The same.
    """
    for groups, at in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        for own in list(get(dataset, groups) or [])[at : at + 1]:
            for macro, names in _READ.items():
                for inside in list(get(own, macro) or [])[:1]:
                    _put_at_the_top(dataset, inside, names, _REPLACED.get(macro, ()))
    return dataset


def _put_at_the_top(dataset: Dataset, inside: Dataset, names: tuple[str, ...], replaced: tuple[str, ...]) -> None:
    given = [name for name in names if name in inside]
    if given:
        for name in replaced:
            if name in dataset:
                del dataset[name]
    for name in given:
        dataset[name] = inside[name]


def is_encapsulated(value: memoryview) -> bool:
    """Tell whether pixel data are a row of items (DICOM PS3.5 A.4), whatever the transfer syntax says."""
    return value[:4] == _ITEM


def fragments_of(value: memoryview) -> list[tuple[int, memoryview]]:
    """Give the fragments behind the offset table, each with its offset from the first.

    Raises
    ------
    Refused
        `truncated` where an item is longer than what is there, `damaged` where something else stands in between.
    """
    items, at, first = list[tuple[int, memoryview]](), 0, 0
    while value[at : at + 4] == _ITEM:
        if at + 8 > len(value):
            raise Refused("truncated")
        end = at + 8 + struct.unpack("<I", value[at + 4 : at + 8])[0]
        if end > len(value):
            raise Refused("truncated")
        first = first or end
        items.append((at - first, value[at + 8 : end]))
        at = end
    # Zeros behind the last fragment are padding without an end.
    if not items or (value[at : at + 4] != _END and bytes(value[at : at + _PADDING]).strip(b"\0")):
        raise Refused("damaged")
    return items


def _begins(part: memoryview) -> bool:
    return bytes(part[:8]).startswith(_STREAMS)


def frame_bytes(value: memoryview, frames: int, index: int, extended: bytes = b"") -> bytes:
    """Give the compressed bytes of one frame.

    Parameters
    ----------
    value : memoryview
        Encapsulated pixel data: the basic offset table and the fragments.
    frames : int
        How many frames the header says.
    index : int
        Of the frame, from 0.
    extended : bytes
        Extended Offset Table, where the file has one.

    Raises
    ------
    Refused
        `truncated` where there are fewer fragments than frames, which share none; `damaged` where nothing tells how
        many fragments the frame has.

    Notes
    -----
    Offset tables are often wrong. They are asked only where the fragments themselves leave it open, and believed only
    where they point to the beginning of a fragment.
    """
    table, parts = _table_and_parts(value)
    if len(parts) < frames:
        raise Refused("truncated")
    if frames == 1:
        return b"".join(part for _, part in parts)
    if len(parts) == frames:
        return bytes(parts[index][1])
    begin, end = _ends_of(index, frames, parts, table, extended)
    return b"".join(part for at, part in parts if at >= begin and (end is None or at < end))


def _ends_of(
    index: int, frames: int, parts: list[tuple[int, memoryview]], table: memoryview, extended: bytes
) -> tuple[int, int | None]:
    """Give the offsets between which the fragments of a frame lie; no end where it is the last."""
    places = {at for at, _ in parts}
    begins = [at for at, part in parts if _begins(part)]
    for offsets in (_offsets("<I", table), _offsets("<Q", extended), begins):
        if _are_of_frames(offsets, frames, places, index):
            return offsets[index], offsets[index + 1] if index + 1 < frames else None
    raise Refused("damaged")


def _table_and_parts(value: memoryview) -> tuple[memoryview, list[tuple[int, memoryview]]]:
    """Give the basic offset table and the fragments that hold anything, each with its offset from the first."""
    (_, table), *parts = fragments_of(value)
    if _begins(table):  # a writer that left the offset table out
        behind = 8 + len(table)
        parts, table = [(0, table), *((at + behind, part) for at, part in parts)], memoryview(b"")
    return table, [(at, part) for at, part in parts if part]


def _offsets(layout: str, table: memoryview | bytes) -> list[int]:
    """Give the offsets of a table; what is left over at its end is none."""
    whole = len(table) // struct.calcsize(layout)
    return [each for (each,) in struct.iter_unpack(layout, table[: whole * struct.calcsize(layout)])]


def _are_of_frames(offsets: list[int], frames: int, places: set[int], index: int) -> bool:
    """Tell whether there is an offset for each frame, the first of them 0, each where a fragment begins, and whether
    those beside the frame lie beside it."""
    beside = offsets[max(index - 1, 0) : index + 2]
    rising = all(before < after for before, after in zip(beside, beside[1:], strict=False))
    return len(offsets) == frames and offsets[0] == 0 and rising and set(offsets) <= places
