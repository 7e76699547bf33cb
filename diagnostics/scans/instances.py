"""What a DICOM file says of itself, as it comes out of the decoding process and as rows keep it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.instance import Instance

# What rows keep of an image beside its size: where it lies, and what sets stacks of a series apart.
_TUPLES = ("position", "cosines", "spacing", "direction")
_OF_INSTANCE = (
    "kind",
    "sequence",
    "not_predicted",
    "slice_thickness",
    "slice_spacing",
    "frame_of_reference",
    "series_number",
    "burned_in",
)
_OF_FRAME = frozenset(field.name for field in dataclasses.fields(Frame)) - {"index"}


def instance_from(told: Mapping[str, Any] | None) -> Instance | None:
    """The instance that the decoding process told of, None for a picture file.

    Problems stay there: they are named again when the images are put in order.
    """
    if told is None:
        return None
    known = {field.name for field in dataclasses.fields(Instance)} - {"frames", "problems", "study_time"}
    frames = tuple(Frame(**frame) for frame in told["frames"])
    return Instance(**{name: told[name] for name in known}, frames=frames)


def facts_of(instance: Instance, frame: Frame) -> dict[str, object]:
    """What a row keeps of an image, as JSON; what is not told is left out."""
    kept = {name: getattr(instance, name) for name in _OF_INSTANCE}
    kept |= {name: value for name, value in dataclasses.asdict(frame).items() if name in _OF_FRAME}
    return {name: value for name, value in kept.items() if value not in (None, "")}


def frame_of(facts: Mapping[str, Any], index: int) -> Frame:
    """The frame whose :func:`facts_of` a row keeps."""
    said: dict[str, Any] = {
        name: tuple(value) if name in _TUPLES else value for name, value in facts.items() if name in _OF_FRAME
    }
    return Frame(index=index, **said)


def instance_of(
    facts: Mapping[str, Any],
    width: int,
    height: int,
    *,
    sop_uid: str = "",
    number: int | None = None,
    frames: Sequence[Frame] = (),
) -> Instance:
    """The instance whose :func:`facts_of` a row keeps, as far as it tells images of a series apart."""
    said = {name: facts[name] for name in _OF_INSTANCE if name in facts}
    return Instance(
        sop_uid=sop_uid or None,
        instance_number=number,
        rows=height,
        columns=width,
        frames=tuple(frames) or (frame_of(facts, 0),),
        **said,
    )
