"""What a mark measures, as the viewer gives it (``static/js/viewer/marks/geometry.js``): in millimetres only where the
file brings its pixel spacing."""

import math
from collections.abc import Sequence
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from .models import Annotation, Kind

Points = Sequence[Sequence[float]]
REGIONS = (Kind.ELLIPSE, Kind.RECTANGLE, Kind.FREEHAND)


def length(points: Points, dx: float = 1.0, dy: float = 1.0) -> float:
    """Distance of two points with pixels ``dx`` by ``dy`` in size."""
    (ax, ay), (bx, by) = points
    return math.hypot((bx - ax) * dx, (by - ay) * dy)


def angle(points: Points, dx: float = 1.0, dy: float = 1.0) -> float:
    """The angle at the middle one of three points, 0 to 180 degrees."""
    (ax, ay), (cx, cy), (bx, by) = points
    one, other = ((ax - cx) * dx, (ay - cy) * dy), ((bx - cx) * dx, (by - cy) * dy)
    return abs(math.degrees(math.atan2(one[0] * other[1] - one[1] * other[0], one[0] * other[0] + one[1] * other[1])))


def area(kind: str, points: Points, dx: float = 1.0, dy: float = 1.0) -> float:
    """Area of a region with pixels ``dx`` by ``dy`` in size."""
    if kind == Kind.FREEHAND:
        pairs = zip(points, [*points[1:], points[0]], strict=True)
        return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairs)) / 2 * dx * dy
    (ax, ay), (bx, by) = points
    return abs((bx - ax) * (by - ay)) * dx * dy * (math.pi / 4 if kind == Kind.ELLIPSE else 1)


def measured(mark: Annotation) -> str:
    """What a mark measures in words; empty for one that only points."""
    # Without millimetres in widths of a pixel, so that angles are those of the image in its true shape.
    dx, dy = mark.column_spacing or 1.0, mark.row_spacing or mark.pixel_aspect
    unit = mark.unit if mark.unit == "mm" else _("px (uncalibrated)")
    if mark.kind == Kind.LENGTH:
        return f"{_number(length(mark.points, dx, dy), 1)} {unit}"
    if mark.kind == Kind.ANGLE:
        return f"{_number(angle(mark.points, dx, dy), 1)}°"
    if mark.kind not in REGIONS:
        return ""
    size = area(mark.kind, mark.points, dx, dy)
    said = f"{_number(size, 1 if size < 100 else 0)} {mark.unit}²"
    return said if mark.unit == "mm" else _("%(area)s (uncalibrated)") % {"area": said}


def _number(value: float, decimals: int) -> Any:
    return number_format(round(value, decimals), decimals)
