"""Which code made a model: a hash over the source files of mlcore."""

from __future__ import annotations

import hashlib
from pathlib import Path

_MLCORE = Path(__file__).resolve().parent.parent


def code_revision(folder: Path = _MLCORE) -> str:
    """Give the first 16 digits of a hash over the source files below a folder, in order of their paths."""
    whole = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")):
        whole.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]
