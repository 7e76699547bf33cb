"""Decode files in other processes, within limits of memory and time: a hostile file costs nobody else anything.

This side is light: it loads no decoder. See `mlcore.images.decoding.server` for the other.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlcore.images.decoded import Decoded, NoSuchFrame, Refused
from mlcore.images.decoding import wire
from mlcore.images.decoding.process import Decoder, Ended, Limits, Used
from mlcore.images.decoding.wire import Broken, Gone, TooLate

_ROOT = Path(__file__).resolve().parents[3]
# The environment of the decoding processes: nothing that is a secret.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "PYTHONHOME", "VIRTUAL_ENV")
_START_SECONDS = 60.0
# With so many MB a decoder begins; one that has used this much of what it may have, and dies, wanted more.
_BEGINS_MB, _NEARLY = 50.0, 0.6


class DecodingUnavailable(RuntimeError):
    """No process can be had to decode in. Nothing was decoded; the same file may be sent again."""


class DecodingPool:
    """Decoding processes, made as they are needed and kept for the next file; any thread may ask.

    Parameters
    ----------
    limits : Limits, optional
        Of each file.
    most : int
        Processes at once; a file beyond waits for one of them.

    Attributes
    ----------
    ended : int
        Files whose decoding was ended so far.
    last : Used or None
        What the process of the last file had taken that was ended or was its process's last.
    """

    def __init__(self, limits: Limits | None = None, most: int = 4) -> None:
        self.limits = limits or Limits()
        self.most = most
        self.last: Used | None = None
        self.ended = 0
        self._begin()
        _POOLS.add(self)

    def _begin(self) -> None:
        self._free = threading.Condition()
        self._idle: list[Decoder] = []
        self._busy = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False

    def start(self) -> None:
        """Start what the decoding processes are forked from, and do not wait for it.

        Raises
        ------
        DecodingUnavailable
        """
        with self._free:
            self._serve()

    def take(self, data: bytes, index: int | None = None) -> dict[str, Any]:
        """Give what the intake keeps of a file, or of one of its frames.

        Parameters
        ----------
        data : bytes
            The whole file.
        index : int, optional
            Of a frame, as of `mlcore.images.decode.frame`.

        Returns
        -------
        dict
            `instance`: what a DICOM file says of itself (the fields of `mlcore.images.dicom.instance.Instance`, and
            `kept`), else None. Unless `kept`: `format`, `width`, `height`, `bits`, `frames`, `study_date`; as bytes
            `pixels` (see `mlcore.images.viewer_file`), `preview`, `fingerprint`.

        Raises
        ------
        Refused
            `Ended` where a limit ended it.
        NoSuchFrame
            Where the file has no such frame.
        DecodingUnavailable
        """
        return dict(self._ask({"do": "take", "frame": index}, data))

    def take_frames(self, data: bytes, indices: Sequence[int]) -> list[dict[str, bytes]]:
        """Give what is kept of some frames of a file with several.

        Parameters
        ----------
        data : bytes
            The whole file.
        indices : sequence of int
            From 0; at most 7, as each comes in two pieces.

        Returns
        -------
        list of dict
            For each of them `pixels` and `preview` as of `take`.

        Raises
        ------
        Refused
            `Ended` where a limit ended it.
        DecodingUnavailable
        """
        return [dict(each) for each in self._ask({"do": "frames", "indices": list(indices)}, data)]

    def deidentify(self, data: bytes, key: bytes) -> dict[str, Any] | None:
        """De-identify a DICOM file.

        Parameters, answer and errors as of `mlcore.images.deidentify.derived.under_key`, and `DecodingUnavailable`.
        """
        made = self._ask({"do": "deidentify", "key": key.hex()}, data)
        return None if made is None else dict(made)

    def show(self, data: bytes, side: int, index: int | None = None) -> Any:
        """Give an image as the viewer shows it at first.

        Parameters, answer and errors as of `mlcore.images.viewer_file`; `index` as of `take`.
        """
        return self._ask({"do": "show", "side": side, "frame": index}, data)

    def decode(self, data: bytes, index: int | None = None) -> Decoded:
        """Decode a file or one of its frames; parameters, answer and errors as of `mlcore.images.decode`, and
        `DecodingUnavailable`."""
        found = self._ask({"do": "decode", "frame": index}, data)
        if not isinstance(found, Decoded):
            raise Ended("crash", Used())
        return found

    def close(self) -> None:
        """End every process; the next question starts them anew."""
        with self._free:
            for decoder in self._idle:
                decoder.close()
            self._idle.clear()
            self._stop()

    def _ask(self, job: dict[str, Any], data: bytes) -> Any:
        try:
            return self._tried(job, data)
        except Ended:
            self.ended += 1
            raise

    def _tried(self, job: dict[str, Any], data: bytes) -> Any:
        # Twice, as the process that all are forked from may have been killed by somebody.
        for _ in range(2):
            decoder = self._borrowed()
            kept = False
            try:
                told = decoder.ask(job, data)
                kept = told.get("last") is False
                if not kept:
                    self.last = decoder.ended(kill=False)
                return self._value(told)
            except TooLate:
                self.last = decoder.ended(kill=True)
                raise Ended("time", self.last) from None
            except Gone:
                self.last = decoder.ended(kill=False)
                if self.last.status is not None:
                    raise self._reason(self.last) from None
            except (Broken, AttributeError):
                self.last = decoder.ended(kill=True)
                raise Ended("crash", self.last) from None
            finally:
                self._give_back(decoder, kept)
        raise DecodingUnavailable("The processes that decode were ended twice.")

    def _value(self, told: dict[str, Any]) -> Any:
        if told.get("memory"):
            raise Ended("memory", self.last or Used())
        if told.get("no_frame"):
            raise NoSuchFrame
        if "refused" in told:
            code, sentence = (str(word)[:500] for word in told["refused"])
            raise Refused(code, sentence)
        return told["value"]

    def _reason(self, used: Used) -> Exception:
        """Why a process that ended by itself did so."""
        assert used.status is not None
        if os.WIFSIGNALED(used.status):
            by = os.WTERMSIG(used.status)
            if by in (signal.SIGPROF, signal.SIGXCPU):
                return Ended("time", used)
            # Nobody here has killed it: that is what the kernel does where memory runs out. Libraries that do not look
            # whether they were given any fall over their own feet.
            out_of_memory = by == signal.SIGKILL or used.memory_mb > _NEARLY * self.limits.memory_mb + _BEGINS_MB
            return Ended("memory" if out_of_memory else "crash", used)
        if os.WEXITSTATUS(used.status) == wire.UNLIMITED:
            return DecodingUnavailable("A process that decodes could not be limited.")
        return Ended("crash", used)

    def _borrowed(self) -> Decoder:
        """A process that nobody else uses."""
        until = time.monotonic() + self.limits.wall_seconds
        with self._free:
            while True:
                while self._idle:
                    decoder = self._idle.pop()
                    if not decoder.has_ended():
                        self._busy += 1
                        return decoder
                    decoder.close()
                if self._busy < self.most:
                    decoder = self._forked()
                    self._busy += 1
                    return decoder
                if not self._free.wait(until - time.monotonic()):
                    raise DecodingUnavailable("All processes that decode are busy.")

    def _give_back(self, decoder: Decoder, kept: bool) -> None:
        with self._free:
            self._busy -= 1
            if kept:
                self._idle.append(decoder)
            else:
                decoder.close()
            self._free.notify()

    def _forked(self) -> Decoder:
        for _ in range(2):
            control = self._serve()
            try:
                if not self._ready:
                    if not wire.ready(control, _START_SECONDS) or control.recv(1) != wire.READY:
                        break
                    self._ready = True
                return Decoder(control, self.limits)
            except OSError:
                self._stop()
        self._stop()
        raise DecodingUnavailable("The process that the decoding processes are forked from does not start.")

    def _serve(self) -> socket.socket:
        """The socket to the process that the others are forked from, started where it does not run."""
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "mlcore.images.decoding.server", str(theirs.fileno())],
                cwd=_ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except (OSError, subprocess.SubprocessError) as error:
            ours.close()
            raise DecodingUnavailable(f"No process can be started to decode in ({type(error).__name__}).") from error
        finally:
            theirs.close()
        self._control, self._ready = ours, False
        return ours

    def _stop(self) -> None:
        """End the process that the others are forked from, and thereby them; the lock is held."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control, self._process, self._ready = None, None, False

    def _forget(self) -> None:
        """In a forked child: what is open belongs to the parent, and closes there when the parent wants it."""
        for decoder in self._idle:
            decoder.close()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._begin()


def _environment() -> dict[str, str]:
    given = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # The products here are small: threads would bring nothing, and a process with threads cannot be forked safely.
    return {**given, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


_POOLS: weakref.WeakSet[DecodingPool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool._forget()


def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
