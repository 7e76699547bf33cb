"""Decode files in processes of their own (ADR 0015); never here, and never without limits."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.utils.translation import gettext_lazy

from diagnostics.errors import Unavailable
from mlcore.images.decoded import Decoded
from mlcore.images.decoding.pool import DecodingPool
from mlcore.images.decoding.pool import DecodingUnavailable as NoProcess
from mlcore.images.decoding.process import Ended, Limits

log = structlog.get_logger(__name__)


class DecodingUnavailable(Unavailable):
    """No process can be had to decode in; nothing was stored, and the same file may be sent again."""

    code = "decoding_unavailable"
    message = gettext_lazy("Images cannot be read at the moment. Nothing was stored. Try again in a minute.")


@functools.cache
def pool() -> DecodingPool:
    """The pool of this process."""
    limits = Limits(
        memory_mb=settings.DECODING_MEMORY_MB,
        cpu_seconds=settings.DECODING_CPU_SECONDS,
        wall_seconds=settings.DECODING_WALL_SECONDS,
        files=settings.DECODING_FILES,
    )
    return DecodingPool(limits, settings.DECODING_PROCESSES)


def start_ahead() -> None:
    """Begin to start the processes, so that the first file need not wait; says so where that fails."""
    try:
        pool().start()
    except NoProcess as error:
        log.error("decoding_unavailable", reason=str(error))


def take(data: bytes) -> dict[str, Any]:
    """What the intake keeps of a file; raises Refused and DecodingUnavailable."""
    with _told(data):
        return pool().take(data)


def take_frames(data: bytes, indices: Sequence[int]) -> list[dict[str, bytes]]:
    """``pixels`` and ``preview`` of some frames of a file; raises Refused and DecodingUnavailable."""
    with _told(data):
        return pool().take_frames(data, indices)


def deidentify(data: bytes, key: bytes) -> dict[str, Any] | None:
    """``file``, ``pseudonym`` and ``burned_in`` of a DICOM file, None of another; raises Refused and
    DecodingUnavailable."""
    with _told(data):
        return pool().deidentify(data, key)


def show(data: bytes, side: int, index: int | None = None) -> Any:
    """The picture of a stored original, uint8 of shape (h, w); raises Refused and DecodingUnavailable."""
    with _told(data):
        return pool().show(data, side, index)


def decode(data: bytes, index: int | None = None) -> Decoded:
    """A stored original, or one frame of it, for the model; raises Refused and DecodingUnavailable."""
    with _told(data):
        return pool().decode(data, index)


@contextlib.contextmanager
def _told(data: bytes) -> Iterator[None]:
    """Log what an operator must know of: a file that was ended, by its hash and no other word of it, or no process."""
    try:
        yield
    except Ended as ended:
        log.warning(
            "decoding_ended",
            cause=ended.cause,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            cpu_seconds=round(ended.used.cpu_seconds, 2),
            memory_mb=round(ended.used.memory_mb),
        )
        raise
    except NoProcess as error:
        log.error("decoding_unavailable", reason=str(error))
        raise DecodingUnavailable from None
