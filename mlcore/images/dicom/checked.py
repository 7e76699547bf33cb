"""Values of a DICOM data set, each in its type or not at all; what is malformed is noted by its keyword."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from mlcore.images.dicom.header import get, number_of
from mlcore.images.problem import Problem, problem

# PS3.5 section 9.1: components of digits, none with a leading zero, at most 64 characters.
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", re.ASCII)
_LONGEST_UID = 64
# PS3.5 table 6.2-1: LO, SH and CS are shorter or as long.
_LONGEST_TEXT = 64
_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?", re.ASCII)
_LARGEST = 1e12
_LARGEST_WHOLE = 2**31 - 1  # of IS


class Checked:
    """Data sets of one file, read with all that is malformed noted once.

    Attributes
    ----------
    problems : list of Problem
        In the order in which they were met.
    """

    def __init__(self) -> None:
        self.problems = list[Problem]()

    def note(self, code: str, **values: str | int | float) -> None:
        """Note a problem, as `problem` makes it; the same one only once."""
        found = problem(code, **values)
        if found not in self.problems:
            self.problems.append(found)

    def uid(self, dataset: Dataset, name: str) -> str | None:
        """Give a UID; None where it is missing (`uid_missing`) or none by PS3.5 9.1 (`uid_malformed`)."""
        values = words(dataset, name)
        value = values[0] if values else ""
        if not value:
            self.note("uid_missing", tag=name)
        elif len(values) > 1 or len(value) > _LONGEST_UID or not _UID.fullmatch(value):
            self.note("uid_malformed", tag=name)
        else:
            return value
        return None

    def text(self, dataset: Dataset, name: str, *, cut: bool = False) -> str:
        """Give one text, '' where there is none, where there are several or where it is too long.

        Parameters
        ----------
        dataset : pydicom.dataset.Dataset
            Of the element.
        name : str
            Its keyword.
        cut : bool
            Whether a long one is cut, which nothing that identifies may be.

        Returns
        -------
        str
            Printable, without padding.
        """
        values = words(dataset, name)
        if len(values) > 1 and not cut:
            self.note("value_malformed", tag=name)
            return ""
        value = " ".join(values)
        if len(value) > _LONGEST_TEXT and not cut:
            self.note("value_malformed", tag=name)
            return ""
        return value[:_LONGEST_TEXT]

    def numbers(self, dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
        """Give so many finite numbers; None where the element is missing or empty, or not so (`value_malformed`).

        Parameters
        ----------
        dataset : pydicom.dataset.Dataset
            Of the element.
        name : str
            Its keyword.
        count : int
            How many it must hold.

        Returns
        -------
        tuple of float, or None
            None of them beyond 10¹².
        """
        values = _values(dataset, name)
        if not any(str(each).strip(" \0") for each in values):
            return None
        found = tuple(each for each in map(number_of, values) if each is not None and abs(each) <= _LARGEST)
        if len(values) != count or len(found) != count:
            self.note("value_malformed", tag=name)
            return None
        return found

    def number(self, dataset: Dataset, name: str) -> float | None:
        """Give one finite number, None where there is none."""
        found = self.numbers(dataset, name, 1)
        return found[0] if found else None

    def positive(self, dataset: Dataset, name: str) -> float | None:
        """Give one number above 0, None where there is none."""
        found = self.number(dataset, name)
        if found is not None and found <= 0:
            self.note("value_malformed", tag=name)
            return None
        return found

    def whole(self, dataset: Dataset, name: str) -> int | None:
        """Give one whole number, None where there is none."""
        found = self.number(dataset, name)
        if found is not None and (found != int(found) or abs(found) > _LARGEST_WHOLE):
            self.note("value_malformed", tag=name)
            return None
        return None if found is None else int(found)

    def date(self, dataset: Dataset, name: str) -> datetime.date | None:
        """Give a date, None where there is none."""
        value = self.text(dataset, name)
        found = _DATE.fullmatch(value)
        try:
            if found:
                return datetime.date(*(int(part) for part in found.groups()))
        except ValueError:
            found = None
        if value:
            self.note("value_malformed", tag=name)
        return None

    def time(self, dataset: Dataset, name: str) -> datetime.time | None:
        """Give a time of day, None where there is none."""
        value = self.text(dataset, name)
        found = _TIME.fullmatch(value)
        try:
            if found:
                hour, minute, second, fraction = found.groups()
                return datetime.time(
                    int(hour), int(minute or 0), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0"))
                )
        except ValueError:
            found = None
        if value:
            self.note("value_malformed", tag=name)
        return None


def words(dataset: Dataset, name: str) -> list[str]:
    """Give the texts of an element without padding; those that hold nothing are left out."""
    texts = (_printable(each) for each in _values(dataset, name))
    return [each for each in texts if each]


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Give the items of a sequence; none where it is none."""
    value = get(dataset, name)
    if value is None or isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return []
    return [each for each in value if isinstance(each, Dataset)]


def _printable(value: object) -> str:
    return "".join(letter for letter in str(value) if letter.isprintable()).strip()


def _values(dataset: Dataset, name: str) -> list[object]:
    value = get(dataset, name)
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        return list(value.split("\\"))
    if value is None or isinstance(value, Dataset):
        return []
    return list(value) if isinstance(value, Sequence) else [value]
