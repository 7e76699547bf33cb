"""From the images of a series to stacks: sorted by where they lie, with all that is missing or there twice named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlcore.images.dicom.geometry import Cosines, plane_of
from mlcore.images.dicom.instance import Instance
from mlcore.images.problem import Problem, problem
from mlcore.images.stacking.grouping import Group, Placed, Split, groups_of, images_of
from mlcore.images.stacking.order import ordered

__all__ = ["Placed", "Stack", "sort_into_stacks"]


@dataclass(frozen=True)
class Stack:
    """Images of one series that belong together.

    Attributes
    ----------
    images : tuple of Placed
        From one end to the other.
    kind : str
        What they are: one of `objects.OBJECTS`.
    sequence : str
        One of `contrast.SEQUENCES`; '' where its images differ.
    plane : str
        `axial`, `coronal`, `sagittal`, `oblique` or ''.
    rows, columns : int
        Pixels.
    spacing : (float, float) or None
        Millimetres between rows and between columns.
    cosines : six float or None
        Directions of row and column.
    frame_of_reference : str or None
        Its UID.
    between : float or None
        Usual distance from image to image along the normal, mm.
    splits : tuple of (str, value)
        What tells this stack from the others of the series, by attribute.
    missing : int
        How many images the gaps would hold.
    problems : tuple of Problem
        Codes: see `sort_into_stacks`.
    """

    images: tuple[Placed, ...]
    kind: str
    sequence: str
    plane: str
    rows: int
    columns: int
    spacing: tuple[float, float] | None
    cosines: Cosines | None
    frame_of_reference: str | None
    between: float | None
    splits: tuple[tuple[str, str | int | float], ...]
    missing: int
    problems: tuple[Problem, ...]

    @property
    def can_be_predicted(self) -> bool:
        """Tell whether a model may give an opinion on every image."""
        return all(each.instance.can_be_predicted for each in self.images)


_SEVERAL = {
    "kind": "several_kinds",
    "size": "mixed_sizes",
    "frame_of_reference": "several_frames_of_reference",
    "orientation": "several_orientations",
    "echo": "several_echoes",
    "b_value": "several_b_values",
    "time_point": "several_time_points",
    "component": "several_components",
    "acquisition": "several_acquisitions",
    "direction": "several_directions",
    "echo_number": "several_echo_numbers",
}
# The problems that say what a series was parted by.
PARTS = frozenset(_SEVERAL.values())


def sort_into_stacks(images: Iterable[Instance]) -> list[Stack]:
    """Sort the images of one series into stacks.

    Parameters
    ----------
    images : iterable of Instance
        In any order, each any number of times. What has no pixels is left out.

    Returns
    -------
    list of Stack
        The same for any order of arrival: by the lowest InstanceNumber, then by what parts them.

    Raises
    ------
    ValueError
        If they are of several series.

    Notes
    -----
    Stacks are parted by kind of object, rows, columns and spacing, frame of reference, direction (within a degree),
    echo time, b-value, point in time and component; where two images then still share a place, by acquisition,
    diffusion direction or echo number, if that leaves no such pair. Problems of a stack:

    - `several_kinds`, `mixed_sizes`, `several_frames_of_reference`, `several_orientations`, `several_echoes`,
      `several_b_values`, `several_time_points`, `several_components`, `several_acquisitions`, `several_directions`,
      `several_echo_numbers`: the series was parted by it; `of` values, and `this` one, where it is a number or a slug.
    - `gap`: `missing` images behind the image `after`, between `begin` and `end` in mm. A distance above one and a
      half of the median is a gap.
    - `same_position`: at `positions` places there are `images`, the first at `first` mm from the image `at` on.
    - `position_missing`: so many `images` have no place and stand behind the others.
    - `no_geometry`: no image has a place, InstanceNumber orders them; `number_gap`: `missing` behind the image
      `after`, which has the `number`; `no_order`: `images` that have no number either.
    - `same_uid`: `objects` came with a UID that another one has; the first of them counts.
    - `burned_in`: so many `images` say that text is drawn into them (BurnedInAnnotation).
    """
    instances = list(images)
    if len({each.series_uid for each in instances}) > 1:
        raise ValueError("images of several series")
    every, clashing = images_of(instances)
    groups = groups_of(every)
    values = _values(groups)
    clash = [problem("same_uid", objects=len(clashing))] if clashing else []
    ranked = sorted(groups, key=lambda group: (_lowest_number(group), _sortable(group.key)))
    return [_stack(group, values, clash) for group in ranked]


def _values(groups: Sequence[Group]) -> dict[str, set[object]]:
    """Give for each attribute the values that there are in the series."""
    found = defaultdict[str, set[object]](set)
    for group in groups:
        for name, value in group.key:
            found[name].add(value)
    return found


def _stack(group: Group, values: dict[str, set[object]], clash: list[Problem]) -> Stack:
    order = ordered(group)
    first = order.images[0]
    parting = [(name, value) for name, value in group.key if len(values[name]) > 1]
    sequences = {each.instance.sequence for each in order.images}
    several = [_several(name, _plain(name, value), len(values[name])) for name, value in parting]
    return Stack(
        images=order.images,
        kind=first.instance.kind,
        sequence=sequences.pop() if len(sequences) == 1 else "",
        plane=plane_of(group.cosines),
        rows=first.instance.rows,
        columns=first.instance.columns,
        spacing=first.frame.spacing,
        cosines=group.cosines,
        frame_of_reference=first.instance.frame_of_reference,
        between=order.between,
        splits=tuple((name, plain) for name, value in parting if (plain := _plain(name, value)) is not None),
        missing=order.missing,
        problems=(*several, *order.problems, *clash, *_burned_in(order.images)),
    )


def _burned_in(images: Sequence[Placed]) -> list[Problem]:
    count = sum(each.instance.burned_in is True for each in images)
    return [problem("burned_in", images=count)] if count else []


def _several(name: str, this: str | int | float | None, count: int) -> Problem:
    return problem(_SEVERAL[name], of=count) if this is None else problem(_SEVERAL[name], of=count, this=this)


def _plain(name: str, value: object) -> str | int | float | None:
    """Give a value as a sentence can hold it: a size as pixels, a direction as its plane; None of the others."""
    if name == "orientation":
        return plane_of(value if isinstance(value, tuple) else None) or None
    if name == "size" and isinstance(value, tuple):
        return f"{value[1]}x{value[0]}"
    if name == "frame_of_reference":
        return None
    return value if isinstance(value, str | int | float) and value != "" else None


def _lowest_number(group: Group) -> tuple[bool, int]:
    numbers = [each.instance.instance_number for each in group.images]
    known = [number for number in numbers if number is not None]
    return (not known, min(known, default=0))


def _sortable(key: tuple[Split, ...]) -> tuple[tuple[str, bool, object], ...]:
    """Give a key that can be compared where values are missing; of one attribute all values are of one type."""
    return tuple((name, value is None, 0 if value is None else value) for name, value in key)
