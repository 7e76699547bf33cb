"""De-identification where the patient's name here is derived from the one in the file, by a key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from mlcore.images.deidentify.file import deidentify
from mlcore.images.deidentify.rules import Rules
from mlcore.images.dicom.file import is_dicom, read
from mlcore.images.dicom.header import get

_DIGITS = 16  # of a pseudonym: 64 bits, so that two patients of one institution do not meet


def under_key(data: bytes, key: bytes) -> dict[str, Any] | None:
    """De-identify a file under a pseudonym that is derived from its PatientID.

    A file without one is of a patient of its own study, one without a study of a patient of its own. Dates move back
    by the patient's number of days, so the order of studies stays.

    Parameters
    ----------
    data : bytes
        Any file.
    key : bytes
        At least 32 secret bytes.

    Returns
    -------
    dict or None
        `file`: bytes; `pseudonym`, `burned_in`: str, as of `Report`. None where the file is no DICOM.

    Raises
    ------
    Refused
        As of `deidentify`.
    """
    if not data or not is_dicom(data):
        return None
    pseudonym = f"D-{_of_patient(data, key)}"
    made, report = deidentify(data, Rules(key, pseudonym, dates="shift", safe_private=True))
    return {"file": made, "pseudonym": pseudonym, "burned_in": report.burned_in}


def _of_patient(data: bytes, key: bytes) -> str:
    try:
        dataset, _syntax = read(data)
        said = [str(get(dataset, name) or "").strip(" \0") for name in ("PatientID", "StudyInstanceUID")]
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, `deidentify` refuses it by name
        said = ["", ""]
    patient, study = said
    whose = f"patient\0{patient}" if patient else f"study\0{study}" if study else hashlib.sha256(data).hexdigest()
    return hmac.new(key, whose.encode(), hashlib.sha256).hexdigest()[:_DIGITS].upper()
