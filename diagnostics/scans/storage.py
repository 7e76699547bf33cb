"""Files of scans on disk: written whole or not at all."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage


class DurableFileSystemStorage(FileSystemStorage):
    """A folder whose files appear under their name only when every byte has reached the disk.

    Django's own storage writes in place: a power cut would leave half an original under its final name, with a row
    that says it is whole.
    """

    def _save(self, name: str, content: "File[bytes]") -> str:
        self.write_ahead(name, content).put()
        return str(name).replace("\\", "/")

    def write_ahead(self, name: str, content: "File[bytes]") -> "Ahead":
        """Bring every byte to the disk, under another name for now.

        Raises
        ------
        OSError
            There is no room, for one; nothing is left then.
        """
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
        ahead = Ahead(Path(scratch), target)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            ahead.drop()
            raise
        return ahead


@dataclass(frozen=True)
class Ahead:
    """A file that is on the disk and not yet under its name; nobody else knows of it."""

    scratch: Path
    target: Path

    def put(self) -> None:
        try:
            self.scratch.replace(self.target)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        self.scratch.unlink(missing_ok=True)
