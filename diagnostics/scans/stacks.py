"""Which images of a series are read as one, while they are arriving.

The rule is mlcore's (:mod:`mlcore.images.stacks`). Places are left out of it until all images are here: which of two
images at one place belongs where, only the whole series can tell.
"""

import dataclasses
from collections.abc import Sequence

from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.instance import Instance
from mlcore.images.stacking.grouping import groups_of
from mlcore.images.stacks import Placed

from .instances import instance_of
from .models import Scan


def parted(instance: Instance) -> list[list[Frame]]:
    """The frames of a file, stack by stack; a single one where the file says nothing of any."""
    frames = instance.frames or (Frame(0),)
    groups = groups_of([_anywhere(Placed(instance, frame)) for frame in frames])
    return [[frames[image.frame.index] for image in group.images] for group in groups]


def stack_among(scans: Sequence[Scan], instance: Instance, frame: Frame) -> Scan | None:
    """The scan among those of a series that a frame belongs to."""
    image = _anywhere(Placed(instance, frame))
    for scan in scans:
        kept = instance_of(scan.geometry or {}, scan.width, scan.height)
        if len(groups_of([_anywhere(Placed(kept, kept.frames[0])), image])) == 1:
            return scan
    return None


def _anywhere(image: Placed) -> Placed:
    return Placed(image.instance, dataclasses.replace(image.frame, position=None))
