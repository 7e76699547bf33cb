"""What a DICOM object is: an image, something made of images, or no image at all; and whether a model may read it."""

from __future__ import annotations

import re

OBJECTS = (
    "image",
    "localizer",
    "derived",
    "secondary_capture",
    "structured_report",
    "encapsulated_pdf",
    "presentation_state",
    "other",
)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# MR Image, Enhanced MR Image, Enhanced MR Color Image, Legacy Converted Enhanced MR Image (PS3.4 B.5).
_MR_IMAGES = {f"{_STORAGE}{end}" for end in ("4", "4.1", "4.3", "4.4")}
_BEGINNINGS = (
    ("structured_report", f"{_STORAGE}88."),
    ("presentation_state", f"{_STORAGE}11."),
    ("secondary_capture", f"{_STORAGE}7."),
)
_WHOLE = {f"{_STORAGE}7": "secondary_capture", f"{_STORAGE}104.1": "encapsulated_pdf"}
_LOCALIZER = {"LOCALIZER", "SCOUT", "SURVEY"}
_LOCALIZER_NAMES = re.compile(r"\b(3.?pl\w*.?)?loc(ali[sz]er|alisator|ator)?\b|\bscout\b|\bsurvey\b|\btopogram\b")
# Of what is derived, what shows no section of a head in greys that a scanner gives. A section that was only cut anew
# (MPR, REFORMATTED), filtered or converted still does.
_MAPS = {
    "ADC",
    "EADC",
    "EXP",
    "FA",
    "TENSOR",
    "CBF",
    "CBV",
    "MTT",
    "TTP",
    "TMAX",
    "T1 MAP",
    "T2 MAP",
    "RCBV",
    "KTRANS",
}
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MIN_IP", "MAX_IP", "VOLUME_RENDER", "3D RENDERING", "SUBTRACTION"}


def object_of(sop_class: str | None, image_type: list[str], words: str, *, pixels: bool) -> str:
    """Name the kind of an object.

    Parameters
    ----------
    sop_class : str or None
        SOP Class UID.
    image_type : list of str
        Values of ImageType.
    words : str
        Series description and protocol: a localizer of MR is often told by nothing else.
    pixels : bool
        Whether it has pixel data.

    Returns
    -------
    str
        One of `OBJECTS`.
    """
    kind = _by_class(sop_class or "")
    if kind:
        return kind
    if not pixels or (sop_class is not None and sop_class not in _MR_IMAGES):
        return "other"
    types = [each.upper() for each in image_type]
    if _LOCALIZER & set(types) or _LOCALIZER_NAMES.search(words.lower().replace("_", " ")):
        return "localizer"
    return "derived" if types[:1] == ["DERIVED"] else "image"


def _by_class(sop_class: str) -> str:
    """Give what a class alone decides; '' of an image."""
    by_beginning = (kind for kind, beginning in _BEGINNINGS if sop_class.startswith(beginning))
    return _WHOLE.get(sop_class) or next(by_beginning, "")


def why_not_predicted(kind: str, modality: str, image_type: list[str], *, pixels: bool) -> str:
    """Tell why no model may give an opinion on an object.

    Parameters
    ----------
    kind : str
        As `object_of` gives it.
    modality : str
        In capitals.
    image_type : list of str
        Values of ImageType.
    pixels : bool
        Whether it has pixel data.

    Returns
    -------
    str
        '' where one may, else a slug: the kind itself, `no_pixels`, `not_mr`, `map` or `projection`.
    """
    if kind not in ("image", "derived"):
        return kind
    if not pixels:
        return "no_pixels"
    if modality not in ("", "MR"):
        return "not_mr"
    types = {each.upper() for each in image_type}
    if types & _MAPS:
        return "map"
    return "projection" if types & _PROJECTIONS else ""
