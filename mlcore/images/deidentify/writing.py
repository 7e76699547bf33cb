"""The new file: a file meta of our own, the cleaned data set, and the pixel data as they were."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from mlcore.images.decoded import Refused

PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
# Says which program wrote the file; made once from a name, not derived from anything of the file.
_IMPLEMENTATION = UID("2.25.159864772211651775311653839117219154351")


@dataclass(frozen=True)
class Pixels:
    """The pixel data of a file: their VR, their bytes, whether these are fragments, and how many bytes follow."""

    vr: str
    value: memoryview
    undefined_length: bool
    behind: int


def pixels_of(dataset: Dataset) -> Pixels | None:
    """Give the pixel data as they stand in the file; None where it has none.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        As `mlcore.images.dicom.file.read` gives it: the value of pixel data without a length goes to the end of the
        file.

    Raises
    ------
    Refused
        `truncated`: the pixel data, or any other element, ends before its length.
    """
    raws = (dataset.get_item(tag) for tag in dataset.keys())  # noqa: SIM118 - its items would all be converted
    for raw in raws:
        if isinstance(raw, RawDataElement) and raw.length != _UNDEFINED and len(raw.value or b"") < raw.length:
            raise Refused("truncated")
    if PIXEL_DATA not in dataset:
        if "Rows" in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
            raise Refused("truncated")
        return None
    element = dataset[PIXEL_DATA]
    value: memoryview = element.value
    if element.is_undefined_length:
        end = _end_of_fragments(value)
        return Pixels("OB", value[:end], True, len(value) - end)
    whole, at = memoryview(value.obj), element.file_tell or 0
    implicit, little = dataset.original_encoding
    size = 4 if implicit or element.VR in EXPLICIT_VR_LENGTH_32 else 2
    if int.from_bytes(whole[at - size : at], "little" if little else "big") != len(value):
        raise Refused("truncated")
    return Pixels(str(element.VR), value, False, len(whole) - at - len(value))


def _end_of_fragments(value: memoryview) -> int:
    """Give where the fragments end, their delimiter with them."""
    at = 0
    while at + 8 <= len(value):
        group, element, length = struct.unpack("<HHI", value[at : at + 8])
        at += 8
        if (group, element) == _DELIMITER:
            return at
        if (group, element) != _ITEM or length > len(value) - at:
            break
        at += length
    raise Refused("truncated")


def file_bytes(dataset: Dataset, syntax: UID, *, implicit: bool, little: bool, pixels: Pixels | None) -> bytes:
    """Write a whole file: an empty preamble, group 2, the data set, the pixel data.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Without pixel data; what follows them in a file must not be in it.
    syntax : UID
        The transfer syntax to state.
    implicit, little : bool
        How the data set is written: without VRs, little-endian.
    pixels : Pixels or None
        Copied as they are.

    Returns
    -------
    bytes
        The file.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "OVERREAD"
    stream = DicomBytesIO()
    stream.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(stream, meta)
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, dataset)
    if pixels is not None:
        stream.write(_head_of(pixels, implicit, little))
        stream.write(pixels.value)
    return stream.getvalue()


def _head_of(pixels: Pixels, implicit: bool, little: bool) -> bytes:
    """Give what stands before the bytes of pixel data: tag, VR and length."""
    order = "<" if little else ">"
    length = _UNDEFINED if pixels.undefined_length else len(pixels.value)
    tag = struct.pack(f"{order}HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF)
    if implicit:
        return tag + struct.pack(f"{order}I", length)
    vr = "OB" if pixels.undefined_length else pixels.vr if pixels.vr in EXPLICIT_VR_LENGTH_32 else "OW"
    return tag + vr.encode() + b"\0\0" + struct.pack(f"{order}I", length)
