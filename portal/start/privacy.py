"""The data folder is closed to other accounts of the machine, also one that an older version left open."""

import contextlib
import os
from pathlib import Path

UMASK = 0o077
STAMP = Path("run") / "closed-to-others"


def keep_private() -> None:
    """From here on this process makes nothing that others could read."""
    os.umask(UMASK)


def close_to_others(folder: Path, database: Path | None = None) -> None:
    """Take every right of others away from the data folder and what is in it; the files below only once.

    What belongs to somebody else is left as it is: they alone can change it.
    """
    keep_private()
    if not folder.is_dir():
        return
    _close(folder)
    for name in ("secret_key", "run", "files", "broker", "cache", *(path.name for path in folder.glob("*.sqlite3*"))):
        _close(folder / name)
    if database is not None:
        for path in database.parent.glob(f"{database.name}*"):
            _close(path)
    stamp = folder / STAMP
    if stamp.exists():
        return
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _close(Path(place) / name)
    with contextlib.suppress(OSError):
        stamp.parent.mkdir(mode=0o700, exist_ok=True)
        stamp.touch()


def _close(path: Path) -> None:
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode & 0o7777
        if mode & UMASK and not path.is_symlink():
            path.chmod(mode & ~UMASK)


def close_data() -> None:
    """The same for the folder and the database that the settings name."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    at = Path(str(database["NAME"])) if database["ENGINE"].endswith("sqlite3") else None
    close_to_others(Path(settings.DATA_DIR), at)
