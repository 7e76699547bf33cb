"""Which image of a stack stands for it in a dataset.

Of a tumour it is the middle one of the key images that its reader named; a label of a stack alone says nothing of any
of its images. Of a stack without a tumour it is the middle image, which shows brain.
"""

import uuid
from typing import NamedTuple

from diagnostics.reviews.labels import TUMOUR_TYPES
from diagnostics.reviews.models import Label
from diagnostics.reviews.reading import images_named
from diagnostics.scans.series import Image

NO_KEY_IMAGES = "no_key_images"
FRAMES = "frames_of_one_file"


class Chosen(NamedTuple):
    """An image, or why there is none: ``reason`` is then the code."""

    image: Image | None
    reason: str = ""


def image_for(scan: uuid.UUID, *, label: str, key_images: str, revision: int) -> Chosen:
    """The image of a stack that may train with this label.

    ``revision`` is the one that the label's reader had: numbers of images count within it.
    """
    rows = Image.objects.filter(scan=scan, revision__lte=revision, index__isnull=False).order_by("index")
    if label in (Label.TUMOUR, *TUMOUR_TYPES):
        named = images_named(key_images)
        if not named:
            return Chosen(None, NO_KEY_IMAGES)
        number = named[len(named) // 2]
    else:
        number = rows.count() // 2 + 1
    image = rows[number - 1 : number].first()
    if image is None:
        return Chosen(None, NO_KEY_IMAGES)
    # Training reads whole files; a frame within one it cannot name yet.
    if Image.objects.filter(institution=image.institution_id, sha256=image.sha256).count() > 1:
        return Chosen(None, FRAMES)
    return Chosen(image)
