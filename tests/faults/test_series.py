"""Series under fire: workers killed while closing one, doors and closers at once, a full disk."""

import errno
import os
import random
import signal
import subprocess
import sys

import pytest
from django.core.files.storage import default_storage
from django.db import close_old_connections
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.disk import StorageFull
from diagnostics.predictions.models import Prediction
from diagnostics.scans import frames
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image, Series
from diagnostics.scans.storage import DurableFileSystemStorage
from diagnostics.upkeep import series_rows
from tests import processes
from tests.diagnostics.test_registry import at_once
from tests.dicom_images import frames_of, slice_of, uid
from tests.factories import InstitutionFactory, live_model, person

pytestmark = pytest.mark.django_db(transaction=True)
SEED = int(os.environ.get("OVERREAD_TEST_SEED", "7"))
SIDE = 32

# A worker that is killed, by the kernel, at the n-th statement it sends or the n-th file it writes.
CLOSER = """
import os, signal, sys
import django
django.setup()
from django.core.files.storage import default_storage
from django.db import connection
from diagnostics import closing
what, left = sys.argv[1], int(sys.argv[2])
def counted(act):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*args, **kwargs)
    return wrapped
if what == "statement":
    with connection.execute_wrapper(counted(lambda execute, *args: execute(*args))):
        print(closing.close_due())
else:
    default_storage.location  # made at its first use
    kind = type(default_storage._wrapped)
    kind._save = counted(kind._save)
    print(closing.close_due())
"""


@pytest.fixture
def send(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    live_model()
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    return lambda data: pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")


def due():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())


def closer(what, after):
    """Closes what is due in a process of its own, killed after so many of ``what``; its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSER, what, str(after)],
        cwd=processes.ROOT, env=processes.environment(DJANGO_SETTINGS_MODULE="portal.settings"),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    close_old_connections()
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


def assert_whole(count, revision=1):
    """One series, one stack of so many images in order, each with its files; analysed and read as one."""
    scan = Scan.objects.get()
    assert Series.objects.get().arrival == scan.arrival == "complete"
    assert (scan.image_count, scan.revision) == (count, revision)
    assert list(scan.images.values_list("index", flat=True)) == list(range(count))
    positions = list(scan.images.values_list("position", flat=True))
    assert positions == sorted(positions) and len(set(positions)) == count
    for image in scan.images.all():
        assert image.pixels and default_storage.exists(image.pixels) and default_storage.exists(image.preview)
    assert Case.objects.get().scan == scan
    assert sorted(Prediction.objects.values_list("scan_revision", flat=True)) == list(range(1, revision + 1))
    assert list(series_rows.contradictions(repair=False)) == []


def killed_while_closing(send, images, kills):
    for n in random.Random(SEED).sample(range(images), images):
        send(slice_of(n, side=SIDE))
    due()
    for after in sorted(random.Random(SEED).sample(range(1, 28), kills)):
        assert closer("statement", after) == -signal.SIGKILL, f"it was done before statement {after}"
        scan = Scan.objects.get()
        assert (scan.arrival, scan.image_count, scan.images.filter(index=None).count()) == ("arriving", images, images)
        assert not Case.objects.exists() and not Prediction.objects.exists()
    assert closer("statement", 10_000) == 0
    assert_whole(images)
    assert AuditEvent.objects.filter(act="series_closed").count() == 1


def test_worker_killed_while_closing_leaves_the_series_as_it_was(send):
    killed_while_closing(send, images=12, kills=2)


@pytest.mark.faults
def test_worker_killed_while_closing_two_hundred_images_leaves_them_as_they_were(send):
    killed_while_closing(send, images=200, kills=8)


def killed_among_frames(send, count, at):
    send(frames_of(count))
    due()
    assert closer("file", 2 * at) == -signal.SIGKILL
    taken = Image.objects.exclude(pixels="").count()
    # The first was taken out at the door; of the one at which it ended, both files or none are named.
    assert at <= taken <= at + 1 < count and Scan.objects.get().arrival == "arriving"
    assert closer("file", 10_000) == 0
    assert_whole(count)


def test_worker_killed_among_frames_goes_on_with_those_that_are_left(send):
    killed_among_frames(send, count=12, at=5)


@pytest.mark.faults
def test_worker_killed_at_frame_eighty_goes_on_with_those_that_are_left(send):
    killed_among_frames(send, count=120, at=80)


def many_doors(send, images, doors):
    chance = random.Random(SEED)
    order = [*range(images)] * 2
    chance.shuffle(order)
    files = [slice_of(n, side=SIDE) for n in range(images)]
    answers = at_once(*[lambda door=door: [send(files[n]) for n in order[door::doors]] for door in range(doors)])
    failed = [each for each in answers if isinstance(each, Exception)]
    assert failed == []
    sent = [each for some in answers for each in some]
    assert len(sent) == 2 * images and sum(each.created for each in sent) == images
    assert len({each.scan.pk for each in sent}) == 1
    due()
    assert closing.close_due() == 1
    assert_whole(images)


def test_many_doors_sending_each_image_twice_fill_one_stack(send):
    many_doors(send, images=24, doors=6)


@pytest.mark.faults
def test_twenty_doors_sending_two_hundred_images_twice_fill_one_stack(send):
    many_doors(send, images=200, doors=20)


def test_two_closers_at_once_close_it_once(send):
    for n in range(8):
        send(slice_of(n, side=SIDE))
    due()
    answers = at_once(*[closing.close_due] * 4)
    assert sum(answers) == 1, answers
    assert_whole(8)
    assert AuditEvent.objects.filter(act="series_closed").count() == 1


def test_closers_at_once_take_frames_out_once_each(send):
    send(frames_of(9))
    due()
    answers = at_once(*[closing.close_due] * 3)
    assert sum(answers) == 1, answers
    assert_whole(9)


@pytest.mark.parametrize("late", range(6))
def test_image_that_comes_at_the_instant_of_closing_is_in_the_stack(send, late):
    for n in range(6):
        if n != late:
            send(slice_of(n, side=SIDE))
    due()
    answers = at_once(lambda: send(slice_of(late, side=SIDE)), closing.close_due)
    assert not [each for each in answers if isinstance(each, Exception)], answers
    due()
    closing.close_due()
    assert_whole(6, revision=Scan.objects.get().revision)


@pytest.mark.parametrize(("images", "at"), [(12, 8), pytest.param(120, 80, marks=pytest.mark.faults)])
def test_disk_that_fills_up_in_the_middle_keeps_what_came_before(send, monkeypatch, images, at):
    whole = DurableFileSystemStorage.write_ahead
    room = {"left": 3 * at}

    def until_full(self, name, content):
        room["left"] -= 1
        if room["left"] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, name, content)

    monkeypatch.setattr(DurableFileSystemStorage, "write_ahead", until_full)
    for n in range(at):
        send(slice_of(n, side=SIDE))
    with pytest.raises(StorageFull):
        send(slice_of(at, side=SIDE))
    assert Image.objects.count() == Scan.objects.get().image_count == at
    room["left"] = 1000
    for n in range(images):
        send(slice_of(n, side=SIDE))
    due()
    closing.close_due()
    assert_whole(images)


def test_series_that_cannot_be_closed_keeps_no_other_waiting(send):
    send(frames_of(6))
    broken = Series.objects.get()
    default_storage.delete(Image.objects.first().original)
    for n in range(3):
        send(slice_of(n, side=SIDE, study="later", sop=uid("later", n)))
    due()
    with pytest.raises(FileNotFoundError):
        closing.close_due()
    assert dict(Series.objects.values_list("pk", "arrival")).pop(broken.pk) == "arriving"
    assert Series.objects.exclude(pk=broken.pk).get().arrival == "complete"
    assert not closing.anything_due() and frames.AT_ONCE
