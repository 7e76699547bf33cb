"""Where an image lies in the patient: directions, normal, plane, millimetres along the normal."""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Cosines = tuple[float, float, float, float, float, float]

_UNIT, _SQUARE = 0.01, 0.01
# Within 45 degrees of an axis no other axis is nearer, so that a plane has one name; beyond it the name would be as
# wrong as another.
_NEAR_AN_AXIS = math.cos(math.radians(45))
_PLANES = ("sagittal", "coronal", "axial")


def cosines_of(values: tuple[float, ...] | None) -> Cosines | None:
    """Give the directions of row and column, if they can be (PS3.3 C.7.6.2.1.1).

    Parameters
    ----------
    values : tuple of float, or None
        ImageOrientationPatient.

    Returns
    -------
    tuple of six float, or None
        None unless both are of length 1 and perpendicular, each within a hundredth.
    """
    if values is None or len(values) != 6:
        return None
    row, column = values[:3], values[3:]
    of_length_one = all(abs(math.hypot(*each) - 1) < _UNIT for each in (row, column))
    if not of_length_one or abs(dot(row, column)) >= _SQUARE:
        return None
    return (row[0], row[1], row[2], column[0], column[1], column[2])


def dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Give the scalar product."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def normal_of(cosines: Cosines) -> Vector:
    """Give the unit vector that row and column lead to by the right hand."""
    a, b, c, d, e, f = cosines
    across = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*across)
    return (across[0] / length, across[1] / length, across[2] / length)


def plane_of(cosines: Cosines | None) -> str:
    """Name the plane: `axial`, `coronal` or `sagittal` within 45 degrees, else `oblique`; '' of nothing."""
    if cosines is None:
        return ""
    leaning = [abs(each) for each in normal_of(cosines)]
    nearest = max(range(3), key=lambda axis: leaning[axis])
    return _PLANES[nearest] if leaning[nearest] > _NEAR_AN_AXIS + 1e-9 else "oblique"


def vector_of(values: tuple[float, ...] | None) -> Vector | None:
    """Give three numbers as a place, None where there are none."""
    return (values[0], values[1], values[2]) if values is not None and len(values) == 3 else None
