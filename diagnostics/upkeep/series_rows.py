"""Rows of series, scans and images that contradict one another. Those that the closing of a series puts right are
given to it again; the others are told, for a person to look at."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from diagnostics.scans.models import Arrival, Scan
from diagnostics.scans.series import Image, Series

from .faults import Fault

# A series closes seconds after its last image. One that is open for so long is closed by nobody, or never ends.
LONG = timedelta(days=1)


def contradictions(repair: bool) -> Iterator[Fault]:
    """Everything of the kind, as it is found."""
    for look in (_counts, _gaps, _without_images, _foreign_files, _left_open, _never_closed):
        yield from look(repair)


def _fault(what: str, words: str, whose: str, repaired: str = "") -> Fault:
    return Fault("differs", what, "database", words, whose, repaired)


def _counts(repair: bool) -> Iterator[Fault]:
    """A scan counts its images: all of them while they arrive, those in order afterwards."""
    there = Count("images", filter=Q(arrival=Arrival.ARRIVING) | Q(images__index__isnull=False))
    found = Scan.objects.annotate(there=there).exclude(image_count=F("there")).filter(there__gt=0)
    for pk, said, images in found.order_by("pk").values_list("pk", "image_count", "there").iterator(chunk_size=1000):
        repaired = ""
        if repair:
            Scan.objects.filter(pk=pk).update(image_count=images, updated_at=timezone.now())
            repaired = "counted again"
        yield _fault("images", f"{said} said, {images} there", f"scan {pk}", repaired)


def _gaps(repair: bool) -> Iterator[Fault]:
    """The images of a closed stack are numbered from 0 without a gap."""
    stacks = Image.objects.filter(index__isnull=False).values("scan").annotate(last=Max("index"), there=Count("pk"))
    for scan, last, there in (
        stacks.exclude(last=F("there") - 1).order_by("scan").values_list("scan", "last", "there").iterator()
    ):
        yield _fault("images", f"{there} in order, the last is number {last}", f"scan {scan}")


def _without_images(repair: bool) -> Iterator[Fault]:
    found = Scan.objects.filter(~Exists(Image.objects.filter(scan=OuterRef("pk"))))
    for pk in found.order_by("pk").values_list("pk", flat=True).iterator():
        yield _fault("images", "none", f"scan {pk}")


def _foreign_files(repair: bool) -> Iterator[Fault]:
    """The image that stands for a scan is one of its own."""
    own = Image.objects.filter(scan=OuterRef("pk"))
    found = Scan.objects.filter(Exists(own), ~Exists(own.filter(original=OuterRef("original"))))
    for pk, key in found.order_by("pk").values_list("pk", "original").iterator():
        yield _fault("images", f"{key} is of none of them", f"scan {pk}")


def _left_open(repair: bool) -> Iterator[Fault]:
    """Nothing waits to be put in order in a series that was closed: no stack, no image, no frame."""
    closed = Scan.objects.exclude(series=None).exclude(series__arrival=Arrival.ARRIVING)
    waiting = Image.objects.filter(scan=OuterRef("pk"))
    kinds: tuple[tuple[str, Callable[[QuerySet[Scan]], QuerySet[Scan]]], ...] = (
        ("still arriving", lambda scans: scans.filter(arrival=Arrival.ARRIVING)),
        ("images without a number", lambda scans: scans.filter(Exists(waiting.filter(index__isnull=True)))),
        ("frames that were not taken out", lambda scans: scans.filter(Exists(waiting.filter(pixels="")))),
    )
    for words, those in kinds:
        for scan in list(those(closed).select_related("series").order_by("pk")):
            repaired = ""
            if repair and scan.series is not None:
                _close_again(scan.series)
                repaired = "its series will be closed again"
            yield _fault("series", f"closed, but {words}", f"scan {scan.pk}", repaired)
    alone = Scan.objects.filter(Exists(waiting.filter(index__isnull=True)), series=None)
    for pk in alone.order_by("pk").values_list("pk", flat=True):
        yield _fault("images", "without a number, and of no series", f"scan {pk}")


def _close_again(series: Series) -> None:
    Series.objects.filter(pk=series.pk).update(arrival=Arrival.ARRIVING, close_at=timezone.now())


def _never_closed(repair: bool) -> Iterator[Fault]:
    """A worker closes series within a minute; and a sender that never stops keeps its images from being read."""
    before = timezone.now() - LONG
    long_ago = Q(close_at__lt=before) | Q(closed_at__isnull=True, created_at__lt=before)
    found = Series.objects.filter(long_ago, arrival=Arrival.ARRIVING)
    for pk, at in found.order_by("pk").values_list("pk", "created_at"):
        yield _fault("series", f"arriving since {at:%Y-%m-%d}", f"series {pk}")
