"""Whether text may be drawn in the pixels: Clean Pixel Data is for a person, who must be told when to look."""

from __future__ import annotations

from typing import Literal

from pydicom.dataset import Dataset

from mlcore.images.dicom.header import get, word

# Cross-sections that a scanner reconstructs. Screenshots, ultrasound, photographs and documents are not among them.
_RECONSTRUCTED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "128", "128.1", "130")
)
_SCREEN = ("SCREEN SAVE", "SCREENSHOT", "SECONDARY CAPTURE")


def burned_in(dataset: Dataset, sop_class: str) -> Literal["yes", "no", "unknown"]:
    """Tell whether text may be drawn in the pixels; `no` is believed of grey images of a scanner alone."""
    stated = word(dataset, "BurnedInAnnotation")
    if stated == "YES":
        return "yes"
    if sop_class not in _RECONSTRUCTED or overlay_in_pixels(dataset):
        return "unknown"
    colour = not word(dataset, "PhotometricInterpretation").startswith("MONOCHROME")
    kinds = str(get(dataset, "ImageType") or "").upper()
    if colour or "ConversionType" in dataset or any(screen in kinds for screen in _SCREEN):
        return "unknown"
    # MR images are sent without the attribute as a rule. Where it is missing, only an original is believed.
    original = "ORIGINAL" in kinds
    return "no" if stated == "NO" or original else "unknown"


def overlay_in_pixels(dataset: Dataset) -> bool:
    """Tell whether an overlay lies in unused bits of the pixel data (retired PS3.3 C.9.2.1.3)."""
    groups = range(0x6000, 0x6020, 2)
    return any((group << 16 | 0x0010) in dataset and (group << 16 | 0x3000) not in dataset for group in groups)
