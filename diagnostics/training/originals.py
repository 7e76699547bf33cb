"""The images of a dataset, as they were frozen. Worker only."""

import hashlib

from django.core.files.storage import default_storage
from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Conflict
from mlcore.data.dataset import Item


class OriginalDamaged(Conflict):
    """An image of the dataset is gone from the storage, or is not what was frozen."""

    code = "original_damaged"


def read_original(item: Item) -> bytes:
    """The untouched bytes of an item's scan, which must still be those that were frozen.

    Raises
    ------
    OriginalDamaged
    """
    try:
        with default_storage.open(item.path, "rb") as file:
            content: bytes = file.read()
    except FileNotFoundError as error:
        raise OriginalDamaged(
            _("Image %(sha256)s is missing in the storage."), {"sha256": item.sha256[:12]}
        ) from error
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise OriginalDamaged(
            _("The stored image %(sha256)s was changed after freezing: its hash differs."),
            {"sha256": item.sha256[:12]},
        )
    return content
