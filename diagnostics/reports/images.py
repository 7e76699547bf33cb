"""Which images of a stack a report shows, and why: key images, images with annotations, the peak of the AI result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from PIL import Image as Pictures

from diagnostics.predictions.models import Prediction
from diagnostics.reviews.models import Read
from diagnostics.reviews.reading import images_named
from diagnostics.scans.intake import FileRefused, displayed
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image

MOST_IMAGES = 24  # four pages of six
SIDE = 1000  # pixels; about 300 an inch where two stand side by side


@dataclass
class Shown:
    """An image of a stack in the report; ``reasons`` are whole words for its caption."""

    image: Image
    reasons: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Counted from 1, in the stack as it is now."""
        return (self.image.index or 0) + 1


@dataclass(frozen=True)
class Chosen:
    """Images in the order of the stack, and the numbers of those for which there is no room."""

    shown: list[Shown]
    left_out: list[int]


def images_to_show(
    scan: Scan, *, reads: Iterable[tuple[str, Read]], marked: Iterable[int], opinion: Prediction | None
) -> Chosen:
    """The images of a stack that belong into its report.

    Parameters
    ----------
    scan : Scan
        A stack.
    reads : iterable of (str, Read)
        Those that the person may see, in the order of time, with the seat of each reader. The last of a reader counts.
    marked : iterable of int
        Ids of images that have annotations which the person may see.
    opinion : Prediction or None
        The AI result, if the person may see it.

    Returns
    -------
    Chosen
        At most ``MOST_IMAGES``, and the peak beyond them. The middle image where nobody named any.
    """
    found: dict[int, Shown] = {}
    for seat, read in {read.reader_id: (seat, read) for seat, read in reads}.values():
        for number, image in _numbered(scan, read.scan_revision, images_named(read.key_images)):
            said = _("Key image, %(reader)s") % {"reader": seat}
            if image.index is None or image.index + 1 != number:
                said = _("%(said)s (image %(number)d when it was read)") % {"said": said, "number": number}
            found.setdefault(image.pk, Shown(image)).reasons.append(said)
    for image in scan.images.filter(pk__in=set(marked), index__isnull=False):
        found.setdefault(image.pk, Shown(image)).reasons.append(_("Annotated"))
    wanted = sorted(found.values(), key=lambda each: each.number)
    # Key images come before those that are annotated only.
    kept = sorted(wanted, key=lambda each: each.reasons[0] == _("Annotated"))[:MOST_IMAGES]
    left_out = [each.number for each in wanted if each not in kept]
    peak = _peak(scan, opinion)
    if peak is not None:
        here = next((each for each in kept if each.image.pk == peak.pk), None)
        if here is None:
            here = found.get(peak.pk) or Shown(peak)
            left_out = [number for number in left_out if number != here.number]
            kept.append(here)
        here.reasons.append(_("Highest probability of the AI result"))
    if not kept:
        kept = [Shown(image, [_("Middle of the stack")]) for image in _middle(scan)]
    return Chosen(sorted(kept, key=lambda each: each.number), left_out)


def _of_revision(scan: Scan, revision: int) -> QuerySet[Image]:
    """The images that a revision of a stack had, in order: numbers that were given then count among them."""
    return Image.objects.filter(scan=scan, revision__lte=revision, index__isnull=False).order_by("index")


def _numbered(scan: Scan, revision: int, numbers: Sequence[int]) -> list[tuple[int, Image]]:
    if not numbers:
        return []
    rows = list(_of_revision(scan, revision)[: numbers[-1]])
    return [(number, rows[number - 1]) for number in numbers if number <= len(rows)]


def _peak(scan: Scan, opinion: Prediction | None) -> Image | None:
    if opinion is None or opinion.peak is None:
        return None
    return _of_revision(scan, opinion.scan_revision)[opinion.peak : opinion.peak + 1].first()


def _middle(scan: Scan) -> list[Image]:
    return list(scan.images.filter(index=scan.image_count // 2))


def pictures_of(images: Sequence[Image]) -> dict[int, np.ndarray]:
    """What a screen shows of images of one scan, by their id: (h, w) uint8. One whose file is gone is absent.

    Raises
    ------
    DecodingUnavailable
        They cannot be decoded at the moment.
    """
    made: dict[int, np.ndarray] = {}
    key, data = "", b""
    for image in sorted(images, key=lambda each: each.original):
        try:
            if image.original != key:
                key, data = "", b""
                with default_storage.open(image.original) as file:
                    data = file.read()
                key = image.original
            made[image.pk] = _picture(image, data)
        except FileNotFoundError:
            continue
    return made


def _picture(image: Image, data: bytes) -> np.ndarray:
    try:
        several = image.frame > 0 or Image.objects.filter(scan=image.scan_id, original=image.original).count() > 1
        return displayed(data, SIDE, image.frame if several else None)
    except FileRefused:
        # Our own picture, made when the image came.
        with default_storage.open(image.preview) as file, Pictures.open(file, formats=("PNG",)) as preview:
            return np.asarray(preview.convert("L"))
