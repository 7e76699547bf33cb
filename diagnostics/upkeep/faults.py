"""What is found where rows and files do not agree."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be.

    ``kind``: ``missing | corrupt | orphaned | differs``, of the audit those of ``audit.checking.Break``; ``what``:
    ``original | pixels | preview | heatmap | model | manifest | file | analysis | images | series | audit``.
    ``whose``: the row, as ``scan <id>``, of the audit a sentence; empty for an orphan. ``repaired`` says what was
    done, if anything.
    """

    kind: str
    what: str
    store: str
    key: str
    whose: str = ""
    repaired: str = ""

    def __str__(self) -> str:
        said = " ".join(
            part for part in (f"{self.kind:8}", f"{self.what:8}", f"{self.store}:{self.key}", self.whose) if part
        )
        return f"{said} ({self.repaired})" if self.repaired else said


@dataclass
class Tally:
    """What was looked at."""

    rows: int = 0
    files: int = 0
