"""Notices when the `make` that started us was told to stop and did not pass it on."""

import asyncio
import os
import re
import signal
from pathlib import Path


async def make_is_done() -> None:
    """Return when the ``make`` above us has ended or was interrupted; never, where we do not run under one.

    At a terminal Ctrl-C reaches us directly. A signal to make's process alone does not: make keeps an interrupt to
    itself and waits for us. While it does, it no longer catches the signal, which Linux tells in /proc.
    """
    parent = os.getppid()
    if "MAKELEVEL" not in os.environ or not _catches_interrupt(parent):
        await asyncio.Event().wait()
    while os.getppid() == parent and _catches_interrupt(parent):
        await asyncio.sleep(0.5)


def _catches_interrupt(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(caught and int(caught[1], 16) & 1 << (signal.SIGINT - 1))
