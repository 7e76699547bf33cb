"""Take the frames of a file with many apart, each with its own pixels to show. For a worker."""

from collections.abc import Sequence
from uuid import UUID

import structlog
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from . import decoding, intake
from .series import Image

log = structlog.get_logger(__name__)
AT_ONCE = 4  # frames that one question to the decoding process asks for


def take_out(series: UUID) -> int:
    """Store pixels and preview of every frame of a series that has none yet; how many.

    A worker that is killed on the way leaves whole frames behind, and the next goes on with those that are left.
    """
    done = 0
    waiting = Image.objects.filter(scan__series=series, pixels="").order_by("original", "frame")
    for original in list(waiting.order_by("original").values_list("original", flat=True).distinct()):
        with default_storage.open(original) as file:
            data = file.read()
        images = list(waiting.filter(original=original))
        for start in range(0, len(images), AT_ONCE):
            done += _take(data, images[start : start + AT_ONCE])
    return done


def made_of(data: bytes, indices: Sequence[int]) -> list[dict[str, bytes]]:
    """Pixels and preview of some frames of a stored file; at most ``AT_ONCE``.

    Raises
    ------
    FileRefused, DecodingUnavailable
    """
    with intake.in_our_words():
        return decoding.take_frames(data, indices)


def _take(data: bytes, images: Sequence[Image]) -> int:
    taken = made_of(data, [image.frame for image in images])
    for image, files in zip(images, taken, strict=True):
        folder = image.original.removesuffix("/original")
        for name in ("pixels", "preview"):
            key = f"{folder}/{name}-{image.frame}"
            default_storage.save(key, ContentFile(files[name]))
            setattr(image, name, key)
        Image.objects.filter(pk=image.pk).update(pixels=image.pixels, preview=image.preview)
    return len(images)
