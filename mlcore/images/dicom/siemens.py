"""Siemens' private elements: a value of a block, and the CSA header, which holds what no element says."""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset

_FIRST_BLOCK, _END_OF_BLOCKS = 0x10, 0x100
_CSA2 = b"SV10"
_TAG, _ITEM = struct.Struct("<64si4s3i"), struct.Struct("<4i")
_MOST_TAGS, _MOST_ITEMS = 128, 1000


def private_value(dataset: Dataset, group: int, creator: str, element: int) -> object:
    """Give the value of a private element.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of the file.
    group : int
        An odd one.
    creator : str
        Capitals that the name of the block contains.
    element : int
        The element within the block.

    Returns
    -------
    object
        None where there is no such block or element, or it cannot be read.
    """
    try:
        for block in range(_FIRST_BLOCK, _END_OF_BLOCKS):
            name = dataset.get((group, block))
            if name is not None and creator in _text(name.value).upper():
                told = dataset.get((group, (block << 8) | element))
                if told is not None:
                    return told.value
    except Exception:  # noqa: BLE001 - whatever pydicom says of an odd value, there is none
        return None
    return None


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def csa_header(dataset: Dataset) -> dict[str, list[str]]:
    """Give what the CSA image header says, by the names of its tags; nothing where there is none or it is cut.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of the file.

    Returns
    -------
    dict of str to list of str
        The values that a tag has, without those that are empty.
    """
    value = private_value(dataset, 0x0029, "SIEMENS CSA HEADER", 0x10)
    return csa_of(value) if isinstance(value, bytes) else {}


def csa_of(data: bytes) -> dict[str, list[str]]:
    """Read a CSA header of either version.

    Parameters
    ----------
    data : bytes
        Of the element (0029,xx10). Little-endian in any file.

    Returns
    -------
    dict of str to list of str
        As far as it can be read.

    References
    ----------
    "Siemens format DICOM with CSA header", documentation of nibabel, after SPM's spm_dicom_headers.m.
    """
    second = data[:4] == _CSA2
    at = 8 if second else 0
    found = dict[str, list[str]]()
    try:
        (count,) = struct.unpack_from("<I", data, at)
        at += 8
        base: int | None = None
        for _ in range(count if count <= _MOST_TAGS else 0):
            name, _, _, _, items, _ = _TAG.unpack_from(data, at)
            # The first version counts the items of its first tag into every length.
            base = items if base is None else base
            at, values = _items(data, at + _TAG.size, items, None if second else base)
            found[_word(name)] = values
    except struct.error:  # its end is missing: what stands before it is whole
        pass
    return found


def _items(data: bytes, at: int, count: int, base: int | None) -> tuple[int, list[str]]:
    """Read the items of a tag from a place on; give where they end, and the values."""
    values = list[str]()
    if count > _MOST_ITEMS:
        raise struct.error
    for _ in range(count):
        first, second, _, _ = _ITEM.unpack_from(data, at)
        length = second if base is None else first - base
        at += _ITEM.size
        if length < 0 or at + length > len(data):
            raise struct.error
        word = _word(data[at : at + length])
        if word:
            values.append(word)
        at += (length + 3) // 4 * 4
    return at, values


def _word(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("latin-1").strip()
