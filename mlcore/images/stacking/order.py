"""The order of a stack, and what is missing in it or there twice."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from mlcore.images.problem import Problem, problem
from mlcore.images.stacking.grouping import SAME_PLACE, Group, Placed

# More than this, in usual distances, is a gap: there is room for another image.
_GAP = 1.5


@dataclass(frozen=True)
class Order:
    """A group in order: see `stacks.Stack`."""

    images: tuple[Placed, ...]
    between: float | None = None
    missing: int = 0
    problems: list[Problem] = field(default_factory=list)


def ordered(group: Group) -> Order:
    """Put a group in order.

    Parameters
    ----------
    group : Group
        Of at least one image.

    Returns
    -------
    Order
        By position along the normal; images without one behind the others, by their number.
    """
    # Sorting is stable, and the group's own order does not depend on that of arrival.
    numbered = sorted(group.images, key=_number)
    placed = [(along, image) for image in numbered if (along := group.along(image)) is not None]
    placed.sort(key=lambda pair: pair[0])
    nowhere = [image for image in numbered if group.along(image) is None]
    images = (*(image for _, image in placed), *nowhere)
    if len(images) == 1:
        return Order(images)
    if not placed:
        return _by_number(images)
    problems = [problem("position_missing", images=len(nowhere))] if nowhere else []
    places = [along for along, _ in placed]
    problems += _pairs(places)
    between, missing, gaps = _gaps(places)
    return Order(images, between, missing, problems + gaps)


def _number(image: Placed) -> tuple[bool, int, int]:
    number = image.instance.instance_number
    return (number is None, number or 0, image.frame.index)


def _by_number(images: tuple[Placed, ...]) -> Order:
    """Where no image has a place, its number is the best there is; within a file it is the order of frames."""
    problems = [problem("no_geometry", images=len(images))]
    numbers = [image.instance.instance_number for image in images]
    files = len({id(image.instance) for image in images})
    known = [number for number in numbers if number is not None]
    if files > 1 and len(known) < len(images):
        problems.append(problem("no_order", images=len(images) - len(known)))
    missing = 0
    for index, (before, after) in enumerate(zip(known, known[1:], strict=False)):
        if after - before > 1:
            missing += after - before - 1
            problems.append(problem("number_gap", after=index, number=before, missing=after - before - 1))
    return Order(images, None, missing, problems)


def _pairs(places: list[float]) -> list[Problem]:
    """Name the places that have more than one image: how many places, how many images there, the first in mm."""
    pairs = [index for index in range(1, len(places)) if places[index] - places[index - 1] < SAME_PLACE]
    if not pairs:
        return []
    runs = len(pairs) - len(set(pairs) & {index + 1 for index in pairs})
    first = round(places[pairs[0]], 3)
    return [problem("same_position", positions=runs, images=len(pairs) + runs, first=first, at=pairs[0] - 1)]


def _gaps(places: list[float]) -> tuple[float | None, int, list[Problem]]:
    """Give the usual distance, how many images are missing, and where."""
    steps = [(index, after - before) for index, (before, after) in enumerate(zip(places, places[1:], strict=False))]
    steps = [(index, step) for index, step in steps if step >= SAME_PLACE]
    if not steps:
        return None, 0, []
    between = statistics.median(step for _, step in steps)
    problems, missing = list[Problem](), 0
    for index, step in steps:
        if step > _GAP * between:
            lacking = max(1, round(step / between) - 1)
            missing += lacking
            begin, end = round(places[index], 3), round(places[index + 1], 3)
            problems.append(problem("gap", after=index, begin=begin, end=end, missing=lacking))
    return between, missing, problems
