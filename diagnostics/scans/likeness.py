"""A picture that is here already, made to look like one that has just come: what control cases are made of.

The pixels stay as they are; the hash becomes another, and a DICOM file loses what names anybody.
"""

import io
import secrets
import struct
import zlib
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from .folding import folded
from .models import Institution, Patient

_NAMING = ("PatientName", "PatientID", "AccessionNumber", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
TRIES = 50


def under_another_hash(data: bytes, file_format: str) -> bytes:
    """The same picture in other bytes, in the format it has (``jpeg | png | dicom``).

    Raises
    ------
    ValueError
        The format is none of these.
    """
    salt = secrets.token_bytes(12)
    if file_format == "jpeg":
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(salt) + 2) + salt + data[2:]
    if file_format == "png":
        body = b"tEXt" + b"Comment\0" + salt.hex().encode()
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        after_header = 8 + 25
        return data[:after_header] + chunk + data[after_header:]
    if file_format == "dicom":
        return _as_dicom(data)
    raise ValueError(file_format)


def _as_dicom(data: bytes) -> bytes:
    dataset: Any = pydicom.dcmread(io.BytesIO(data), force=True)
    dataset.SOPInstanceUID = generate_uid()
    if getattr(dataset, "file_meta", None) is not None:
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for name in _NAMING:
        if name in dataset:
            delattr(dataset, name)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def like(text: str) -> str:
    """A text of the same shape: other digits, the same letters; longer where there is no digit to change."""
    if not any(each.isdigit() for each in text):
        return f"{text}-{secrets.randbelow(900) + 100}" if text else ""
    return "".join(str(secrets.randbelow(10)) if each.isdigit() else each for each in text)


def pseudonym_like(institution: Institution, pseudonym: str) -> str:
    """A pseudonym of the same shape that nobody has there."""
    for attempt in range(TRIES):
        made = like(pseudonym) if attempt < TRIES // 2 else f"{like(pseudonym)}{secrets.randbelow(10)}"
        if not Patient.objects.filter(institution=institution, pseudonym_folded=folded(made)).exists():
            return made[:64]
    return f"{pseudonym[:50]}-{secrets.token_hex(4)}"
