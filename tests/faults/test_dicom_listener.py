"""The DICOM listener, a process of its own, under fire: killed in the middle of a series, stopped, overloaded."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import close_old_connections

from diagnostics import closing
from diagnostics.models import Case, Image, Scan, Series
from diagnostics.upkeep import series_rows
from portal.start.programs import manage
from tests import processes
from tests.dicom_images import slice_of
from tests.dicom_network import dcmtk, folder_of, free_port, needs, peer_of
from tests.factories import live_model

pytestmark = pytest.mark.django_db(transaction=True)
SIDE = 32


class Listening:
    """A listener in a process of its own; ``kill()`` takes it away."""

    def __init__(self, port: int, **more: str) -> None:
        self.port = port
        self.more = more
        self.log = tempfile.NamedTemporaryFile(prefix="listener-", dir=settings.DATA_DIR)  # noqa: SIM115

    def __enter__(self) -> "Listening":
        self.process = subprocess.Popen(
            [*manage("dicom_listener"), "--port", str(self.port), "--bind", "127.0.0.1"],
            cwd=processes.ROOT, env=processes.environment(**self.more), stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        processes.wait(lambda: "dicom_listener_started" in self.output(), 60, "the listener did not start")
        return self

    def output(self) -> str:
        return Path(self.log.name).read_text()

    def kill(self) -> None:
        """Kill -9 of it and of what decodes for it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            processes.stop(self.process)
        self.log.close()


def count() -> int:
    close_old_connections()
    return Image.objects.count()


def killed_in_the_middle(tmp_path, images, kills):
    live_model()
    peer_of()
    files = folder_of(tmp_path, [slice_of(n, side=SIDE) for n in range(images)])
    port = free_port()
    for turn in range(1, kills + 1):
        with Listening(port) as listener:
            sending = subprocess.Popen(
                ["storescu", "-aet", "SCANNER", "-aec", "OVERREAD", "+sd", "127.0.0.1", str(port), str(files)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wanted = images * turn // (kills + 1)
            processes.wait(lambda wanted=wanted: count() >= wanted, 120, f"{wanted} images had not come")
            listener.kill()
            assert sending.wait(60) != 0, "the sender did not notice"
        assert wanted <= count() < images
    with Listening(port) as listener:
        # What was answered with success before is sent again too, and is there once.
        sent = dcmtk("storescu", port, "+sd", files)
        assert sent.returncode == 0 and sent.stdout.count("Store Response (Success)") == images, sent.stdout[-2000:]
    assert count() == images and Scan.objects.get().image_count == images
    Series.objects.update(close_at=Series.objects.get().created_at)
    assert closing.close_due() == 1
    scan = Scan.objects.get()
    assert list(scan.images.values_list("index", flat=True)) == list(range(images))
    assert Case.objects.get().scan == scan and list(series_rows.contradictions(repair=False)) == []
    assert all(default_storage.exists(image.original) for image in scan.images.all())


@needs("storescu")
def test_listener_killed_among_twenty_instances_loses_none_and_has_none_twice(tmp_path):
    killed_in_the_middle(tmp_path, images=20, kills=1)


@needs("storescu")
@pytest.mark.faults
def test_listener_killed_among_two_hundred_instances_loses_none_and_has_none_twice(tmp_path):
    killed_in_the_middle(tmp_path, images=200, kills=3)


@needs("storescu")
def test_listener_that_is_told_to_stop_ends_by_itself_and_answers_what_it_has_begun(tmp_path):
    peer_of()
    files = folder_of(tmp_path, [slice_of(n, side=SIDE) for n in range(60)])
    port = free_port()
    with Listening(port) as listener:
        sending = subprocess.Popen(
            ["storescu", "-v", "-aet", "SCANNER", "-aec", "OVERREAD", "+sd", "127.0.0.1", str(port), str(files)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        processes.wait(lambda: count() >= 5, 60, "nothing came")
        listener.process.terminate()
        assert listener.process.wait(20) == 0
        said = sending.communicate(timeout=60)[0]
        assert "dicom_listener_stopped" in listener.output() and "Traceback" not in listener.output()
    # Whatever was answered with success is here; one more may be whose answer was cut off.
    assert 0 <= count() - said.count("Store Response (Success)") <= 1


@needs("storescu")
@pytest.mark.faults
def test_overload_refuses_and_a_second_try_brings_the_rest(tmp_path):
    peer_of()
    files = folder_of(tmp_path, [slice_of(n, side=SIDE) for n in range(60)])
    port = free_port()
    with Listening(port, OVERREAD_DECODING_PROCESSES="1", OVERREAD_DICOM_WAIT_SECONDS="0.01"):
        command = ["storescu", "-v", "-nh", "-aet", "SCANNER", "-aec", "OVERREAD", "+sd", "127.0.0.1", str(port)]
        senders = [
            subprocess.Popen([*command, str(files)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(6)
        ]
        said = "".join(each.communicate(timeout=200)[0] for each in senders)
        assert "Refused: OutOfResources" in said, said[-2000:]
        until = time.monotonic() + 60
        while dcmtk("storescu", port, "+sd", files).returncode != 0 and time.monotonic() < until:
            pass
    assert count() == 60 and Scan.objects.get().image_count == 60


def test_listener_at_a_port_that_is_taken_says_so(tmp_path):
    peer_of()
    with Listening(free_port()) as first:
        second = subprocess.run(
            [*manage("dicom_listener"), "--port", str(first.port)],
            cwd=processes.ROOT, env=processes.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert second.returncode == 1 and "cannot be listened at" in second.stderr and "Traceback" not in second.stderr


def test_probe_tells_whether_the_listener_answers():
    port = free_port()
    command = [sys.executable, "-m", "portal.start.probe", "dicom"]
    environment = processes.environment(OVERREAD_DICOM_PORT=str(port))
    with Listening(port) as listener:
        assert subprocess.run(command, cwd=processes.ROOT, env=environment, timeout=60).returncode == 0
        assert "refused" not in listener.output()
    assert subprocess.run(command, cwd=processes.ROOT, env=environment, timeout=60).returncode == 1
