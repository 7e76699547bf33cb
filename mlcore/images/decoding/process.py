"""One process that decodes, seen from the one that asks: what it may take, what it has taken, and how it ended."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Any

from mlcore.images.decoded import Refused
from mlcore.images.decoding import wire
from mlcore.images.decoding.wire import Gone, TooLate

# So long a file may take before it is asked, again and again, how much processor time it has used.
_USUAL_SECONDS = 0.06


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Attributes
    ----------
    memory_mb : float
        Beyond the 50 MB with which a decoding process begins.
    cpu_seconds : float
        Of processor time.
    wall_seconds : float
        From question to answer.
    files : int
        After so many a process is replaced.
    """

    memory_mb: float = 224.0
    cpu_seconds: float = 1.6
    wall_seconds: float = 30.0
    files: int = 200


@dataclass(frozen=True)
class Used:
    """What a decoding process has taken in its life.

    Attributes
    ----------
    status : int or None
        How it ended, as `os.wait` tells it; None where nobody could tell.
    cpu_seconds : float
        Of processor time.
    memory_mb : float
        At most, of memory of its own and shared.
    """

    status: int | None = None
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0


class Ended(Refused):
    """A file whose decoding was ended.

    Parameters
    ----------
    cause : str
        `memory`, `time` or `crash`.
    used : Used
        What its process had taken.
    """

    def __init__(self, cause: str, used: Used) -> None:
        super().__init__({"memory": "too_much_memory", "time": "too_slow"}.get(cause, "damaged"))
        self.cause, self.used = cause, used

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return (Refused, (self.code, self.sentence))


class Decoder:
    """One decoding process, seen from here."""

    def __init__(self, control: socket.socket, limits: Limits) -> None:
        self.channel, theirs = socket.socketpair()
        self.status, told = socket.socketpair()
        self.limits = limits
        wanted = wire.WANTED.pack(limits.memory_mb, limits.cpu_seconds, limits.files)
        try:
            socket.send_fds(control, [wanted], [theirs.fileno(), told.fileno()])
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()
            told.close()
        self.channel.settimeout(limits.wall_seconds)

    def has_ended(self) -> bool:
        """Tell whether the process has told its end."""
        return wire.ready(self.status, 0)

    def ask(self, job: dict[str, Any], data: bytes) -> Any:
        """The answer to one job; raises `Broken` and `TooLate`."""
        until = time.monotonic() + self.limits.wall_seconds
        try:
            wire.ask(self.channel, job, data)
        except TimeoutError as error:
            raise TooLate from error
        except OSError as error:
            raise Gone from error
        while not wire.ready(self.channel, _USUAL_SECONDS) and time.monotonic() < until:
            with contextlib.suppress(OSError):
                self.status.send(wire.STEP_BACK)
        return wire.answered(self.channel, until)

    def ended(self, *, kill: bool) -> Used:
        """Wait for its end, which is near unless ``kill`` is to bring it; what it had taken."""
        if kill:
            with contextlib.suppress(OSError):
                self.status.send(wire.KILL)
        told = b""
        if wire.ready(self.status, 5.0):
            with contextlib.suppress(OSError):
                told = self.status.recv(64)
        self.close()
        if len(told) != wire.ENDED.size:
            return Used()
        status, seconds, kilobytes = wire.ENDED.unpack(told)
        return Used(status, seconds, kilobytes / 1024)

    def close(self) -> None:
        """Let go of the process, which then ends."""
        self.channel.close()
        self.status.close()
