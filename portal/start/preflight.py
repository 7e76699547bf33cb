"""What may stand in the way of a start, each found before anything runs and told in a sentence."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

from portal.start.refusal import Refusal


def port_from(text: str) -> int:
    """The port to listen at."""
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Refusal(f"PORT is {text!r}, which is not a port: choose a number from 1 to 65535.")
    return int(text)


def check_port(port: int, address: str = "127.0.0.1") -> None:
    """Refuse a port that somebody else listens at, or that this person may not use."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except PermissionError:
            raise Refusal(f"Port {port} is reserved for the system: choose one above 1023, PORT=8001 say.") from None
        except OSError as error:
            raise Refusal(
                f"Port {port} is busy ({error.strerror}): stop what uses it or choose another, "
                f"`make run PORT={port + 1}` say."
            ) from None


def check_folder(folder: Path) -> None:
    """Make the data folder, closed to other people, or refuse one that cannot be written to."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Refusal(
            f"The data folder {folder} cannot be written to ({error.strerror}): "
            "make it writable or choose another with OVERREAD_DATA."
        ) from None


def only_one(folder: Path) -> IO[str]:
    """Hold the data folder for this start; a second one in the same folder is refused. Keep what is returned."""
    held = (folder / "running").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.seek(0)
        number = held.read().strip()
        held.close()
        raise Refusal(
            f"Overread is already running with the data folder {folder} (process {number}): "
            "stop that one or choose another folder with OVERREAD_DATA."
        ) from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    # Inherited by no child: the folder is free again as soon as this process ends.
    os.set_inheritable(held.fileno(), False)
    return held
