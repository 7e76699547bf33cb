"""Reading DICOM without pydicom's complaints: what it says of a file is in the refusal or of no account."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config as pydicom_config

# pydicom speaks of odd files through `warnings`, whose filters belong to the whole process: two threads that
# each silence them can leave them silent for good. One at a time cannot, and one file takes milliseconds.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing be said in a block, which one thread at a time goes through."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Odd values in fields that are not used here must not stand in the way of the image.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
# pydicom's tracebacks would carry the file's bytes into the log, and printing them takes seconds.
logging.getLogger("pydicom").propagate = False
