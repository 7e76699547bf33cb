"""Values that say nothing and are valid: what stands where an attribute must not be empty."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

WORD = "REMOVED"
_BY_VR: dict[str, str | int | float | bytes] = {
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "DS": "0",
    "IS": "0",
    "UR": "http://removed.invalid",
    **dict.fromkeys(("FL", "FD"), 0.0),
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV", "AT"), 0),
    **dict.fromkeys(("OB", "UN"), b"\0\0"),
    "OW": b"\0\0",
    **dict.fromkeys(("OL", "OF"), b"\0" * 4),
    **dict.fromkeys(("OV", "OD"), b"\0" * 8),
}


def value(vr: str) -> str | int | float | bytes:
    """Give a dummy for a VR that is neither a UID nor a sequence; text is one upper-case word."""
    return _BY_VR.get(vr, WORD)


def sequence(keyword: str) -> Sequence:
    """Give a sequence of one item that has what such an item must have."""
    item = Dataset()
    if keyword.endswith("CodeSequence"):
        item = _code()
    elif keyword in _ITEMS:
        for name, said in _ITEMS[keyword].items():
            setattr(item, name, said() if callable(said) else said)
    return Sequence([item])


def _code() -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = WORD, "99REMOVED", "Removed"
    return item


def _one_code() -> Sequence:
    return Sequence([_code()])


def _text_object() -> Sequence:
    item = Dataset()
    item.UnformattedTextValue, item.AnchorPoint = WORD, [0.0, 0.0]
    item.AnchorPointAnnotationUnits, item.AnchorPointVisibility = "DISPLAY", "N"
    return Sequence([item])


_ITEMS: dict[str, dict[str, object]] = {
    "ContentSequence": {
        "RelationshipType": "CONTAINS",
        "ValueType": "TEXT",
        "ConceptNameCodeSequence": _one_code,
        "TextValue": WORD,
    },
    "GraphicAnnotationSequence": {"GraphicLayer": WORD, "TextObjectSequence": _text_object},
    "OperatorIdentificationSequence": {"PersonIdentificationCodeSequence": _one_code},
    "VerifyingObserverSequence": {
        "VerifyingObserverName": WORD,
        "VerifyingOrganization": WORD,
        "VerificationDateTime": _BY_VR["DT"],
        "VerifyingObserverIdentificationCodeSequence": Sequence,
    },
    "FlowIdentifierSequence": {"FlowIdentifier": b"\0\0"},
    "WaveformAnnotationSequence": {"AnnotationGroupNumber": 1, "UnformattedTextValue": WORD},
}
