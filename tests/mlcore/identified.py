"""Synthetic DICOM files full of identity, for the tests of de-identification."""

from __future__ import annotations

import io

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from mlcore.images.deidentify.rules import Rules

KEY = b"a key of the tests, of 32 bytes."
PSEUDONYM = "P-TESTTEST42"
RULES = Rules(key=KEY, pseudonym=PSEUDONYM)
ENHANCED = EnhancedMRImageStorage
PIXELS = bytes(range(256)) * 2
# A sequence that the profile keeps: what lies in it must be cleaned one by one.
KEPT_SEQUENCE = 0x00082229

_TEXT = {"AE": "QQ{:05d}", "CS": "QQ{:05d}", "AS": "{:03d}Y", "UI": "1.2.826.777.{:05d}", "UR": "http://qq{:05d}"}
_TEXTS = ("LO", "LT", "ST", "SH", "UT", "UC", "PN")
_BYTES = ("OB", "UN", "OW")
_DATES = {"DA": "19{:02d}0123", "DT": "19{:02d}0123101112.131415", "TM": "1011{:02d}.131415"}


def marked(tag: int, number: int) -> tuple[str, object, bytes] | None:
    """Give VR, a value that nothing else holds, and its bytes in the file; None where it can hold no such value."""
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr in _TEXTS or vr in _TEXT and vr != "AS":
        text = _TEXT.get(vr, "Marker{:05d}").format(number)
        return vr, text, text.encode()
    if vr in _BYTES:
        value = f"Marker{number:06d}".encode()
        return vr, value, value
    if vr in _DATES:
        text = _DATES[vr].format(number % 60)
        return vr, text, text.encode()
    return None


def image(
    extra: dict[int, tuple[str, object]] | None = None,
    *,
    nested: dict[int, tuple[str, object]] | None = None,
    sop_class: str = MRImageStorage,
    syntax: UID = ExplicitVRLittleEndian,
    **attributes: object,
) -> bytes:
    """Make a small MR file: `extra` at the top, `nested` within a sequence that is kept, keywords last."""
    dataset = Dataset()
    said = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": "1.2.826.1.3",
        "StudyInstanceUID": "1.2.826.1.1",
        "SeriesInstanceUID": "1.2.826.1.2",
        "FrameOfReferenceUID": "1.2.826.1.4",
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PatientName": "Doe^Johanna",
        "PatientID": "4711-0815",
        "PatientBirthDate": "19560304",
        "PatientSex": "F",
        "StudyDate": "20240215",
        "StudyTime": "101112",
        "ReferringPhysicianName": "Hausarzt^Karl",
        "AccessionNumber": "ACC0815",
        "StudyID": "S99",
        "EchoTime": "90",
        "Manufacturer": "SIEMENS",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 16,
        "Columns": 16,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": PIXELS,
    }
    for keyword, value in {**said, **attributes}.items():
        setattr(dataset, keyword, value)
    for tag, (vr, value) in (extra or {}).items():
        dataset.add_new(tag, vr, value)
    if nested:
        item = Dataset()
        for tag, (vr, value) in nested.items():
            item.add_new(tag, vr, value)
        dataset.add_new(KEPT_SEQUENCE, "SQ", Sequence([item]))
    return written(dataset, syntax)


def written(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Write a data set as a file that names its sender."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.SourceApplicationEntityTitle = "MRDOE1"
    if "PixelData" in dataset and dataset["PixelData"].VR not in ("OB", "OW"):
        dataset["PixelData"].VR = "OW"
    dataset.preamble = b"Doe^Johanna".ljust(128, b"\0")
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
