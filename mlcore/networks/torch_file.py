"""Arrays out of a file that PyTorch saved, without PyTorch and without running anything that the file says.

Such a file is a pickle, and a pickle may call whatever it names. This reader knows three names (an ordered dictionary,
a tensor, kinds of storage) and refuses every other one.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_KINDS = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# No published network of use here is near it; a file that says more is damaged or hostile.
_MOST_BYTES = 1 << 30


class NotTensors(ValueError):
    """A file that holds no named arrays in PyTorch's older format; the sentence says what is wrong."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, storages: Mapping[str, np.ndarray]) -> np.ndarray:
        """Lay the tensor over its storage; its order in memory may be any."""
        whole = storages[self.storage.key]
        steps = [(side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True)]
        whole_numbers = all(isinstance(each, int) and each >= 0 for each in (self.offset, *self.shape, *self.strides))
        if not whole_numbers or 0 in self.shape or self.offset + sum(steps) >= len(whole):
            raise NotTensors("A tensor lies outside of its storage.")
        strides = [stride * whole.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(whole[self.offset :], self.shape, strides).copy()


def _tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_rest: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _KINDS:
            return _KINDS[name]
        raise NotTensors(f"It asks for {module}.{name}, and only plain tensors are read.")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, count, *_ = pid
        if not isinstance(dtype, np.dtype):
            raise NotTensors("A storage is of no known kind.")
        return _Storage(str(key), dtype, int(count))


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a PyTorch state dictionary.

    Parameters
    ----------
    path : Path
        A `.pth` file in the format of before PyTorch 1.6, or a wheel that holds one such file.

    Returns
    -------
    dict of str to numpy.ndarray
        By name: float32, or int64.

    Raises
    ------
    NotTensors
        For anything else.
    OSError
        Where the file cannot be read.
    """
    try:
        return _tensors(io.BytesIO(_content(path)))
    except NotTensors as error:
        raise NotTensors(f"{path.name} cannot be read: {error}") from error
    except OSError:
        raise
    except Exception as error:  # a pickle that was altered raises what it likes
        raise NotTensors(f"{path.name} holds no tensors in PyTorch’s older format.") from error


def _content(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        if path.stat().st_size > _MOST_BYTES:
            raise NotTensors("It is too large.")
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        found = [entry for entry in wheel.infolist() if entry.filename.endswith(".pth")]
        if len(found) != 1 or found[0].file_size > _MOST_BYTES:
            raise NotTensors("A wheel must hold one .pth file.")
        return wheel.read(found[0])


def _tensors(file: io.BytesIO) -> dict[str, np.ndarray]:
    magic, protocol, about = (_Reader(file).load() for _ in range(3))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not about["little_endian"]:
        raise NotTensors("It is in another format.")
    named, keys = _Reader(file).load(), _Reader(file).load()
    wanted = {tensor.storage.key: tensor.storage for tensor in named.values()}
    if sorted(wanted) != sorted(keys):
        raise NotTensors("Its list of storages is not that of its tensors.")
    storages = {}
    for key in keys:
        count, storage = int.from_bytes(file.read(8), "little"), wanted[key]
        content = file.read(min(count, _MOST_BYTES) * storage.dtype.itemsize)
        if count != storage.count or len(content) != count * storage.dtype.itemsize:
            raise NotTensors("It ends too early.")
        storages[key] = np.frombuffer(content, storage.dtype)
    return {str(name): tensor.of(storages) for name, tensor in named.items()}
