"""Which images of a series belong together: one direction, one size, one echo, one b-value, one point in time."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mlcore.images.dicom.geometry import Cosines, dot, normal_of
from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.instance import Instance

# Directions of one stack: scanners round their cosines.
_SAME_DIRECTION = math.cos(math.radians(1.0))
# Wider than any two row directions within a degree can lie apart, of lengths that `cosines_of` takes.
_CELL = 0.05
_BESIDE = tuple(itertools.product((-1, 0, 1), repeat=3))
# Millimetres: nearer than this, two images show the same section.
SAME_PLACE = 0.01

Value = str | int | float | tuple[float, ...]
Split = tuple[str, Value | None]


@dataclass(frozen=True)
class Placed:
    """One image of a series: a frame and the object that holds it."""

    instance: Instance
    frame: Frame


@dataclass(frozen=True)
class Group:
    """Images that belong together, in no order that means anything.

    `cosines` are those from which each image's own differ by a degree at most; `key` is the value of each attribute.
    """

    key: tuple[Split, ...]
    cosines: Cosines | None
    images: tuple[Placed, ...]

    def along(self, image: Placed) -> float | None:
        """Give the position of an image along the normal of the group in mm; None where it is not told."""
        if self.cosines is None or image.frame.position is None:
            return None
        return dot(image.frame.position, normal_of(self.cosines))


def images_of(instances: Iterable[Instance]) -> tuple[list[Placed], list[str]]:
    """Give every image once, in an order that does not depend on that of arrival.

    Parameters
    ----------
    instances : iterable of Instance
        The same one may be there several times.

    Returns
    -------
    list of Placed
        Of objects with one UID and another content the first only.
    list of str
        UIDs that came with several contents.
    """
    by_content = sorted(instances, key=lambda each: (each.sop_uid or "", repr(each)))
    images, clashing, last = list[Placed](), list[str](), None
    for instance in by_content:
        known = last is not None and instance.sop_uid is not None and instance.sop_uid == last.sop_uid
        if known and instance != last and instance.sop_uid not in clashing:
            clashing.append(instance.sop_uid or "")
        if not known:
            images += [Placed(instance, frame) for frame in instance.frames]
            last = instance
    return images, clashing


def groups_of(images: Sequence[Placed]) -> list[Group]:
    """Part images by all that parts stacks.

    Parameters
    ----------
    images : sequence of Placed
        Of one series, in the order of `images_of`.

    Returns
    -------
    list of Group
        In the order of `images_of` again.
    """
    leaders = _directions(images)
    parted = defaultdict[tuple[Split, ...], list[Placed]](list)
    for image in images:
        direction = leaders.get(image.frame.cosines) if image.frame.cosines else None
        parted[_key(image, direction)].append(image)
    groups = [Group(key, _leader(key), tuple(some)) for key, some in parted.items()]
    return [part for group in groups for part in _untied(group)]


def _directions(images: Iterable[Placed]) -> dict[Cosines, Cosines]:
    """Give for all directions of row and column one that is the same within a degree.

    Those already found lie in cells by the direction of their rows, so that each is compared with its neighbours only.
    """
    told = sorted({image.frame.cosines for image in images if image.frame.cosines is not None})
    cells = defaultdict[tuple[int, ...], list[tuple[int, Cosines]]](list)
    found = dict[Cosines, Cosines]()
    for number, cosines in enumerate(told):
        cell = tuple(math.floor(each / _CELL) for each in cosines[:3])
        beside = (tuple(map(sum, zip(cell, step, strict=True))) for step in _BESIDE)
        near = [pair for place in beside if place in cells for pair in cells[place] if _same(pair[1], cosines)]
        # Of several the first in order, whatever their cells.
        leader = min(near)[1] if near else cosines
        if not near:
            cells[cell].append((number, cosines))
        found[cosines] = leader
    return found


def _same(one: Cosines, other: Cosines) -> bool:
    """Tell whether rows and columns run the same way within a degree, whatever their lengths."""
    return all(
        dot(a, b) >= _SAME_DIRECTION * math.hypot(*a) * math.hypot(*b)
        for a, b in ((one[:3], other[:3]), (one[3:], other[3:]))
    )


def _key(image: Placed, direction: Cosines | None) -> tuple[Split, ...]:
    instance, frame = image.instance, image.frame
    spacing = tuple(round(each, 3) for each in frame.spacing) if frame.spacing else ()
    return (
        ("kind", instance.kind),
        ("size", (instance.rows, instance.columns, *spacing)),
        ("frame_of_reference", instance.frame_of_reference),
        ("orientation", direction),
        ("echo", _rounded(frame.echo)),
        ("b_value", _rounded(frame.b_value)),
        ("time_point", frame.time_point),
        ("component", frame.component),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _leader(key: tuple[Split, ...]) -> Cosines | None:
    value = dict(key)["orientation"]
    return value if isinstance(value, tuple) and len(value) == 6 else None


_TIES: dict[str, Callable[[Placed], Value | None]] = {
    "acquisition": lambda image: image.frame.acquisition,
    "direction": lambda image: image.frame.direction,
    "echo_number": lambda image: image.frame.echo_number,
}
_TRIED = (("acquisition",), ("direction",), ("echo_number",), ("acquisition", "direction"))


def _untied(group: Group) -> list[Group]:
    """Part a group that has two images at one place by what else tells them apart, if that leaves no such pair."""
    if not _has_pairs(group):
        return [group]
    for names in _TRIED:
        parted = defaultdict[tuple[Split, ...], list[Placed]](list)
        for image in group.images:
            parted[tuple((name, _TIES[name](image)) for name in names)].append(image)
        parts = [Group(group.key + more, group.cosines, tuple(some)) for more, some in parted.items()]
        if len(parts) > 1 and not any(_has_pairs(part) for part in parts):
            return parts
    return [group]


def _has_pairs(group: Group) -> bool:
    told = sorted(along for along in map(group.along, group.images) if along is not None)
    return any(after - before < SAME_PLACE for before, after in zip(told, told[1:], strict=False))
