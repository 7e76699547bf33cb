"""The images of a dataset, as they were frozen. Worker only."""

import hashlib

from django.core.files.storage import default_storage

from diagnostics.errors import Conflict
from mlcore.dataset import Item


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
        raise OriginalDamaged(f"The image {item.sha256[:12]} is gone from the storage.") from error
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise OriginalDamaged(f"The stored image {item.sha256[:12]} is not what was frozen: its hash differs.")
    return content
