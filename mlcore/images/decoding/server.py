"""The process that decoders are forked from, and what a decoder does: `python -m mlcore.images.decoding.server FD`.

It has loaded the decoding libraries and nothing else, runs one thread and knows no secret, so a fork of it is quick,
safe and cheap. Whoever started it holds the other end of one socket; when that end closes, by whatever death, all of
this ends.

A decoder answers one question at a time, within limits that the kernel holds: memory, processor time, no file that
grows, no core dump. What ended it goes back over a second socket: exit status, processor time, memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import resource
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import mlcore.images.viewer_file  # noqa: F401  loaded before the fork, for all decoders at once
from mlcore.images.decoding import jobs, wire
from mlcore.images.decoding.wire import ENDED, KILL, READY, STEP_BACK, UNLIMITED, WANTED

PR_SET_PDEATHSIG = 1
# A file that has used this much processor time is an unusual one, and from then on steps behind everything else.
_USUAL_SECONDS = 0.06
_STEPPED_BACK = 12  # of 19; further back an hour's training on the same machine would let it hardly run at all
# Whoever looks at a page goes before whoever sends a file.
_BEHIND = 3
_TICKS = os.sysconf("SC_CLK_TCK")
_BEGAN_PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)
# After a large image the libraries may keep what they took; another decoder starts small.
_LARGE_KB = 96 * 1024
# Whoever has used this much of what there may be, and failed, wanted more.
_NEARLY = 0.6


class Server:
    """Forks decoders, kills them when asked to, and tells how each ended."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        # By process: the socket on which its end is told.
        self.decoders: dict[int, socket.socket] = {}
        self.watch = selectors.DefaultSelector()
        self.libc = ctypes.CDLL(None, use_errno=True)

    def run(self) -> None:
        """Work until whoever started this process has gone."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.kept = (wake, woken)
        self.watch.register(self.control, selectors.EVENT_READ, 0)
        self.watch.register(wake, selectors.EVENT_READ, -1)
        self.control.sendall(READY)
        while True:
            for key, _ in self.watch.select():
                if key.data == -1:
                    with contextlib.suppress(BlockingIOError):
                        wake.recv(4096)
                elif key.data == 0:
                    if not self._fork():
                        return
                elif key.data in self.decoders:
                    self._hear(key.data, self.decoders[key.data])
            self._reap()

    def _hear(self, number: int, status: socket.socket) -> None:
        """Do what the asking side wants with one decoder; where it has closed its end, the decoder goes."""
        try:
            told = status.recv(64)
        except OSError:
            told = b""
        with contextlib.suppress(ProcessLookupError):
            if not told or KILL in told:
                self._told_no_more(status)
                os.kill(number, signal.SIGKILL)
            elif STEP_BACK in told and _processor_seconds(number) > _USUAL_SECONDS:
                os.setpriority(os.PRIO_PROCESS, number, max(_STEPPED_BACK, _BEGAN_PRIORITY + 1))

    def _told_no_more(self, status: Any) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.watch.unregister(status)

    def _fork(self) -> bool:
        """Start one decoder; False where nobody asks any more."""
        try:
            told, sockets, _, _ = socket.recv_fds(self.control, WANTED.size, 2)
        except ConnectionError:
            return False
        if len(told) < WANTED.size or len(sockets) != 2:
            return False
        channel, status = (socket.socket(fileno=number) for number in sockets)
        number = os.fork()
        if number == 0:
            self._become_decoder(channel, status, *WANTED.unpack(told))
        channel.close()
        self.decoders[number] = status
        self.watch.register(status, selectors.EVENT_READ, number)
        return True

    def _reap(self) -> None:
        for number, status in list(self.decoders.items()):
            try:
                found, ended, used = os.wait4(number, os.WNOHANG)
            except ChildProcessError:
                found, ended, used = number, 0, resource.getrusage(resource.RUSAGE_SELF)
            if found == 0:
                continue
            del self.decoders[number]
            self._told_no_more(status)
            with contextlib.suppress(OSError):
                status.send(ENDED.pack(ended, used.ru_utime + used.ru_stime, used.ru_maxrss))
            status.close()

    def _become_decoder(self, channel: socket.socket, status: socket.socket, *wanted: float) -> NoReturn:
        code = UNLIMITED
        try:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.watch.close()
            for other in (*self.kept, *self.decoders.values(), status, self.control):
                other.close()
            silence()
            memory_mb, seconds, answers = wanted
            limit(memory_mb)
            code = 1
            serve(channel, memory_mb, seconds, int(answers))
            code = 0
        finally:
            os._exit(code)


def _processor_seconds(number: int) -> float:
    """Give what a process has used; of a decoder that is more than of its one file, but it is new soon enough."""
    try:
        words = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / _TICKS


def silence() -> None:
    """Let what the libraries print about a hostile file go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


def limit(memory_mb: float) -> None:
    """Take memory, files and more from this process for good.

    Parameters
    ----------
    memory_mb : float
        What it may take beyond what it has.
    """
    had = {"VmData": 0, "VmSize": 0}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, words = line.partition(":")
        if name in had:
            had[name] = int(words.split()[0]) * 1024
    more = int(memory_mb * 1024 * 1024)
    for what, most in (
        (resource.RLIMIT_DATA, had["VmData"] + more),
        # Also what is mapped, but not written to; a library that is loaded late takes some.
        (resource.RLIMIT_AS, had["VmSize"] + more + 64 * 1024 * 1024),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))
    # Where the machine itself runs out of memory, this is the process to end.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")


def serve(channel: socket.socket, memory_mb: float, seconds: float, answers: int) -> None:
    """Answer questions until nobody asks, or so many are answered.

    Parameters
    ----------
    channel : socket.socket
        Over which they come.
    memory_mb : float
        What this process was limited to.
    seconds : float
        Processor time for one answer; the kernel ends the process that takes more.
    answers : int
        After which another process takes over.
    """
    for left in range(answers - 1, -1, -1):
        question = wire.asked(channel)
        if question is None:
            return
        job, data = question
        del question
        # To the hundredth of a second; the resource limit below counts whole seconds and holds where this does not.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        used = math.ceil(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used, resource.RLIM_INFINITY))
        told = jobs.told(job, data, _BEGAN_KB + _NEARLY * memory_mb * 1024)
        del data
        large = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _LARGE_KB + _BEGAN_KB
        stepped_back = os.getpriority(os.PRIO_PROCESS, 0) > _BEGAN_PRIORITY
        last = left == 0 or large or stepped_back or "memory" in told
        try:
            wire.answer(channel, {**told, "last": last})
        except MemoryError:
            wire.answer(channel, {"memory": True, "last": True})
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        if last:
            return


_BEGAN_KB = 0


def main() -> None:
    """Serve the process at the other end of the socket whose number is the argument."""
    global _BEGAN_KB, _BEGAN_PRIORITY
    # Ctrl-C at the terminal is for whoever started us; this process ends with it, once it has finished what it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs.warm()
    _BEGAN_KB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What is there now is never collected, so that no collection touches, and thereby copies, what all share.
    gc.collect()
    gc.freeze()
    np.seterr(all="ignore")
    _BEGAN_PRIORITY = os.nice(_BEHIND)
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    try:
        server.run()
    finally:
        # The decoders' ends are told to nobody now; their sockets go before the interpreter does.
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in server.decoders:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    main()
