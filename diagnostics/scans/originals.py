"""The untouched files that a scan came in: one, or for a stack one an image, packed for a download."""

import tempfile
import zipfile
from typing import IO

from django.core.files.storage import default_storage

from .models import Scan
from .series import Image

_CHUNK = 1024 * 1024


def originals_of(scan: Scan) -> list[str]:
    """The storage keys of the files of a scan, each once, in the order of the stack."""
    keys = Image.objects.filter(scan=scan).order_by("index", "id").values_list("original", flat=True)
    return list(dict.fromkeys(keys)) or [scan.original]


def packed(keys: list[str], suffix: str) -> IO[bytes]:
    """A ZIP of stored files, on disk and not in memory; it is gone when it is closed.

    Parameters
    ----------
    keys : list of str
        Storage keys; the files are named by their place among them: `0001.dcm` and so on.
    suffix : str
        Of the names, without the dot.

    Raises
    ------
    FileNotFoundError
        One of them is missing.
    """
    made = tempfile.TemporaryFile()  # noqa: SIM115 - whoever answers with it closes it
    try:
        # Images are packed already, or shrink little for the time it takes.
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for number, key in enumerate(keys, start=1):
                with default_storage.open(key) as source, archive.open(f"{number:04}.{suffix}", "w") as target:
                    while chunk := source.read(_CHUNK):
                        target.write(chunk)
    except BaseException:
        made.close()
        raise
    made.seek(0)
    return made
