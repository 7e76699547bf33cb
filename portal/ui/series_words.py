"""A series in a few words, as a radiologist names it: "3: T2, axial, 150 images"."""

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnostics.scans.models import Scan
from diagnostics.scans.series import Plane, Sequence


def series_in_words(scan: Scan) -> str:
    """Number, sequence, plane and images of the series that a scan is a stack of; of a single picture its format."""
    images = ngettext("%(n)d image", "%(n)d images", scan.image_count) % {"n": scan.image_count}
    if scan.series is None:
        return f"{scan.format.upper()}, {images}"
    known = scan.series.sequence not in ("", Sequence.OTHER)
    sequence = str(scan.series.get_sequence_display()) if known else scan.series.modality or _("sequence not known")
    # Of the stack, where several of one series lie differently, such as the three of a localizer.
    plane = (scan.geometry or {}).get("plane") or scan.series.plane
    words = [sequence, *([str(Plane(plane).label).lower()] if plane in Plane.values else []), images]
    said = capfirst(", ".join(words))
    return f"{scan.series.number}: {said}" if scan.series.number is not None else said
