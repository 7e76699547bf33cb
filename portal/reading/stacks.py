"""What the viewer must know of a stack to scroll through it: its images, where each lies, where its pixels are."""

import hashlib
from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from diagnostics.models import Scan

from .files import scan_of


class ShownStack(TypedDict):
    """``positions``: millimetres along the normal of the slices, None where a file does not say.

    ``space`` is the same for stacks whose positions can be compared: of one frame of reference and one direction.
    ``plane`` alone tells stacks of different visits that lie alike.
    """

    count: int
    start: int
    positions: list[float | None]
    pixels: str
    preview: str
    plane: str
    space: str


def stack_of(scan: Scan) -> ShownStack:
    """The stack as the viewer takes it; ``pixels`` and ``preview`` are those of image 0."""
    rows = list(scan.images.exclude(index=None).order_by("index").values_list("position", "facts"))
    positions = [position for position, _facts in rows]
    plane = str((scan.geometry or {}).get("plane") or "")
    frame = scan.series.frame_of_reference if scan.series is not None else ""
    # A UID of the hospital has no business on a page; that two stacks share one is all that is told.
    normal = _normal(rows[0][1].get("cosines")) if rows else ""
    space = hashlib.sha256(f"{frame} {normal}".encode()).hexdigest()[:16] if frame and normal else ""
    return {
        "count": len(positions),
        "start": len(positions) // 2,
        "positions": positions,
        "pixels": reverse("reading:image-pixels", args=[scan.pk, 0]),
        "preview": reverse("reading:image-preview", args=[scan.pk, 0]),
        "plane": plane,
        "space": space,
    }


def _normal(cosines: Sequence[float] | None) -> str:
    """The direction across the slices, to about a degree; empty where the file does not say.

    Positions are millimetres along it, so those of stacks that are tilted against each other cannot be compared.
    """
    if not cosines:
        return ""
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    across = (b * f - c * e, c * d - a * f, a * e - b * d)
    return " ".join(f"{round(part, 2) + 0.0:.2f}" for part in across)


@require_safe
@login_required
def stack(request: HttpRequest, pk: UUID) -> JsonResponse:
    """The stack of another scan, for the viewer that shows it beside; 404 for whoever may not see it."""
    return JsonResponse(stack_of(scan_of(request, pk)), headers={"Cache-Control": "private, no-store"})
