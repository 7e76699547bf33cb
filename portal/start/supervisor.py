"""Keeps the processes of one machine: starts them in order, passes on what they say, restarts what dies, stops all.

The supervisor is the only process at the terminal. Each process is a group of its own, so that Ctrl-C reaches the
supervisor alone and the broker can be the last to go. Should the supervisor be killed, the kernel stops them (Linux).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from portal.start.refusal import Refusal

COLOURS = (36, 32, 33, 35, 34, 31)
LONG_ENOUGH = 20.0  # seconds after which a process counts as having worked
LONG_WAIT = 60.0  # seconds that the next process waits for the one before it
PATIENCE = 5  # starts in a row, each too short, after which the supervisor gives up
PR_SET_PDEATHSIG = 1
# Loaded here, because between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(kw_only=True)
class Program:
    """One process to keep: ``stage`` orders starts (ascending) and stops (descending).

    ``answers`` tells when it is up; lines that contain ``unsaid`` are not passed on.
    """

    name: str
    command: list[str]
    stage: int
    stop_seconds: float = 10.0
    environment: dict[str, str] = field(default_factory=dict)
    answers: Callable[[], Awaitable[bool]] | None = None
    unsaid: str = ""


def _die_with_supervisor() -> None:
    """In the child: be killed when the supervisor is, so that nothing is left behind."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Terminal:
    """Writes whole lines, each with the name of who said it."""

    def __init__(self, names: list[str]) -> None:
        self.width = max(len(name) for name in names)
        self.colour = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.gone = asyncio.Event()

    def say(self, name: str, line: str) -> None:
        label = f"{name:<{self.width}} |"
        if self.coloured:
            label = f"\033[{self.colour.get(name, 37)}m{label}\033[0m"
        try:
            print(label, line, flush=True)
        except (BrokenPipeError, OSError):
            # Whoever read us has gone away: nobody is left to press Ctrl-C either.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.gone.set()


class Supervisor:
    """Runs the programs until it is told to stop or until one of them cannot be kept alive."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = sorted(programs, key=lambda program: program.stage)
        self.terminal = Terminal(["overread", *(program.name for program in self.programs)])
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.stopping = asyncio.Event()
        self.in_a_hurry = asyncio.Event()
        self.refusal: Refusal | None = None

    def say(self, line: str) -> None:
        self.terminal.say("overread", line)

    def stop(self) -> None:
        """Asked once: stop in order. Asked again: at once."""
        if self.stopping.is_set():
            self.in_a_hurry.set()
        else:
            self.say("stopping (again for: at once)")
            self.stopping.set()

    def heed_signals(self) -> None:
        """Let SIGINT, SIGTERM and SIGHUP stop the running loop's programs; only the main thread may."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)

    async def run(self, ready: Callable[[], Awaitable[None]], until: Callable[[], Awaitable[None]]) -> None:
        """Start everything, call ``ready`` when all answer, and return when everything has ended.

        Stops when ``stop`` is called, when ``until`` returns, and when nobody reads the terminal any more.

        Raises the Refusal of a program that does not stay up.
        """
        watches = [asyncio.create_task(self._stop_after(end)) for end in (self.terminal.gone.wait, until)]
        keepers: list[asyncio.Task[None]] = []
        try:
            for program in self.programs:
                if self.stopping.is_set():
                    break
                keepers.append(asyncio.create_task(self._keep(program)))
                await self._until_it_answers(program)
            if not self.stopping.is_set():
                await ready()
            await self.stopping.wait()
        finally:
            self.stopping.set()
            for stage in sorted({program.stage for program in self.programs}, reverse=True):
                await asyncio.gather(*(self._end(p) for p in self.programs if p.stage == stage))
            await asyncio.gather(*keepers)
            for watch in watches:
                watch.cancel()
        if self.refusal:
            raise self.refusal

    async def _stop_after(self, end: Callable[[], Awaitable[object]]) -> None:
        await end()
        if not self.stopping.is_set():
            self.stop()

    async def _until_it_answers(self, program: Program) -> None:
        until = time.monotonic() + LONG_WAIT
        while program.answers and not self.stopping.is_set() and not await program.answers():
            await asyncio.sleep(0.1)
            if time.monotonic() > until:
                self.say(f"{program.name} does not answer yet: its lines above may say why; going on without it")
                return

    async def _keep(self, program: Program) -> None:
        """Run one program again and again until the supervisor stops."""
        too_short = 0
        while not self.stopping.is_set():
            begun = time.monotonic()
            code = await self.once(program.name, program.command, program.environment, program.unsaid)
            if self.stopping.is_set():
                return
            too_short = 0 if time.monotonic() - begun > LONG_ENOUGH else too_short + 1
            if too_short >= PATIENCE:
                self.refusal = Refusal(
                    f"The process `{program.name}` ended {PATIENCE} times in a row (last code {code}): "
                    "its last lines above say why."
                )
                self.stopping.set()
                return
            pause = 0.5 * 2**too_short
            self.say(f"{program.name} ended (code {code}); starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)

    async def once(
        self, name: str, command: list[str], environment: dict[str, str] | None = None, unsaid: str = ""
    ) -> int:
        """Run one process to its end, passing on what it says; gives its exit code."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            process_group=0,
            preexec_fn=_die_with_supervisor,
        )
        self.running[name] = process
        speaking = asyncio.create_task(self._pass_on(name, process, unsaid))
        code = await process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # children that outlived it
        await asyncio.wait([speaking], timeout=2)
        speaking.cancel()
        del self.running[name]
        return code

    async def _pass_on(self, name: str, process: asyncio.subprocess.Process, unsaid: str) -> None:
        """Pass on what a process says, line by line, however long its lines are."""
        assert process.stdout is not None
        rest = b""
        while heard := await process.stdout.read(65536):
            *lines, rest = (rest + heard).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").rstrip("\r")
                if not unsaid or unsaid not in text:
                    self.terminal.say(name, text)
        if rest:
            self.terminal.say(name, rest.decode(errors="replace"))

    async def _end(self, program: Program) -> None:
        """Ask a process to end; kill its group when its time is up or someone is in a hurry."""
        process = self.running.get(program.name)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(self.in_a_hurry.wait())
        await asyncio.wait([ended, hurried], timeout=program.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            self.say(f"{program.name} did not end in time and is killed; its work goes on at the next start")
            _signal_group(process.pid, signal.SIGKILL)
            await ended


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
