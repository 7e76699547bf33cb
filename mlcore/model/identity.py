"""What a model folder holds and how it is known; light, so that keeping models needs no way of running them."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS, SPEC, REPORT, CARD = "weights.npz", "spec.json", "report.json", "card.md"
_BLOCK = 1 << 20


class ArtifactDamaged(ValueError):
    """A model folder that is incomplete, altered, or of another make; its sentence says which."""


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def sha256_of(folder: Path) -> str:
    """Give the identity of a model: SHA-256 over its weights and its spec.

    Raises
    ------
    ArtifactDamaged
        Where one of the two files is missing.
    """
    whole = hashlib.sha256()
    for name in (WEIGHTS, SPEC):
        try:
            content = _digest(folder / name)
        except OSError as error:
            raise ArtifactDamaged(f"The model folder {folder.name} has no readable {name}.") from error
        whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()
