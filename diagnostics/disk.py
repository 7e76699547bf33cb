"""A full disk, however it shows: in a file, in SQLite, in PostgreSQL, in a bucket."""

import contextlib
import errno
from collections.abc import Iterator

from django.db import DatabaseError
from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Unavailable

FULL_OF_FILES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_OF_POSTGRESQL = ("53100",)  # disk_full
FULL_OF_STORES = ("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "EntityTooLargeForQuota")


class StorageFull(Unavailable):
    """There is no room to keep what came; the message says so, and that nothing of it was kept."""

    code = "storage_full"
    message = _(
        "The storage is full, so nothing was saved. Tell your administrator and try again when there is space."
    )


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that there is no room."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, StorageFull) or _says_so(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_so(error: object) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL_OF_FILES
    if isinstance(error, DatabaseError):
        return "disk is full" in str(error)
    if (
        getattr(error, "sqlstate", None) in FULL_OF_POSTGRESQL
        or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    ):
        return True
    response = getattr(error, "response", None)  # of botocore's ClientError
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in FULL_OF_STORES


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Let a full disk leave by its name.

    Raises
    ------
    StorageFull
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise StorageFull from error
