"""Put the images of a series in order: each stack by position, with what is missing in it or there twice.

The order itself is mlcore's (:mod:`mlcore.images.stacks`); here its answer becomes rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import timezone

from mlcore.images.dicom.instance import Instance
from mlcore.images.problem import Problem
from mlcore.images.stacks import PARTS, Stack, sort_into_stacks

from .instances import frame_of, instance_of
from .models import Arrival, Scan
from .series import Image, Series

# A stack that lacks images is shown as incomplete; other problems are told beside it.
_INCOMPLETE = ("gap", "number_gap")


def put_in_order(series: Series) -> list[Scan]:
    """Give every image of the series its index, in the caller's transaction that holds the row of the series.

    Returns the scans that are new to the worklist, or have new images: those that are to be analysed (again).
    """
    changed: list[Scan] = []
    for scan in series.scans.order_by("created_at", "id"):
        images = list(Image.objects.filter(scan=scan).order_by("id"))
        if scan.arrival == Arrival.ARRIVING or any(image.index is None for image in images):
            changed += _order(series, scan, images)
    _tell_what_parts(series)
    arrivals = set(series.scans.values_list("arrival", flat=True))
    series.arrival = Arrival.INCOMPLETE if Arrival.INCOMPLETE in arrivals else Arrival.COMPLETE
    series.closed_at = timezone.now()
    series.save(update_fields=["arrival", "closed_at"])
    return changed


def _tell_what_parts(series: Series) -> None:
    """Tell each stack of several what sets it apart. Images that differ were parted as they came, one by one, so that
    no stack knows of the others by itself."""
    scans = list(series.scans.order_by("created_at", "id"))
    if len(scans) == 1:
        return
    images = list(Image.objects.filter(scan__in=scans).order_by("id"))
    owner = {(image.sop_uid, image.frame): image.scan_id for image in images}
    parted = {
        owner[stack.images[0].instance.sop_uid or "", stack.images[0].frame.index]: stack
        for stack in sort_into_stacks(_instances(series, images))
    }
    for scan in scans:
        stack = parted.get(scan.pk)
        if stack is None:
            continue
        several = [as_json(each) for each in stack.problems if each.code in PARTS]
        others = [each for each in scan.problems if each["code"] not in PARTS]
        scan.problems = [*several, *others]
        scan.geometry = {**(scan.geometry or {}), "splits": [list(split) for split in stack.splits]}
        scan.save(update_fields=["problems", "geometry"])


def _order(series: Series, scan: Scan, images: Sequence[Image]) -> list[Scan]:
    """Put one stack in order. Where the whole shows that it is several, the first keeps the row."""
    rows = {(image.sop_uid, image.frame): image for image in images}
    stacks = sort_into_stacks(_instances(series, images))
    Image.objects.filter(scan=scan).update(index=None)
    scans = [scan, *[_beside(scan) for _stack in stacks[1:]]]
    for target, stack in zip(scans, stacks, strict=True):
        own = [rows[each.instance.sop_uid or "", each.frame.index] for each in stack.images]
        _write(target, stack, own, fresh=target is not scan)
    return scans


def _instances(series: Series, images: Iterable[Image]) -> list[Instance]:
    """The files that the images came in, as their rows keep them."""
    by_file: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_file[image.sop_uid].append(image)
    return [
        instance_of(
            some[0].facts,
            some[0].width,
            some[0].height,
            sop_uid=sop_uid,
            number=some[0].instance_number,
            frames=[frame_of(image.facts, image.frame) for image in sorted(some, key=lambda image: image.frame)],
        )
        for sop_uid, some in by_file.items()
    ]


def _beside(scan: Scan) -> Scan:
    """Another stack of the same series, filed as the first one is."""
    copied = {
        field.attname: getattr(scan, field.attname)
        for field in Scan._meta.local_concrete_fields
        if field.name not in ("id", "created_at", "updated_at")
    }
    return Scan.objects.create(**copied)


def _write(scan: Scan, stack: Stack, images: Sequence[Image], *, fresh: bool) -> None:
    """Write the order of a stack, and what stands for it."""
    seen_before = scan.arrival != Arrival.ARRIVING and not fresh
    revision = scan.revision + 1 if seen_before else 1 if fresh else scan.revision
    for index, image in enumerate(images):
        image.scan, image.index = scan, index
        if fresh:
            image.revision = 1
    Image.objects.bulk_update(images, ["scan", "index", "revision"], batch_size=500)
    middle = images[len(images) // 2]
    for name in ("sha256", "size_bytes", "original", "pixels", "preview", "width", "height", "bits"):
        setattr(scan, name, getattr(middle, name))
    scan.revision = revision
    scan.image_count = len(images)
    scan.problems = [as_json(problem) for problem in stack.problems]
    lacks = any(problem.code in _INCOMPLETE for problem in stack.problems)
    scan.arrival = Arrival.INCOMPLETE if lacks else Arrival.COMPLETE
    scan.geometry = {
        **(scan.geometry or {}),
        "plane": stack.plane,
        "sequence": stack.sequence,
        "between": stack.between,
        "missing": stack.missing,
        "splits": [list(split) for split in stack.splits],
    }
    scan.save()


def as_json(problem: Problem) -> dict[str, Any]:
    """A problem as a row keeps it."""
    return {"code": problem.code, **problem.named}
