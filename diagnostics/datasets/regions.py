"""What readers have outlined on the images whose labels train: offered beside the label, in image pixels."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Subquery

from diagnostics.annotations.models import Annotation, Kind
from diagnostics.reviews.models import Read, ReadKind
from diagnostics.scans.models import Institution

REGIONS = (Kind.ELLIPSE, Kind.RECTANGLE, Kind.FREEHAND)


def regions_of(
    images: Mapping[uuid.UUID | None, int | None], institutions: Sequence[Institution]
) -> dict[uuid.UUID, list[Any]]:
    """The regions that belong to final reads: those of the read's own reader on its case that stand now.

    ``images``: by read, the id of the image that trains with its label, None where the scan has only one.

    A reader who says that the case may train says so of their own marks; what others drew on it stays out. A mark's
    text stays out too: it is free, and may carry anything.
    """
    newer = Annotation.objects.filter(mark=OuterRef("mark"), revision__gt=OuterRef("revision"))
    final = Read.objects.filter(kind=ReadKind.FINAL, case=OuterRef("case"), reader=OuterRef("author"))
    rows = (
        Annotation.objects.filter(case__institution__in=institutions, kind__in=REGIONS, withdrawn=False)
        .filter(~Exists(newer))
        .annotate(read=Subquery(final.order_by("-created_at", "-revision").values("id")[:1]))
        .order_by("mark")
        .values_list("read", "mark", "revision", "kind", "points", "image")
    )
    found: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for read, mark, revision, kind, points, image in rows.iterator(chunk_size=2000):
        if read is not None and read in images and image == images[read]:
            found[read].append({"mark": str(mark), "revision": revision, "kind": kind, "points": points})
    return dict(found)
