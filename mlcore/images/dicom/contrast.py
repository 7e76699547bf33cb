"""Which pulse sequence a series is by its tags: T1, T1ce, T2, FLAIR, DWI, or other."""

from __future__ import annotations

import re
from dataclasses import dataclass

SEQUENCES = ("T1", "T1ce", "T2", "FLAIR", "DWI", "other")

# AcquisitionContrast of enhanced files (PS3.3 C.8.13.3.1.1); UNKNOWN and what is not listed leave it to the numbers.
_SAID = {
    "T1": "T1",
    "T2": "T2",
    "FLUID_ATTENUATED": "FLAIR",
    "DIFFUSION": "DWI",
    "FLOW_ENCODED": "other",
    "PERFUSION": "other",
    "PROTON_DENSITY": "other",
    "STIR": "other",
    "TAGGING": "other",
    "T2_STAR": "other",
    "TOF": "other",
}
# What ImageType says of images whose greys are no weighting: maps, angiograms, time series.
_NO_WEIGHTING = {
    "ADC",
    "FA",
    "EADC",
    "EXP",
    "TENSOR",
    "FMRI",
    "ASL",
    "CBF",
    "CBV",
    "MTT",
    "TTP",
    "SWI",
    "ANGIO",
    "TOF",
}
_DIFFUSION = {"DIFFUSION", "TRACEW", "TRACE", "DWI"}
# Milliseconds. Spin echo: short and long as usual at 1.5 and 3 tesla.
_SHORT_ECHO, _LONG_ECHO, _SHORT_REPETITION, _LONG_REPETITION = 30.0, 60.0, 1500.0, 1800.0
_SHORT_GRADIENT_ECHO, _LOW_FLIP = 10.0, 5.0
# Of an inversion: below, fat is nulled (STIR); above, fluid is, which beside a long echo is FLAIR.
_NULLS_FAT, _NULLS_FLUID = 300.0, 1400.0
_NO_AGENT = {"", "NO", "NONE", "N", "0", "NO CONTRAST", "WITHOUT", "OHNE", "KEIN", "NIL", "N/A", "UNENHANCED"}

_AFTER_AGENT = re.compile(
    r"\+\s?(c|gd|km|ce|k)\b|\b(ce|gd|gado\w*|gadavist|dotarem|contrast\w*|kontrast\w*|km|post|enhanced)(?![a-z])"
    r"|t1(ce|gd|c)\b"
)
_BEFORE_AGENT = re.compile(r"\b(pre|native?|nativ|without|w/o|ohne|non|unenhanced|sin)(?![a-z])")
_BY_WORDS = (
    (
        "other",
        re.compile(r"\bstir\b|\bswi\b|\btof\b|\bmra\b|angio|perf|\basl\b|bold|fmri|t2\s?(\*|star)|\badc\b|\bpd\b"),
    ),
    ("FLAIR", re.compile(r"flair|dark.?fluid|tirm")),
    ("DWI", re.compile(r"dwi|diff|trace|\bdti\b|\bb\s?=?\s?1000\b")),
    ("T1", re.compile(r"t1|mp.?rage|spgr|bravo|\btfl\b|\bvibe\b")),
    ("T2", re.compile(r"t2")),
)


@dataclass(frozen=True)
class Technique:
    """What the tags of an image say of how it was made.

    Attributes
    ----------
    scanning, variant, image_type : frozenset of str
        Words of ScanningSequence, SequenceVariant and ImageType, in capitals.
    said : str
        AcquisitionContrast, in capitals.
    echo, repetition, inversion : float or None
        Milliseconds.
    flip : float or None
        Degrees.
    b_value : float or None
        s/mm².
    agent : str
        ContrastBolusAgent, or YES and NO where only that is told.
    angiography : bool
        AngioFlag.
    words : str
        SeriesDescription and ProtocolName.
    """

    scanning: frozenset[str] = frozenset()
    variant: frozenset[str] = frozenset()
    image_type: frozenset[str] = frozenset()
    said: str = ""
    echo: float | None = None
    repetition: float | None = None
    inversion: float | None = None
    flip: float | None = None
    b_value: float | None = None
    agent: str = ""
    angiography: bool = False
    words: str = ""


def sequence_of(technique: Technique) -> str:
    """Name the sequence, by the tags that say how the image was made; by its names only where these are silent.

    Parameters
    ----------
    technique : Technique
        Of an MR image.

    Returns
    -------
    str
        One of `SEQUENCES`.

    Notes
    -----
    Whether a contrast agent was given is often told nowhere but in the name: an agent that no tag tells is then
    believed of a T1. A name is never believed against a tag.
    """
    words = technique.words.lower().replace("_", " ")
    found = _by_tags(technique) or _by_words(words)
    return "T1ce" if found == "T1" and _has_agent(technique, words) else found


def _by_tags(technique: Technique) -> str:
    """Give what the tags say; '' where they do not say enough."""
    kinds = technique.image_type
    if kinds & _NO_WEIGHTING or technique.angiography:
        return "other"
    if kinds & _DIFFUSION or (technique.b_value or 0) > 0:
        return "DWI"
    if technique.said in _SAID:
        return _SAID[technique.said]
    if technique.echo is None or technique.repetition is None or not technique.scanning:
        return ""
    return _by_numbers(technique, technique.echo, technique.repetition)


def _by_numbers(technique: Technique, echo: float, repetition: float) -> str:
    scanning, diffusion = technique.scanning, technique.b_value is not None
    if "EP" in scanning and not scanning & {"IR", "SE"}:
        return "DWI" if diffusion else "other"
    if technique.inversion or "IR" in scanning:
        return _of_inversion(technique, echo)
    if "GR" in scanning:
        return _of_gradient_echo(technique, echo)
    if "EP" in scanning:
        # A diffusion series without its b-value looks like this, and so does a plain T2.
        return "DWI" if diffusion else ""
    return _of_spin_echo(echo, repetition)


def _of_inversion(technique: Technique, echo: float) -> str:
    inversion = technique.inversion
    if not inversion:
        return ""
    if inversion >= _NULLS_FLUID and echo >= _LONG_ECHO:
        return "FLAIR"
    return "T1" if _NULLS_FAT <= inversion < _NULLS_FLUID and echo <= _SHORT_ECHO else "other"


def _of_gradient_echo(technique: Technique, echo: float) -> str:
    """A spoiled gradient echo with a short echo is a T1; a balanced one (steady state, not spoiled) is not."""
    balanced = "SS" in technique.variant and not technique.variant & {"SP", "MP"}
    low = technique.flip is not None and technique.flip < _LOW_FLIP
    return "other" if balanced or low or echo > _SHORT_GRADIENT_ECHO else "T1"


def _of_spin_echo(echo: float, repetition: float) -> str:
    if echo <= _SHORT_ECHO and repetition <= _SHORT_REPETITION:
        return "T1"
    return "T2" if echo >= _LONG_ECHO and repetition >= _LONG_REPETITION else "other"


def _by_words(words: str) -> str:
    return next((name for name, pattern in _BY_WORDS if pattern.search(words)), "other")


def _has_agent(technique: Technique, words: str) -> bool:
    agent = technique.agent.strip().upper()
    if agent:
        return agent not in _NO_AGENT
    return bool(_AFTER_AGENT.search(words)) and not _BEFORE_AGENT.search(words)
