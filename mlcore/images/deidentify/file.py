"""From the bytes of a DICOM file to the bytes of one that does not say who the patient is."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ImplicitVRLittleEndian

from mlcore.images.decoded import Refused
from mlcore.images.deidentify.burned import burned_in, overlay_in_pixels
from mlcore.images.deidentify.clean import Cleaner
from mlcore.images.deidentify.keyed import new_uid
from mlcore.images.deidentify.rules import Report, Rules
from mlcore.images.deidentify.table import EDITION
from mlcore.images.deidentify.writing import PIXEL_DATA, file_bytes, pixels_of
from mlcore.images.dicom.file import is_dicom, read
from mlcore.images.dicom.header import get

# PS3.16 CID 7050, as far as it is done here.
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_DESCRIPTORS = ("113105", "Clean Descriptors Option")
_DATES = {
    "keep": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "shift": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
}
_CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
_SAFE_PRIVATE = ("113111", "Retain Safe Private Option")
_TEMPORAL = {"remove": "REMOVED", "shift": "MODIFIED", "keep": "UNMODIFIED"}


def deidentify(data: bytes, rules: Rules) -> tuple[bytes, Report]:
    """De-identify a DICOM file by the Basic Profile of PS3.15 Annex E.

    The pixel data are copied byte by byte. Text that is drawn in them stays: see `Report.burned_in`.

    Parameters
    ----------
    data : bytes
        A whole file, with or without preamble.
    rules : Rules
        What the institution chose.

    Returns
    -------
    bytes
        A whole file, the same for the same file and rules. Its transfer syntax is that of the original; a deflated
        one is written inflated.
    Report
        What became of each attribute.

    Raises
    ------
    Refused
        `empty`, `not_an_image`, `too_large`, `truncated`, `damaged`. Nothing is given then.
    """
    if not data:
        raise Refused("empty")
    if not is_dicom(data):
        raise Refused("not_an_image")
    try:
        dataset, syntax = read(data)
        return _deidentified(data, dataset, syntax, rules)
    except Refused:
        raise
    except Exception as error:
        # pydicom raises whatever its parsing meets, RecursionError among it. None of them may leave half a file.
        raise Refused("damaged") from error


def _deidentified(data: bytes, dataset: Dataset, syntax: UID, rules: Rules) -> tuple[bytes, Report]:
    sop_class = str(get(dataset, "SOPClassUID") or "").strip(" \0")
    if not sop_class:
        raise Refused("damaged")
    implicit, little = (bool(each) for each in dataset.original_encoding)
    if syntax.is_compressed or not little:
        implicit = False  # a data set that contradicts its transfer syntax is written as that wants it
    elif implicit:
        syntax = ImplicitVRLittleEndian
    burned, notes = burned_in(dataset, sop_class), []
    if overlay_in_pixels(dataset):
        notes.append("overlay_in_pixels")
    pixels = pixels_of(dataset)
    if pixels is not None and pixels.behind:
        notes.append("behind_pixels")
    if not get(dataset, "SOPInstanceUID"):
        # Two files without a UID must not become one. Like every UID it is replaced below.
        dataset.SOPInstanceUID = new_uid(rules.key, hashlib.sha256(data).hexdigest())
    cleaner = Cleaner(rules, sop_class)
    cleaner.clean(dataset)
    if pixels is not None:
        del dataset[PIXEL_DATA]
    dataset.PatientID = dataset.PatientName = rules.pseudonym
    options = _mark(dataset, rules)
    report = Report(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.get("SeriesInstanceUID") or ""),
        study_instance_uid=str(dataset.get("StudyInstanceUID") or ""),
        removed=tuple(sorted(cleaner.removed)),
        emptied=tuple(sorted(cleaner.emptied)),
        replaced=tuple(sorted(cleaner.replaced)),
        kept=tuple(sorted(cleaner.kept)),
        burned_in=burned,
        notes=tuple(notes),
        options=options,
    )
    return file_bytes(dataset, syntax, implicit=implicit, little=little, pixels=pixels), report


def _mark(dataset: Dataset, rules: Rules) -> tuple[str, ...]:
    """Write into the data set how it was de-identified; give the codes."""
    done = [_BASIC]
    done += [_DESCRIPTORS] if rules.descriptors else []
    done += [_DATES[rules.dates]] if rules.dates in _DATES else []
    done += [_CHARACTERISTICS] if rules.patient_characteristics else []
    done += [_SAFE_PRIVATE] if rules.safe_private else []
    items = []
    for code, meaning in done:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        items.append(item)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"PS3.15 Annex E Basic Profile, Table E.1-1 of {EDITION}"
    dataset.DeidentificationMethodCodeSequence = Sequence(items)
    dataset.LongitudinalTemporalInformationModified = _TEMPORAL[rules.dates]
    return tuple(code for code, _meaning in done)
