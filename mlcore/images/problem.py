"""What is wrong with a file or a stack, as a code and numbers: whoever shows it makes a sentence of them."""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | float


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    code : str
        A slug that callers may rely on.
    values : tuple of (str, value)
        What a sentence needs, by name. Numbers, keywords of DICOM elements and our own slugs, never text of a file.
    """

    code: str
    values: tuple[tuple[str, Value], ...] = ()

    @property
    def named(self) -> dict[str, Value]:
        """Give the values by their names."""
        return dict(self.values)


def problem(code: str, **values: Value) -> Problem:
    """Give a problem with its values in the order of their names, so that equal problems are equal."""
    return Problem(code, tuple(sorted(values.items())))
