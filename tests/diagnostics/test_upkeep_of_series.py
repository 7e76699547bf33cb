"""``fsck`` and ``backup`` on series: each image's files, objects kept beside them, rows that contradict themselves."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.scans.access import Role
from diagnostics.scans.arrival import SameInstanceOtherContent
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image, KeptInstance, QuarantinedFile, Series
from diagnostics.upkeep import integrity
from tests.diagnostics.test_upkeep import NOW, at_another_place, found, own_files, spoil  # noqa: F401  a fixture
from tests.dicom_images import frames_of, slice_of, uid
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db(transaction=True)
SHOT = {"series": "shots", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}


@pytest.fixture
def send():
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    return lambda data: pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")


def closed():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    closing.close_due()


def told(**options):
    return [(fault.what, fault.key, fault.whose) for fault in integrity.faults(young=NOW, **options)]


@pytest.fixture
def stocked(send):
    """A stack of four files, one file of six frames, a screenshot, a file in quarantine."""
    for n in range(4):
        send(slice_of(n, series="flat"))
    send(frames_of(6))
    send(slice_of(20, **SHOT))
    with pytest.raises(SameInstanceOtherContent):
        send(slice_of(99, sop=uid("study", "flat", "image", 1)))
    closed()
    return send


def test_whole_series_have_no_faults(stocked):
    assert Image.objects.count() == 10 and KeptInstance.objects.count() == QuarantinedFile.objects.count() == 1
    tally = integrity.Tally()
    assert list(integrity.faults(young=NOW, tally=tally)) == []
    # Four originals with two files each, one original with six times two, the screenshot, the one in quarantine.
    assert tally.files == 4 * 3 + 1 + 6 * 2 + 2


def test_files_of_single_images_and_frames_are_made_anew(stocked):
    many = Image.objects.filter(frame=5).get()
    lone = Image.objects.exclude(original=many.original).order_by("index").first()
    assert Image.objects.filter(original=many.original).count() == 6
    spoil("default", many.pixels)
    storages["default"].delete(many.preview)
    spoil("default", lone.preview)
    planted = {("corrupt", "pixels", many.pixels), ("missing", "preview", many.preview)}
    planted.add(("corrupt", "preview", lone.preview))
    assert found() == planted
    found(repair=True)
    assert found() == set()


def test_original_of_many_frames_that_is_gone_is_told_once(stocked):
    key = Image.objects.filter(frame=5).get().original
    storages["default"].delete(key)
    assert found(repair=True) == {("missing", "original", key)}


def test_files_kept_beside_images_are_held_against_their_hash(stocked):
    kept, quarantined = KeptInstance.objects.get(), QuarantinedFile.objects.get()
    spoil("default", kept.original)
    storages["default"].delete(quarantined.original)
    assert found(repair=True) == {
        ("corrupt", "original", kept.original), ("missing", "original", quarantined.original)
    }  # fmt: skip


def test_wrong_count_of_images_is_told_and_counted_again(stocked):
    scan = Scan.objects.filter(image_count=4).get()
    Scan.objects.filter(pk=scan.pk).update(image_count=7)
    assert told(repair=True) == [("images", "7 said, 4 there", f"scan {scan.pk}")]
    assert told() == [] and Scan.objects.get(pk=scan.pk).image_count == 4


def test_late_images_that_wait_for_closing_are_no_contradiction(stocked):
    stocked(slice_of(4, series="flat"))
    assert told() == []


def test_gap_in_the_numbers_of_a_closed_stack_is_told(stocked):
    scan = Scan.objects.filter(image_count=4).get()
    scan.images.filter(index=3).update(index=9)
    assert told() == [("images", "4 in order, the last is number 9", f"scan {scan.pk}")]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda scan: scan.images.filter(index=3).update(index=None), "closed, but images without a number"),
        (lambda scan: scan.images.filter(index=3).update(pixels=""), "closed, but frames that were not taken out"),
        (lambda scan: Scan.objects.filter(pk=scan.pk).update(arrival="arriving"), "closed, but still arriving"),
    ],
)
def test_what_waits_in_a_closed_series_is_given_to_its_closing_again(stocked, harm, words):
    scan = Scan.objects.filter(image_count=4).get()
    harm(scan)
    assert ("series", words, f"scan {scan.pk}") in told(repair=True)
    closing.close_due()
    assert not [fault for fault in told() if fault[0] != "file"]


def test_series_that_nobody_closes_is_told(send):
    send(slice_of(0))
    series = Series.objects.get()
    assert told() == []
    Series.objects.update(close_at=timezone.now() - timedelta(days=2), created_at=timezone.now() - timedelta(days=2))
    ((what, words, whose),) = told(repair=True)
    assert (what, whose) == ("series", f"series {series.pk}") and words.startswith("arriving since 2")


def test_scan_without_images_and_one_with_files_of_another_are_told(stocked):
    first, second = Scan.objects.filter(image_count=4).get(), Scan.objects.filter(image_count=6).get()
    Scan.objects.filter(pk=first.pk).update(original=second.original)
    assert told() == [("images", f"{second.original} is of none of them", f"scan {first.pk}")]
    first.images.all().delete()
    assert ("images", "none", f"scan {first.pk}") in told()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="backs up the embedded database")
def test_backup_brings_back_every_file_of_a_series(stocked, tmp_path):
    call_command("backup", tmp_path / "copy", stdout=io.StringIO())
    contents = json.loads((tmp_path / "copy" / "backup.json").read_text())
    assert contents["missing"] == [] and contents["files"] == 4 * 3 + 1 + 6 * 2 + 2
    assert contents["tables"]["diagnostics_image"] == 10
    done = at_another_place(tmp_path / "elsewhere", "restore", str(tmp_path / "copy"))
    assert done.returncode == 0 and " 0 faults" in done.stdout, done.stdout + done.stderr
    copied = {path.read_bytes() for path in Path(tmp_path / "copy" / "files").rglob("*") if path.is_file()}
    for image in Image.objects.all():
        for key in (image.pixels, image.preview):
            with storages["default"].open(key) as file:
                assert file.read() in copied
