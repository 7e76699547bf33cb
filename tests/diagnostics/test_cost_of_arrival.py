"""An image costs the same at the door however many of its series are here already."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan, Study
from diagnostics.scans.series import Image, Series
from tests.diagnostics.test_at_a_million_rows import sqlite_only, steps
from tests.dicom_images import frames_of, slice_of
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    return lambda n: pipeline.submit_scan(by=by, institution=place, data=slice_of(n, side=32), patient="P-1")


def test_image_asks_as_many_questions_as_the_one_before(send):
    counts = []
    for n in range(25):
        with CaptureQueriesContext(connection) as asked:
            send(n)
        counts.append(len(asked))
    assert len(set(counts[1:])) == 1, counts
    assert Scan.objects.get().image_count == 25


@sqlite_only
def test_image_takes_as_many_steps_with_eight_times_as_many_here(send):
    for n in range(10):
        send(n)
    few = steps(lambda: send(10))
    for n in range(11, 80):
        send(n)
    many = steps(lambda: send(80))
    assert many <= 1.3 * few + 2, (few, many)


@sqlite_only
def test_image_takes_as_many_steps_where_thousands_of_others_are(send):
    send(0)
    scan = Scan.objects.get()
    few = steps(lambda: send(1))
    shared = {"institution": scan.institution, "scan": scan, "size_bytes": 1, "width": 9, "height": 9, "bits": 8}
    Image.objects.bulk_create(
        Image(sop_uid=f"1.2.{n}", sha256=f"{n:064}", original=str(n), **shared) for n in range(3000)
    )
    studies = [Study(patient=scan.patient, institution=scan.institution, uid=f"1.3.{n}") for n in range(3000)]
    Study.objects.bulk_create(studies)
    many = steps(lambda: send(2))
    assert many <= 1.3 * few + 2, (few, many)


def test_closing_asks_no_question_for_each_image(send):
    counts = []
    for number in (12, 60):
        for n in range(number):
            send(n)
        Series.objects.update(close_at=timezone.now(), arrival="arriving")
        with CaptureQueriesContext(connection) as asked:
            assert closing.close_due() == 1
        counts.append(len(asked))
    assert counts[1] <= counts[0] + 2, counts
    assert Scan.objects.get().image_count == 60


def test_file_of_many_frames_counts_them_all_at_once(monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    scan = pipeline.submit_scan(by=by, institution=place, data=frames_of(5), patient="P-1").scan
    assert scan.image_count == scan.images.count() == 5
    pipeline.submit_scan(by=by, institution=place, data=slice_of(9), patient="P-1")
    scan.refresh_from_db()
    assert scan.image_count == scan.images.count() == 6
