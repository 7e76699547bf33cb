"""From the bytes of a DICOM file to its data set: preamble, group 2 and transfer syntax may be missing or wrong."""

from __future__ import annotations

import io
import struct
import zlib

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from mlcore.images.decoded import INFLATED_LIMIT, Refused
from mlcore.images.dicom.header import get

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == 2)
_PREAMBLE, _MAGIC = 128, b"DICM"
_PIXEL_DATA, _UNDEFINED = 0x7FE00010, 0xFFFFFFFF
# A data set without any other sign of what it is begins with group 8, and at most this many groups later.
_LAST_FIRST_GROUP = 0x0028


def is_dicom(data: bytes) -> bool:
    """Tell whether the bytes carry the DICOM preamble, or begin as a DICOM file that lacks it."""
    return has_preamble(data) or _begins_with_a_tag(data)


def has_preamble(data: bytes) -> bool:
    """Tell whether the four letters stand where they belong."""
    return data[_PREAMBLE : _PREAMBLE + 4] == _MAGIC


def _begins_with_a_tag(data: bytes) -> bool:
    """Tell whether the first bytes are a tag that a DICOM file without preamble begins with: group 2 or 8."""
    if len(data) < 1024:
        return False
    group, element = struct.unpack("<HH", data[:4])
    if (group, data[4:6] in _VRS) == (0x0800, True):
        group, element = struct.unpack(">HH", data[:4])
    # Some writers leave out the length of group 2 and its version together with the preamble.
    return (group == 0x0002 and element <= 0x0003) or (group == 0x0008 and element <= 0x0018)


def read(data: bytes) -> tuple[Dataset, UID]:
    """Read the data set.

    Parameters
    ----------
    data : bytes
        The whole file, for which `is_dicom` holds.

    Returns
    -------
    pydicom.dataset.Dataset
        Everything behind group 2.
    UID
        The transfer syntax: that of group 2 where there is one, else what the first bytes of the data set look like.

    Raises
    ------
    Refused
        `not_an_image`, `too_large`, `truncated`, `damaged`.
    """
    stream = io.BytesIO(data)
    stream.seek(_PREAMBLE + 4 if has_preamble(data) else 0)
    meta = read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )
    stated = UID(str(get(meta, "TransferSyntaxUID") or "").strip(" \0"))
    begin = stream.tell()
    looks = encoding_of(data, begin)
    body = data
    if stated == DeflatedExplicitVRLittleEndian and looks is None:
        body, begin = _inflated(memoryview(data)[begin:]), 0
        looks = encoding_of(body, begin)
    syntax, (implicit, little) = _settled(stated, looks)
    dataset = _data_set(body, begin, implicit, little)
    if not has_preamble(data):
        # Whatever bytes there are can be read as some data set, so one without a preamble must prove itself.
        whole = str(get(dataset, "SOPClassUID") or "").startswith(_STORAGE) and "Rows" in dataset
        if not whole:
            raise Refused("not_an_image")
    return dataset, syntax


def encoding_of(data: bytes, at: int) -> tuple[bool, bool] | None:
    """Tell by its first element how a data set is written: (implicit VR, little-endian); None where it is no tag."""
    if at + 8 > len(data):
        return None
    for order, little in (("<", True), (">", False)):
        group, _element, length = struct.unpack(f"{order}HHI", data[at : at + 8])
        if not 0 < group <= _LAST_FIRST_GROUP:
            continue
        if data[at + 4 : at + 6] in _VRS:
            return False, little
        if length <= len(data) - at - 8 or length == _UNDEFINED:
            return True, little
    return None


def _settled(stated: UID, looks: tuple[bool, bool] | None) -> tuple[UID, tuple[bool, bool]]:
    """Give syntax and encoding; where group 2 says nothing, or what cannot be, the data set itself decides."""
    says = {
        ImplicitVRLittleEndian: (True, True),
        ExplicitVRBigEndian: (False, False),
    }.get(stated, (False, True) if stated else None)
    encoding = looks or says
    if encoding is None:
        raise Refused("damaged")
    native = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    if stated and stated not in native:
        return stated, encoding
    return (ExplicitVRLittleEndian if encoding[1] else ExplicitVRBigEndian), encoding


def _data_set(data: bytes, begin: int, implicit: bool, little: bool) -> Dataset:
    """Read up to the pixel data, and these without a copy: of a volume only the first frame is wanted."""
    stream = io.BytesIO(data)
    stream.seek(begin)
    try:
        dataset = read_dataset(stream, implicit, little, stop_when=lambda tag, vr, length: tag == _PIXEL_DATA)
    except Exception as error:
        raise Refused("damaged") from error
    at = stream.tell()
    order = "<" if little else ">"
    if at + 12 > len(data) or struct.unpack(f"{order}HH", data[at : at + 4]) != (
        _PIXEL_DATA >> 16,
        _PIXEL_DATA & 0xFFFF,
    ):
        return dataset
    vr = "OW" if implicit or data[at + 4 : at + 6] not in _VRS else data[at + 4 : at + 6].decode()
    if data[at + 4 : at + 6] not in _VRS:
        at, length = at + 8, struct.unpack(f"{order}I", data[at + 4 : at + 8])[0]
    elif vr in EXPLICIT_VR_LENGTH_32:
        at, length = at + 12, struct.unpack(f"{order}I", data[at + 8 : at + 12])[0]
    else:
        at, length = at + 8, struct.unpack(f"{order}H", data[at + 6 : at + 8])[0]
    value = memoryview(data)[at : None if length == _UNDEFINED else at + length]
    undefined = length == _UNDEFINED
    dataset.add(
        DataElement(_PIXEL_DATA, vr, value, file_value_tell=at, is_undefined_length=undefined, already_converted=True)
    )
    return dataset


def _inflated(body: memoryview) -> bytes:
    """Inflate, but never beyond the limit; some writers put the header of zlib before the stream."""
    for bits in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
        inflate = zlib.decompressobj(bits)
        parts, size, rest = list[bytes](), 0, bytes(body)
        try:
            while rest and not inflate.eof:
                parts.append(inflate.decompress(rest, 1 << 20))
                size += len(parts[-1])
                if size > INFLATED_LIMIT:
                    raise Refused("too_large", "The deflated DICOM file is too large once inflated.")
                rest = inflate.unconsumed_tail
        except zlib.error:
            continue
        if not inflate.eof:
            raise Refused("truncated")
        return b"".join(parts)
    raise Refused("damaged")
