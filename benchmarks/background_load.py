"""A process that works beside what is measured, stopped and let go by signals."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType

from django.conf import settings


class BackgroundLoad:
    """Runs ``code`` in a process of its own, from its line ``ready`` on in turns: asleep, and awake for a measure."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __enter__(self) -> "BackgroundLoad":
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._code], env=dict(os.environ), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "ready\n":
                break
        else:
            raise RuntimeError("What was to work beside the measure has ended; its words stand above.")
        self._stop()
        return self

    def awake(self, measured: Callable[[], float]) -> float:
        """What ``measured`` gives while the other works."""
        self._tell(signal.SIGCONT)
        time.sleep(0.5)
        try:
            return measured()
        finally:
            assert self.process.poll() is None, "what was to work beside the measure has ended"
            self._stop()

    def _stop(self) -> None:
        """Put it to sleep, but not in the middle of a transaction: nobody else could write until it wakes."""
        self._tell(signal.SIGSTOP)
        while _somebody_writes():
            self._tell(signal.SIGCONT)
            time.sleep(0.01)
            self._tell(signal.SIGSTOP)

    def _tell(self, word: signal.Signals) -> None:
        os.kill(self.process.pid, word)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def _somebody_writes() -> bool:
    """Whether a process holds the database of the measure for writing."""
    connection = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=0.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False
