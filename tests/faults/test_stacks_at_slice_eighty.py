"""A stack of 120 images whose worker or web process is killed at the 80th: nothing is lost, nothing is there twice.

``make test`` does the same with a dozen images.
"""

import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.predictions.models import Prediction
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image, Series
from diagnostics.upkeep import series_rows
from tests import processes
from tests.dicom_images import slice_of
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db(transaction=True)
SIDE = 64
SIZES = pytest.mark.parametrize(("images", "at"), [(12, 8), pytest.param(120, 80, marks=pytest.mark.faults)])

# A worker that the kernel kills when the model is about to look at the n-th image.
ANALYSER = """
import os, signal, sys
import django
django.setup()
from diagnostics.predictions import inference
from diagnostics.scans import decoding
left, whole = int(sys.argv[1]), decoding.decode
def counted(*args, **kwargs):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **kwargs)
decoding.decode = counted
inference.run_waiting()
"""

# A web process that the kernel kills at the n-th statement, or while it writes a file, of one upload.
RECEIVER = """
import os, signal, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.db import connection
from diagnostics import pipeline
from diagnostics.scans.models import Institution
from diagnostics.scans.storage import Ahead
what, left = sys.argv[1], int(sys.argv[2])
def counted(act):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*args, **kwargs)
    return wrapped
pipeline.nudge = lambda *args: True
by, place = get_user_model().objects.get(pk=int(sys.argv[3])), Institution.objects.get(pk=sys.argv[4])
data = open(sys.argv[5], "rb").read()
if what == "file":
    Ahead.put = counted(Ahead.put)
    pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")
else:
    with connection.execute_wrapper(counted(lambda execute, *args: execute(*args))):
        pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")
"""


@pytest.fixture
def door(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    return by, place


def send(door, n):
    by, place = door
    return pipeline.submit_scan(by=by, institution=place, data=slice_of(n, side=SIDE), patient="P-1")


def run(program, *arguments, **more):
    """A program in a process of its own; its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=processes.ROOT, env=processes.environment(DJANGO_SETTINGS_MODULE="portal.settings", **more),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    close_old_connections()
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


def close():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    assert closing.close_due() == 1


@SIZES
def test_worker_killed_while_it_analyses_a_stack_leaves_one_opinion_of_all_of_it(door, images, at):
    for n in range(images):
        send(door, n)
    close()
    assert run(ANALYSER, at) == -signal.SIGKILL
    row = Prediction.objects.get()
    assert (row.state, row.attempts, row.profile) == ("running", 1, None)
    assert run(ANALYSER, 10_000) == 0
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("running", 1), "its lease has not ended yet"
    Prediction.objects.update(lease_until=timezone.now())
    assert run(ANALYSER, 10_000) == 0
    row.refresh_from_db()
    assert row.state == "ready" and len(row.profile) == images and Prediction.objects.count() == 1
    assert AuditEvent.objects.filter(act="prediction_ready").count() == Case.objects.count() == 1


@SIZES
@pytest.mark.parametrize(("what", "after"), [("file", 0), ("file", 1), ("statement", 4), ("statement", 9)])
def test_web_process_killed_in_an_upload_leaves_the_images_before_it(door, tmp_path, images, at, what, after):
    by, place = door
    for n in range(at):
        send(door, n)
    file = tmp_path / "image"
    file.write_bytes(slice_of(at, side=SIDE))
    assert run(RECEIVER, what, after, by.pk, place.pk, file) == -signal.SIGKILL
    # Either the image came whole, or nothing of it did.
    assert Image.objects.count() == Scan.objects.get().image_count in (at, at + 1)
    for n in range(images):
        send(door, n)
    close()
    scan = Scan.objects.get()
    assert (scan.image_count, scan.arrival) == (images, "complete")
    assert list(scan.images.order_by("index").values_list("index", flat=True)) == list(range(images))
    assert list(series_rows.contradictions(repair=False)) == []


@SIZES
def test_series_that_never_ends_is_closed_all_the_same(door, settings, images, at):
    settings.SERIES_QUIET_SECONDS, settings.SERIES_LONGEST_SECONDS = 60, 0.5
    closed = 0
    for n in range(images):
        send(door, n)
        if n in (at, images - 1):
            time.sleep(0.6)
            closed += closing.close_due()
    scan = Scan.objects.get()
    assert closed == 2 and (scan.arrival, scan.revision) == ("complete", 2)
    assert scan.image_count == images == scan.images.exclude(index=None).count()
    assert scan.images.filter(revision=1).count() == at + 1
    assert Case.objects.count() == 1
    assert list(series_rows.contradictions(repair=False)) == []
