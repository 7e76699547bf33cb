"""A training that was broken off goes on: its whole state, in one file beside the model folder to be.

Every order and every change of an image follows from seed and epoch, so whole epochs need no generator's state; that
of dropout is among the network's variables.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_NOTES = "notes"


@dataclass(frozen=True)
class Checkpoint:
    """The file that keeps a training's state after every epoch.

    Attributes
    ----------
    path : Path
        Of the file.
    key : str
        What the training is: settings, data and code. A state under another key is none of ours.
    """

    path: Path
    key: str

    @classmethod
    def beside(cls, out: Path, key: str) -> Checkpoint:
        """Give the checkpoint of a model folder to be."""
        return cls(out.with_name(f".{out.name}-checkpoint.npz"), key)

    def save(self, arrays: Mapping[str, Sequence[np.ndarray]], notes: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all: lists of arrays, and `notes` that JSON can hold."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        named = {f"{name}/{i}": array for name, each in arrays.items() for i, array in enumerate(each)}
        text = json.dumps({"key": self.key, **notes}).encode()
        try:
            with written.open("wb") as file:
                np.savez(file, **{_NOTES: np.frombuffer(text, np.uint8)}, **named)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            written.replace(self.path)
        finally:
            written.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]] | None:
        """Read what `save` wrote; None where there is nothing, nothing of this training, or nothing readable."""
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                notes = json.loads(stored[_NOTES].tobytes())
                if notes.pop("key") != self.key:
                    return None
                arrays: dict[str, list[np.ndarray]] = {}
                for name in stored.files:
                    if name != _NOTES:
                        arrays.setdefault(name.rpartition("/")[0], []).append(stored[name])
                return arrays, notes
        except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile):
            # A training can always begin anew, so a damaged state costs time and nothing else.
            return None

    def discard(self) -> None:
        """Remove the file, where there is one."""
        self.path.unlink(missing_ok=True)
