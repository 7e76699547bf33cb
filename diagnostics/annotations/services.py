"""Keep what a reader has marked: each change a new revision, checked, audited, and refused with a sentence."""

import math
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.cases.models import Case
from diagnostics.errors import Conflict, Invalid, Message
from diagnostics.reviews.errors import StaleClaim
from diagnostics.scans.access import NotAllowed, Permission, may
from diagnostics.scans.intake import SHAPE_ONLY
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image

from .models import Annotation, Kind
from .queries import may_annotate

__all__ = ["Change", "InvalidMark", "StaleMark", "annotate"]

POINTS = {Kind.LENGTH: 2, Kind.ANGLE: 3, Kind.ELLIPSE: 2, Kind.RECTANGLE: 2, Kind.POINT: 1, Kind.ARROW: 2}
MOST_POINTS = 2000  # of a freehand outline
MOST_MARKS = 200  # of one author on one case
MAX_TEXT = 200  # characters
# Of the pixel container (scans/intake.py): row and column spacing in mm, NaN where the file says nothing.
_HEADER_BYTES, _VERSION_AT, _SPACING_AT = 48, 4, 32


class InvalidMark(Invalid):
    """A mark that cannot be stored; ``field`` names the part, the message says what is accepted."""

    def __init__(self, field: str, message: Message, params: Mapping[str, object] | None = None) -> None:
        super().__init__(message, params, field=field)


class StaleMark(Conflict):
    """Somebody else's mark, or one that has a newer revision than the author saw."""

    code = "stale_mark"


@dataclass(frozen=True)
class Change:
    """A mark as it shall be. ``base`` is the revision that its author saw, 0 for a new one; of a mark that is
    ``withdrawn`` nothing else counts."""

    mark: uuid.UUID
    base: int
    kind: str = ""
    points: Sequence[Sequence[float]] = ()
    text: str = ""
    withdrawn: bool = False
    image: int | None = None  # index of the image in its stack; a scan of one image needs none


@transaction.atomic
def annotate(*, by: Actor, case: Case, changes: Sequence[Change]) -> list[Annotation]:
    """Store a revision for each change; those that stand, in the order of the changes.

    A change that says what the newest revision says already is stored once: sending again is harmless. All are
    stored, or none.

    Raises
    ------
    NotAllowed, StaleClaim, StaleMark, InvalidMark
    """
    if not any(may(by, each, case.institution) for each in (Permission.READ_CASE, Permission.ADJUDICATE)):
        raise NotAllowed(_("Saving annotations needs the role radiologist or adjudicator."))
    # The case's row is the lock: two windows of one reader come one after the other.
    case = Case.objects.select_for_update(of=("self",)).select_related("institution", "scan").get(pk=case.pk)
    if not may_annotate(by, case):
        raise StaleClaim
    newest = _newest(case, [change.mark for change in changes])
    checked = [_checked(by, case, change, newest.get(change.mark)) for change in changes]
    _refuse_too_many(by, case, newest, checked)
    images = _images_of(case.scan, checked, newest)
    stored, fresh = [], 0
    for change in checked:
        former = newest.get(change.mark)
        if former is not None and _says_the_same(former, change):
            stored.append(former)
            continue
        if change.base != (former.revision if former else 0):
            raise StaleMark(_("This annotation was changed elsewhere. Reload the page to see the newer revision."))
        image = images[change.mark]
        spacing, aspect = _pixel_of(image.pixels if image is not None else case.scan.pixels)
        kept = Annotation.objects.create(
            image=image,
            mark=change.mark,
            revision=change.base + 1,
            case=case,
            author=account_of(by),
            kind=change.kind,
            points=[list(point) for point in change.points],
            text=change.text,
            row_spacing=spacing[0] if spacing else None,
            column_spacing=spacing[1] if spacing else None,
            pixel_aspect=aspect,
            withdrawn=change.withdrawn,
        )
        newest[change.mark] = kept
        stored.append(kept)
        fresh += 1
    if fresh:
        record(by=by, act="image_marked", target=case, institution=case.institution, case=case.pk, marks=fresh)
    return stored


def _images_of(
    scan: Scan, changes: Sequence[Change], newest: dict[uuid.UUID, Annotation]
) -> dict[uuid.UUID, Image | None]:
    """The image on which each mark lies; None where the scan has only one. A mark stays on its image.

    Raises
    ------
    InvalidMark
    """
    if scan.image_count == 1:
        if any(change.image not in (None, 0) for change in changes):
            raise InvalidMark("image", _("This scan has only one image. Leave the field empty."))
        return {change.mark: None for change in changes}
    wanted = {change.image for change in changes if change.mark not in newest}
    there = {image.index: image for image in Image.objects.filter(scan=scan, index__in=wanted - {None})}
    found: dict[uuid.UUID, Image | None] = {}
    for change in changes:
        former = newest.get(change.mark)
        image = former.image if former is not None else there.get(change.image)
        if former is None and image is None:
            raise InvalidMark(
                "image",
                _("Say on which image of the stack the annotation lies: 0 to %(last)s."),
                {"last": scan.image_count - 1},
            )
        found[change.mark] = image
    return found


def _newest(case: Case, marks: Sequence[uuid.UUID]) -> dict[uuid.UUID, Annotation]:
    """The newest revision of each mark, wherever it lies."""
    rows = Annotation.objects.filter(mark__in=marks).select_related("image").order_by("revision")
    return {row.mark: row for row in rows}


def _checked(by: Actor, case: Case, change: Change, former: Annotation | None) -> Change:
    """The change with its points as numbers to a hundredth of a pixel.

    Raises
    ------
    StaleMark, InvalidMark
    """
    strange = former is not None and (former.author_id != by.pk or former.case_id != case.pk)
    if strange or (former is None and change.withdrawn):
        raise StaleMark(_("This annotation is not yours on this case."))
    if former is not None and change.withdrawn:
        return replace(change, kind=former.kind, points=former.points, text=former.text)
    if change.kind not in Kind.values:
        raise InvalidMark("kind", _("Choose one of: %(known)s."), {"known": ", ".join(Kind.values)})
    if former is not None and former.kind != change.kind:
        raise InvalidMark("kind", _("You cannot change the type of an annotation. Delete it and add another."))
    text = change.text.strip()
    if len(text) > MAX_TEXT:
        raise InvalidMark(
            "text",
            _("A text can have at most %(max_text)s characters; this one has %(length)s."),
            {"max_text": MAX_TEXT, "length": len(text)},
        )
    return replace(change, points=_points(change, case.scan), text=text)


def _points(change: Change, scan: Scan) -> list[list[float]]:
    points = [[round(float(x), 2), round(float(y), 2)] for x, y in change.points]
    wanted = POINTS.get(Kind(change.kind))
    if wanted is not None and len(points) != wanted:
        raise InvalidMark(
            "points",
            _("This type of annotation needs %(wanted)s point(s); this one has %(length)s."),
            {"wanted": wanted, "length": len(points)},
        )
    if wanted is None and not 3 <= len(points) <= MOST_POINTS:
        raise InvalidMark(
            "points",
            _("A freehand outline needs 3 to %(most_points)s points; this one has %(length)s."),
            {"most_points": MOST_POINTS, "length": len(points)},
        )
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= scan.width and 0 <= y <= scan.height):
            raise InvalidMark(
                "points",
                _("Points lie on the image: x 0 to %(width)s, y 0 to %(height)s."),
                {"width": scan.width, "height": scan.height},
            )
    return points


def _refuse_too_many(by: Actor, case: Case, newest: dict[uuid.UUID, Annotation], changes: Sequence[Change]) -> None:
    added = {change.mark for change in changes} - set(newest)
    here = Annotation.objects.filter(case=case, author=account_of(by), revision=1).count()
    if here + len(added) > MOST_MARKS:
        raise InvalidMark(
            "changes",
            _("A reader can make at most %(most_marks)s annotations on a case, including deleted ones."),
            {"most_marks": MOST_MARKS},
        )


def _says_the_same(former: Annotation, change: Change) -> bool:
    if former.withdrawn and change.withdrawn:
        return True
    return (
        former.withdrawn == change.withdrawn
        and former.text == change.text
        and former.points == [list(point) for point in change.points]
    )


def _pixel_of(pixels: str) -> tuple[tuple[float, float] | None, float]:
    """Millimetres between rows and between columns, and how much taller than wide a pixel is, by the stored pixels."""
    with default_storage.open(pixels) as file:
        head = file.read(_HEADER_BYTES)
    row, column = struct.unpack_from("<ff", head, _SPACING_AT)
    (version,) = struct.unpack_from("<H", head, _VERSION_AT)
    if math.isnan(row) or math.isnan(column):
        return None, 1.0
    return None if version == SHAPE_ONLY else (row, column), row / column
