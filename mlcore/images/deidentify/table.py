"""Table E.1-1 of DICOM PS3.15 as data, and what each of its codes means for an attribute of a file."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR

EDITION = "2026c"
# From the standard's own table; docs/adr/0019 says how it was made. Columns: tag, action code, options, name.
# Options: T dates may be kept or shifted, P a patient's characteristic, W a text whose harmless words may be kept.
_TABLE = Path(__file__).with_name("attributes.tsv")


class Action(enum.Enum):
    """What is done with an attribute (PS3.15 Table E.1-1a, choices made)."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    # Keep; of a sequence, clean what is in it.
    KEEP = "K"


@dataclass(frozen=True)
class Row:
    """A row of the table: the code as the standard writes it, and the letters of the options that apply."""

    code: str
    options: str


@cache
def rows() -> dict[int, Row]:
    """Give the rows of single tags; repeating groups and private attributes are rules of `action_of`."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()[1:]
    parts = (line.split("\t") for line in lines)
    return {int(tag, 16): Row(code, options) for tag, code, options, _name in parts}


_ENHANCED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.2", "4.3", "4.4", "128.1", "130")
)
_CLASSIC = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "2", "3.1", "4", "6.1", "7", "12.1", "20", "128")
)
# A code with a choice (`X/Z/D`) asks for the first letter that keeps the object valid, so for the attribute's type.
# The last letter is valid everywhere. These are optional in the images below, so there they are removed.
_OPTIONAL_IN_IMAGES = frozenset(
    {
        "AcquisitionDate",
        "AcquisitionTime",
        "SeriesDate",
        "SeriesTime",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ProtocolName",
        "AcquisitionDeviceProcessingDescription",
        "StationName",
        "InstitutionName",
        "InstitutionCodeSequence",
        "OperatorsName",
        "OperatorIdentificationSequence",
        "ReferencedStudySequence",
        "RequestedProcedureDescription",
    }
)
# Enhanced images need these; classic ones do not.
_OPTIONAL_IN_CLASSIC = _OPTIONAL_IN_IMAGES | {
    "DeviceSerialNumber",
    "AcquisitionDateTime",
    "ReferencedImageSequence",
    "SourceImageSequence",
    "ReferencedPerformedProcedureStepSequence",
    "DetectorID",
    "DateOfLastDetectorCalibration",
    "TimeOfLastDetectorCalibration",
}
_LAST = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.KEEP,
}
# Beyond the table: what these hold is a name, an address or a moment wherever it stands.
_NEVER_KEPT = frozenset({"PN", "AE", "DA", "DT", "TM", "UR"})
_KEPT_ADDRESSES = frozenset({"CodingSchemeURL", "URNCodeValue"})


def action_of(tag: int, sop_class: str, *, top: bool) -> Action:
    """Say what the Basic Profile, without options, does with an attribute.

    Parameters
    ----------
    tag : int
        Group and element.
    sop_class : str
        Of the whole file: it decides which attributes must be there.
    top : bool
        False within a sequence.

    Returns
    -------
    Action
        One that leaves nothing open: of several that the table offers, the one that this class asks for.
    """
    group = tag >> 16
    if group % 2 or group in (0x0000, 0x0002) or tag & 0xFFFF == 0:
        return Action.REMOVE
    # The table names two attributes of an overlay. Without its data the rest is no valid overlay.
    if group >> 8 in (0x50, 0x60):
        return Action.REMOVE
    row = rows().get(tag)
    if row is not None:
        return _chosen(row.code, tag, sop_class, top)
    if not dictionary_has_tag(tag):
        return Action.REMOVE
    return _unlisted(tag)


def _chosen(code: str, tag: int, sop_class: str, top: bool) -> Action:
    if not top or "/" not in code:
        return _LAST[code]
    optional = (
        _OPTIONAL_IN_CLASSIC
        if sop_class in _CLASSIC
        else _OPTIONAL_IN_IMAGES
        if sop_class in _ENHANCED
        else frozenset()
    )
    if code.startswith("X") and dictionary_keyword(tag) in optional:
        return Action.REMOVE
    return Action.EMPTY if code == "Z/D" and sop_class in _CLASSIC else _LAST[code]


def _unlisted(tag: int) -> Action:
    """What the table does not name is kept, unless its kind alone says that it may lead to a person."""
    vr, keyword = dictionary_VR(tag), dictionary_keyword(tag)
    if vr in _NEVER_KEPT and keyword not in _KEPT_ADDRESSES:
        return Action.REMOVE
    if vr == "UI" and not names_a_kind(keyword):
        return Action.UID
    return Action.KEEP


def names_a_kind(keyword: str) -> bool:
    """Tell whether a UID names a kind of object, an encoding or a vocabulary rather than one object."""
    return (
        "SOPClass" in keyword
        or "TransferSyntax" in keyword
        or keyword in ("CodingSchemeUID", "ContextUID", "ContextGroupExtensionCreatorUID", "MappingResourceUID")
    )
