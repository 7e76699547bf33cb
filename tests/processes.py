"""Real processes for tests: a broker on a private socket, Celery workers, the system's Chromium."""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import redis
from django.conf import settings
from django.db import connection

from portal.start.broker import command as broker_command
from portal.start.programs import worker
from tests import servers

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def chromium() -> str | None:
    """The path of a Chromium: the one named, the system's, or the one that Playwright downloaded."""
    named = os.environ.get("OVERREAD_CHROMIUM")
    if named:
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    downloaded = sorted(Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*/chrome"))
    return str(downloaded[-1]) if downloaded else None


def client(address: str) -> redis.Redis:
    return redis.Redis.from_url(address.replace("redis+socket://", "unix://"), socket_timeout=5)


def empty(address: str) -> None:
    """Forget every message of this test run's broker, whatever lay in it."""
    with client(address) as connected:
        servers.empty(connected)


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """An embedded broker where ``portal.settings`` looks for it, stopped at the end."""
    process = subprocess.Popen(broker_command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = settings.CELERY_BROKER_URL
    try:
        wait(lambda: answers(address), 20, "the broker did not answer")
        yield address
    finally:
        stop(process)


def answers(address: str) -> bool:
    try:
        with client(address) as connected:
            return bool(connected.ping())
    except redis.RedisError:
        return False


def wait(happened, seconds: float, otherwise: str) -> None:  # type: ignore[no-untyped-def]
    """Ask again until it is so; fail with the sentence where it never is."""
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            raise AssertionError(f"{otherwise} within {seconds:g} s")
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def database_url() -> str:
    """The address of the database that this test uses, for a process of its own."""
    now = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{now['NAME']}"
    person = f"{now['USER']}:{now['PASSWORD']}" if now["PASSWORD"] else now["USER"]
    return f"postgres://{person}@{now['HOST']}:{now['PORT'] or 5432}/{now['NAME']}"


def environment(**more: str) -> dict[str, str]:
    """The environment in which a process of its own works on this test's database, files and broker."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return {**inherited, "DATABASE_URL": database_url(), **more}


_NUMBERS = itertools.count()  # so that two workers of one queue have names of their own


class Worker:
    """A Celery worker in its own process group, with ``kill()`` for tests that take it away.

    What it wrote is in ``output()``; it is ready when the ``with`` block is entered.
    """

    def __init__(self, queue: str, **more: str) -> None:
        self.queue = queue
        self.more = more
        self.log = tempfile.NamedTemporaryFile(prefix=f"worker-{queue}-", dir=settings.DATA_DIR)  # noqa: SIM115

    def __enter__(self) -> "Worker":
        self.process = subprocess.Popen(
            [*worker(self.queue), "-n", f"{self.queue}-{os.getpid()}-{next(_NUMBERS)}@%h"],
            cwd=ROOT, env=environment(**self.more), stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait(self.is_ready, 60, f"the worker of queue {self.queue} was not ready")
        except AssertionError as error:
            self.kill()
            said = self.output()
            self.log.close()
            raise AssertionError(f"{error}:\n{said}") from None
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended at once (code {self.process.returncode})")
        return " ready." in self.output()

    def output(self) -> str:
        return Path(self.log.name).read_text()

    def kill(self) -> None:
        """Kill -9 of the whole group, children included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self.process)
        self.kill()
        self.log.close()
