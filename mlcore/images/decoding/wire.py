"""How a question and its answer cross the border between a process that asks and the one that decodes.

No pickle: whoever takes over the decoding process by a hostile file could otherwise run code in the asking one. An
answer is plain values as JSON, and beside it the bytes of files and arrays, whose number and size are limited.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import select
import socket
import struct
import time
from typing import Any

import numpy as np

from mlcore.images import decoded as _decoded

# To the server, with two sockets: how a decoder is to be limited (MB of memory beyond what it begins with, seconds of
# processor time a file, files before it is replaced).
WANTED = struct.Struct("<ddi")
# From the server: exit status as `os.wait` tells it, seconds of processor time, most KB of memory.
ENDED = struct.Struct("<idq")
READY, KILL, STEP_BACK = b"R", b"K", b"S"
# With this code a decoder ends that could not be limited, and therefore decodes nothing.
UNLIMITED = 71
# Length of the job's words, which are JSON; length of the file.
_QUESTION = struct.Struct("<4sIQ")
# Length of the words, number of pieces; then the length of each piece.
_ANSWER = struct.Struct("<4sII")
_LENGTH = struct.Struct("<Q")
MAGIC = b"OVD1"
MOST_WORDS = 1 << 24  # bytes; a file may hold thousands of frames, each with its place
MOST_PIECES = 16
# The largest image as float32, the same once more for the viewer, and small change.
MOST_BYTES = 160 * 1024 * 1024
_DTYPES = frozenset(("|u1", "<u2", "<i2", "<f4", "|i1", "<i4", "<f8"))
_KINDS = {
    name: kind
    for name, kind in vars(_decoded).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == _decoded.__name__
}


class Broken(ConnectionError):
    """The other side says what no answer is."""


class Gone(Broken):
    """The other side has gone."""


class TooLate(TimeoutError):
    """The other side has not answered in time."""


def pack(value: Any, pieces: list[Any]) -> Any:
    """Give a value as JSON knows it.

    Parameters
    ----------
    value : object
        None, bool, numbers, str, date, bytes, arrays, the dataclasses of `mlcore.images.decoded`, and tuples, lists
        and dicts of them.
    pieces : list
        Grows by each bytes and array in the value.

    Returns
    -------
    object
        For `unpack`. Tuples become lists.

    Raises
    ------
    TypeError
        The value is of another kind.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime.date):
        return {"$date": value.isoformat()}
    if isinstance(value, bytes | np.ndarray):
        return _pack_piece(value, pieces)
    if isinstance(value, np.generic):
        return value.item()
    return _pack_group(value, pieces)


def _pack_piece(value: bytes | np.ndarray, pieces: list[Any]) -> dict[str, Any]:
    """Put bytes or an array beside the words; in them stands its number, and how an array lies in it."""
    if isinstance(value, bytes):
        pieces.append(value)
        return {"$bytes": len(pieces) - 1}
    whole = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    pieces.append(whole.reshape(-1).view(np.uint8).data)
    return {"$array": len(pieces) - 1, "dtype": whole.dtype.str, "shape": list(whole.shape)}


def _pack_group(value: Any, pieces: list[Any]) -> Any:
    """Pack what holds other values, each of them in turn."""
    if dataclasses.is_dataclass(value) and type(value).__name__ in _KINDS:
        fields = {field.name: pack(getattr(value, field.name), pieces) for field in dataclasses.fields(value)}
        return {"$kind": type(value).__name__, "fields": fields}
    if isinstance(value, tuple | list):
        return [pack(each, pieces) for each in value]
    if isinstance(value, dict):
        return {"$dict": [[str(key), pack(each, pieces)] for key, each in value.items()]}
    raise TypeError(f"A {type(value).__name__} does not cross the border.")


def unpack(value: Any, pieces: list[bytes]) -> Any:
    """Give the value that `pack` packed.

    Parameters
    ----------
    value : object
        Of `pack`, or of a process that is not to be believed.
    pieces : list of bytes
        The bytes and arrays.

    Returns
    -------
    object
        Lists are tuples again; arrays lie on their piece and cannot be written to.

    Raises
    ------
    Broken
        It is nothing that `pack` gives.
    """
    if isinstance(value, list):
        return tuple(unpack(each, pieces) for each in value)
    if not isinstance(value, dict):
        return value
    try:
        if "$dict" in value:
            return {str(key): unpack(each, pieces) for key, each in value["$dict"]}
        if "$date" in value:
            return datetime.date.fromisoformat(value["$date"])
        if "$bytes" in value:
            return pieces[value["$bytes"]]
        if "$array" in value:
            return _array(value, pieces)
        fields = {name: unpack(each, pieces) for name, each in value["fields"].items()}
        return _KINDS[value["$kind"]](**fields)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Broken("The answer is none.") from error


def _array(value: dict[str, Any], pieces: list[bytes]) -> np.ndarray:
    shape = [int(side) for side in value["shape"]]
    if value["dtype"] not in _DTYPES or len(shape) > 4 or min(shape, default=0) < 0:
        raise Broken("The answer is none.")
    return np.frombuffer(pieces[value["$array"]], dtype=value["dtype"]).reshape(shape)


def ask(channel: socket.socket, job: dict[str, Any], data: bytes) -> None:
    """Send a question; parameters as of `asked`: what is to be done, and the file."""
    words = json.dumps(job).encode()
    channel.sendall(_QUESTION.pack(MAGIC, len(words), len(data)) + words)
    channel.sendall(data)


def asked(channel: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Give the next question: what is to be done and the file; None where nobody asks any more.

    Parameters
    ----------
    channel : socket.socket
        Of the decoding process; blocking.
    """
    head = _whole(channel, _QUESTION.size)
    if head is None:
        return None
    magic, words, length = _QUESTION.unpack(head)
    job, data = _whole(channel, words), _whole(channel, length)
    if magic != MAGIC or job is None or data is None:
        return None
    return json.loads(job), data


def _whole(channel: socket.socket, length: int) -> bytes | None:
    if length == 0:
        return b""
    parts: list[bytes] = []
    missing = length
    while missing:
        part = channel.recv(missing, socket.MSG_WAITALL)
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def answer(channel: socket.socket, value: Any) -> None:
    """Send an answer.

    Parameters
    ----------
    channel : socket.socket
        Of the decoding process.
    value : object
        As `pack` takes it.
    """
    pieces: list[Any] = []
    words = json.dumps(pack(value, pieces)).encode()
    lengths = b"".join(_LENGTH.pack(len(piece)) for piece in pieces)
    channel.sendall(_ANSWER.pack(MAGIC, len(words), len(pieces)) + lengths + words)
    for piece in pieces:
        channel.sendall(piece)


def answered(channel: socket.socket, until: float) -> Any:
    """Wait for the answer.

    Parameters
    ----------
    channel : socket.socket
        Of the asking process.
    until : float
        By `time.monotonic`.

    Returns
    -------
    object
        As of `unpack`.

    Raises
    ------
    Broken, TooLate
    """
    magic, length, count = _ANSWER.unpack(_in_time(channel, _ANSWER.size, until))
    if magic != MAGIC or length > MOST_WORDS or count > MOST_PIECES:
        raise Broken("The answer is none.")
    lengths = [_LENGTH.unpack(_in_time(channel, _LENGTH.size, until))[0] for _ in range(count)]
    if sum(lengths) > MOST_BYTES:
        raise Broken("The answer is larger than any image.")
    words = _in_time(channel, length, until)
    pieces = [_in_time(channel, each, until) for each in lengths]
    try:
        told = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise Broken("The answer is none.") from error
    return unpack(told, pieces)


def _in_time(channel: socket.socket, length: int, until: float) -> bytes:
    """Receive so many bytes, or raise `Gone` or `TooLate`."""
    parts: list[bytes] = []
    missing = length
    while missing:
        wait = until - time.monotonic()
        if wait <= 0 or not ready(channel, wait):
            raise TooLate
        try:
            part = channel.recv(min(missing, 1 << 20))
        except ConnectionError as error:
            raise Gone from error
        if not part:
            raise Gone
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def ready(channel: socket.socket, seconds: float) -> bool:
    """Tell whether something can be read.

    Parameters
    ----------
    channel : socket.socket
        Of either side.
    seconds : float
        To wait at most; 0 looks once.
    """
    # Not `select`, which ends at file descriptor 1024.
    watch = select.poll()
    watch.register(channel, select.POLLIN)
    return bool(watch.poll(math.ceil(seconds * 1000)))
