"""A data set without who the patient is: each attribute, at every depth, as Table E.1-1 and the rules say."""

from __future__ import annotations

import re

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID_dictionary

from mlcore.images.deidentify import dummies
from mlcore.images.deidentify.keyed import days_back, new_uid, shifted
from mlcore.images.deidentify.rules import Rules
from mlcore.images.deidentify.safe_private import safe_numbers, write_numbers
from mlcore.images.deidentify.table import Action, action_of, rows
from mlcore.images.deidentify.words import DESCRIPTIONS, harmless_words

_UID = re.compile(r"[0-9.]{1,64}")
_PATIENT_ID, _PATIENT_NAME = 0x00100020, 0x00100010
_PIXELS = 0x7FE00010


class Cleaner:
    """Cleans the data set of one file in place, and remembers what became of each attribute.

    Attributes
    ----------
    removed, emptied, replaced, kept : set of str
        Tags with the sequences that they stand in, as `Report` tells them.
    """

    def __init__(self, rules: Rules, sop_class: str) -> None:
        self.removed, self.emptied, self.replaced, self.kept = set[str](), set[str](), set[str](), set[str]()
        self._rules = rules
        self._sop_class = sop_class
        self._days = days_back(rules.key, rules.pseudonym) if rules.dates == "shift" else 0

    def clean(self, dataset: Dataset, within: str = "") -> None:
        """Clean a data set and all that lies in its sequences.

        Parameters
        ----------
        dataset : pydicom.dataset.Dataset
            Changed in place; pixel data are not looked at.
        within : str
            The sequences around it.
        """
        safe = safe_numbers(dataset) if self._rules.safe_private else []
        for tag in sorted(dataset.keys()):
            self._element(dataset, int(tag), within)
        for written in write_numbers(dataset, safe):
            self.removed.discard(_path(within, written))
            self.replaced.add(_path(within, written))

    def _element(self, dataset: Dataset, tag: int, within: str) -> None:
        path = _path(within, tag)
        if tag == _PIXELS and not within:
            self.kept.add(path)
            return
        if self._optional(dataset, tag, path):
            return
        action = action_of(tag, self._sop_class, top=not within)
        if action is Action.REMOVE:
            del dataset[tag]
            self.removed.add(path)
        elif tag in (_PATIENT_ID, _PATIENT_NAME) and (action is Action.DUMMY or not within):
            self._put(dataset, tag, self._rules.pseudonym, path)
        elif action is Action.EMPTY:
            self._empty(dataset, tag, path)
        elif action is Action.DUMMY:
            self._dummy(dataset, tag, path)
        elif action is Action.UID:
            self._put(dataset, tag, self._uids(dataset, tag), path)
        else:
            self._keep(dataset, tag, path)

    def _optional(self, dataset: Dataset, tag: int, path: str) -> bool:
        """Follow the options that were chosen; False where the Basic Profile alone decides."""
        options = rows()[tag].options if tag in rows() else ""
        vr = dictionary_VR(tag) if options else ""
        if "P" in options and self._rules.patient_characteristics:
            self._keep(dataset, tag, path)
            return True
        if "T" in options and self._rules.dates != "remove" and vr in ("DA", "TM", "DT"):
            moved = [shifted(each, vr, self._days) for each in _texts(dataset, tag)]
            if moved and None not in moved:
                self._put(dataset, tag, "\\".join(each for each in moved if each), path)
                return True
        if "W" in options and self._rules.descriptors and keyword_for_tag(tag) in DESCRIPTIONS:
            words = harmless_words(" ".join(_texts(dataset, tag)))
            if words:
                self._put(dataset, tag, words, path)
                return True
        return False

    def _keep(self, dataset: Dataset, tag: int, path: str) -> None:
        """Keep an element; of a sequence, clean each item."""
        vr = dictionary_VR(tag)
        if vr == "UI":
            self._keep_kind(dataset, tag, path)
            return
        if vr != "SQ" and getattr(dataset.get_item(tag), "VR", None) != "SQ":
            self.kept.add(path)
            return
        value = dataset[tag].value
        if not isinstance(value, Sequence):
            # A sequence whose bytes could not be read as one may hold anything.
            del dataset[tag]
            self.removed.add(path)
            return
        for item in value:
            self.clean(item, path)
        self.kept.add(path)

    def _keep_kind(self, dataset: Dataset, tag: int, path: str) -> None:
        """Keep the UID of a kind where it is one; words in its place do not pass."""
        if all(_UID.fullmatch(each) for each in _texts(dataset, tag)):
            self.kept.add(path)
        else:
            self._put(dataset, tag, self._uids(dataset, tag), path)

    def _empty(self, dataset: Dataset, tag: int, path: str) -> None:
        vr = dictionary_VR(tag)
        dataset[tag] = DataElement(tag, vr, Sequence() if vr == "SQ" else None)
        self.emptied.add(path)

    def _dummy(self, dataset: Dataset, tag: int, path: str) -> None:
        vr = dictionary_VR(tag).split(" or ")[0]
        if vr == "SQ":
            value: object = dummies.sequence(keyword_for_tag(tag))
        elif vr == "UI":
            value = self._uids(dataset, tag) or new_uid(self._rules.key, "")
        else:
            value = dummies.value(vr)
        dataset[tag] = DataElement(tag, vr, value)
        self.replaced.add(path)

    def _uids(self, dataset: Dataset, tag: int) -> str:
        uids = _texts(dataset, tag)
        return "\\".join(each if each in UID_dictionary else new_uid(self._rules.key, each) for each in uids)

    def _put(self, dataset: Dataset, tag: int, value: str, path: str) -> None:
        dataset[tag] = DataElement(tag, dictionary_VR(tag), value)
        self.replaced.add(path)


def _texts(dataset: Dataset, tag: int) -> list[str]:
    """Give the values of an element as text, whatever it was written as; none where it is empty."""
    element = dataset.get_item(tag)
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if value is None or value == "":
        return []
    parts = value.split("\\") if isinstance(value, str) else list(value) if isinstance(value, list) else [value]
    return [text for part in parts if (text := str(part).strip(" \0"))]


def _path(within: str, tag: int) -> str:
    told = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{within}>{told}" if within else told
