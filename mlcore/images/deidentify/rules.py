"""What an institution chooses, and what is told of a file that was de-identified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SHORTEST_KEY = 32
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Rules:
    """How files are de-identified. What is left out is decided by the Basic Profile.

    Parameters
    ----------
    key : bytes
        At least 32 secret bytes. The same key gives the same UIDs and shifts; who lacks it cannot link them back.
    pseudonym : str
        Stands for PatientID and PatientName. ASCII letters, digits, dot, dash and underscore, at most 64.
    dates : str
        `remove`; `shift` by whole days, the same for all files of a pseudonym; or `keep`.
    descriptors : bool
        Keep those words of the series' and study's description that are in a list of harmless ones.
    patient_characteristics : bool
        Keep age, sex, size, weight and the like.
    safe_private : bool
        Keep the numbers of `safe_private.SAFE`: b-values, gradients, the tiles of a mosaic.

    Raises
    ------
    ValueError
        The key is too short, or the pseudonym has other characters.
    """

    key: bytes
    pseudonym: str
    dates: Literal["remove", "shift", "keep"] = "remove"
    descriptors: bool = False
    patient_characteristics: bool = False
    safe_private: bool = False

    def __post_init__(self) -> None:
        if len(self.key) < SHORTEST_KEY:
            raise ValueError(f"A key has at least {SHORTEST_KEY} bytes.")
        if not _PSEUDONYM.fullmatch(self.pseudonym):
            raise ValueError("A pseudonym has 1 to 64 of A-Z, a-z, 0-9, dot, dash and underscore.")
        if self.dates not in ("remove", "shift", "keep"):
            raise ValueError("Dates are removed, shifted or kept: remove, shift, keep.")

    def __repr__(self) -> str:
        return f"Rules(dates={self.dates!r})"  # neither key nor pseudonym may reach a log


@dataclass(frozen=True)
class Report:
    """What became of the attributes of a file: tags, never values.

    Attributes
    ----------
    sop_instance_uid, series_instance_uid, study_instance_uid : str
        The new ones; empty where the file had none.
    removed, emptied, replaced, kept : tuple of str
        Tags as `(0008,1140)>(0008,1155)`, the outermost sequence first, each once. A removed sequence stands for all
        that was in it.
    burned_in : str
        Whether text may be drawn in the pixels: `yes` (the file says so), `no`, `unknown`.
    notes : tuple of str
        `behind_pixels`: something stood behind the pixel data and was dropped. `overlay_in_pixels`: unused bits of
        the pixels hold an overlay, which stays.
    options : tuple of str
        Codes of PS3.16 CID 7050 that were written into the file.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    removed: tuple[str, ...]
    emptied: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    burned_in: Literal["yes", "no", "unknown"]
    notes: tuple[str, ...]
    options: tuple[str, ...]
