"""DICOM over the network for tests: a listener, peers, and dcmtk's programs where this machine has them."""

import contextlib
import shutil
import socket
import subprocess

import pytest

from diagnostics.listening.server import Listener
from diagnostics.models import DicomPeer
from diagnostics.scans.access import Role
from tests.factories import InstitutionFactory, person


def needs(*programs):
    """Skip a test where dcmtk is missing, and say so."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} of dcmtk is missing: apt install dcmtk")


def peer_of(institution=None, **fields):
    """A peer at this machine that may send, unless ``fields`` say otherwise."""
    place = institution or InstitutionFactory()
    wanted = {"name": "Scanner", "ae_title": "SCANNER", "addresses": "127.0.0.1", "institution": place, **fields}
    wanted.setdefault("account", person(Role.TECHNOLOGIST, place))
    return DicomPeer.objects.create(**wanted)


@contextlib.contextmanager
def listening():
    """A listener in this process, on a port of its own."""
    listener = Listener("127.0.0.1", 0)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(seconds=3)


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def dcmtk(program, port, *more, calling="SCANNER", called="OVERREAD", timeout=120):
    """Run one of dcmtk's clients against a port of this machine; the finished process, with all that it said."""
    return subprocess.run(
        [program, "-v", "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, more)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
    )  # fmt: skip


def folder_of(tmp_path, files):
    """Write files into a folder, and give its path."""
    folder = tmp_path / "sent"
    folder.mkdir(exist_ok=True)
    for n, data in enumerate(files):
        (folder / f"{n:04}.dcm").write_bytes(data)
    return folder
