"""Crops on the disk instead of in memory, so that a training of any number of images needs no more of it.

They are read row by row, not mapped: mapped pages count as memory of the process, and would hide what this is for.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from mlcore.data.dataset import Item, read_path
from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from mlcore.preprocessing.preprocess import PREPROCESS_VERSION, crop

_REFUSED = "-"


class CropFile:
    """Crops in a file, read when asked for; stands where an array of shape (N, s, s) and dtype uint8 could.

    Parameters
    ----------
    path : Path
        The file: rows of s * s bytes.
    side : int
        s, in pixels.
    rows : numpy.ndarray, shape (N,), dtype int64
        Which row each crop is.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, side: int, rows: np.ndarray) -> None:
        self._path, self._rows = path, rows
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.shape = (len(rows), side, side)

    def __len__(self) -> int:
        """Give N."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int | np.integer | slice) -> np.ndarray: ...

    @overload
    def __getitem__(self, place: Sequence[int] | np.ndarray) -> CropFile: ...

    def __getitem__(self, place: int | np.integer | slice | Sequence[int] | np.ndarray) -> np.ndarray | CropFile:
        """Read one crop (s, s) or a slice of them (n, s, s); several places give a `CropFile` that reads none yet."""
        if isinstance(place, slice):
            chosen = self._rows[place]
            out = np.empty((len(chosen), *self.shape[1:]), np.uint8)
            for at, row in enumerate(chosen):
                out[at] = self._read(row)
            return out
        if isinstance(place, int | np.integer):
            return self._read(self._rows[place])
        return CropFile(self._path, self.shape[1], self._rows[np.asarray(place, np.int64)])

    def _read(self, row: int) -> np.ndarray:
        size = self.shape[1] * self.shape[2]
        data = os.pread(self._file, size, int(row) * size)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])


@dataclass(frozen=True)
class CropCache:
    """The crops of a training, which goes on with them when it was broken off while reading or later.

    Attributes
    ----------
    path : Path
        Of the file of crops; beside it lies an index that names the image of each row with a checksum.
    side : int
        Of a crop, in pixels.
    """

    path: Path
    side: int

    @classmethod
    def beside(cls, out: Path, side: int) -> CropCache:
        """Give the cache of a model folder to be."""
        return cls(out.with_name(f".{out.name}-crops"), side)

    @property
    def _index(self) -> Path:
        return self.path.with_name(f"{self.path.name}.index")

    @property
    def _key(self) -> str:
        return f"crops {PREPROCESS_VERSION} {self.side}\n"

    def fill(
        self,
        items: Sequence[Item],
        *,
        read: Callable[[Item], bytes] = read_path,
        on_read: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[list[Item], CropFile]:
        """Decode and crop what is not there yet; items that are refused are left out.

        Parameters
        ----------
        items : sequence of Item
            The images. Those with the same hash share a row.
        read : callable
            Gives an item's bytes.
        on_read : callable
            Called with (items done, items in all) after each item; may raise to stop.

        Returns
        -------
        list of Item, CropFile
            The items that could be read, and their heads.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known, count = self._known()
        kept: list[Item] = []
        rows: list[int] = []
        with self.path.open("ab", buffering=0) as file, self._index.open("ab", buffering=0) as index:
            for done, item in enumerate(items, start=1):
                if item.sha256 not in known:
                    try:
                        data = crop(decode(read(item)), self.side)[0].tobytes()
                    except Refused:
                        known[item.sha256], word = None, _REFUSED
                    else:
                        file.write(data)
                        known[item.sha256], word = count, f"{zlib.crc32(data):08x}"
                        count += 1
                    # After its row, so that a row in the index is a whole one whenever the process is killed.
                    index.write(f"{item.sha256} {word}\n".encode())
                row = known[item.sha256]
                if row is not None:
                    kept.append(item)
                    rows.append(row)
                on_read(done, len(items))
        return kept, CropFile(self.path, self.side, np.array(rows, np.int64))

    def discard(self) -> None:
        """Remove the files, where there are any."""
        self.path.unlink(missing_ok=True)
        self._index.unlink(missing_ok=True)

    def _known(self) -> tuple[dict[str, int | None], int]:
        """Read what is there: the row by hash (None where refused) and the number of rows. Cuts off what is torn."""
        size, known, count, sound = self.side * self.side, dict[str, int | None](), 0, len(self._key)
        try:
            lines = self._index.read_text(encoding="ascii").splitlines(keepends=True)
            if not lines or lines[0] != self._key:
                raise FileNotFoundError
            with self.path.open("rb") as file:
                for line in lines[1:]:
                    sha256, _, word = line.rstrip("\n").partition(" ")
                    if not line.endswith("\n"):
                        break
                    if word == _REFUSED:
                        known[sha256] = None
                    else:
                        data = file.read(size)
                        if len(data) < size or f"{zlib.crc32(data):08x}" != word:
                            break
                        known[sha256], count = count, count + 1
                    sound += len(line)
        except (OSError, UnicodeDecodeError):
            self.discard()
            self._index.write_text(self._key, encoding="ascii")
            self.path.touch()
            return {}, 0
        os.truncate(self._index, sound)
        os.truncate(self.path, count * size)
        return known, count


def load_crops(
    items: Sequence[Item],
    size: int,
    *,
    read: Callable[[Item], bytes] = read_path,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Item], np.ndarray]:
    """Decode and crop items once; items that are refused are left out.

    Returns
    -------
    list of Item, numpy.ndarray
        The items that could be read, and their heads, uint8 (N, size, size).
    """
    kept: list[Item] = []
    crops = np.empty((len(items), size, size), np.uint8)
    for done, item in enumerate(items, start=1):
        try:
            square, _ = crop(decode(read(item)), size)
        except Refused:
            pass
        else:
            crops[len(kept)] = square
            kept.append(item)
        on_read(done, len(items))
    return kept, crops[: len(kept)]
