"""A series arrives image by image: filed once, put in order once, analysed and read as one."""

import io
import random
from datetime import timedelta

import numpy as np
import pydicom
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.cases.models import Case
from diagnostics.predictions.models import Prediction
from diagnostics.scans import frames
from diagnostics.scans.access import Role
from diagnostics.scans.arrival import SameInstanceOtherContent, SeriesElsewhere
from diagnostics.scans.filing import StudyElsewhere
from diagnostics.scans.models import Scan, Study
from diagnostics.scans.series import Image, KeptInstance, QuarantinedFile, Series
from tests.dicom_images import CORONAL, frames_of, mosaic, slice_of, uid
from tests.factories import InstitutionFactory, live_model, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def send(place):
    by = person(Role.TECHNOLOGIST, place)

    def submit(data, **more):
        return pipeline.submit_scan(by=by, institution=place, data=data, **{"patient": "P-1", **more})

    return submit


def close_all():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    return closing.close_due()


def test_slices_in_any_order_and_twice_become_one_stack_in_the_order_of_their_place(send):
    live_model()
    files = [slice_of(n) for n in range(12)]
    order = [*range(12), *range(4)]
    random.Random(7).shuffle(order)
    answers = [send(files[n]) for n in order]
    assert len({answer.scan.pk for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 12
    scan = Scan.objects.get()
    assert (scan.arrival, scan.analysis, scan.image_count) == ("arriving", "arriving", 12)
    assert not Case.objects.exists() and not Prediction.objects.exists()
    assert close_all() == 1 and close_all() == 0
    scan.refresh_from_db()
    assert (scan.arrival, scan.analysis, scan.image_count, scan.problems) == ("complete", "queued", 12, [])
    rows = list(scan.images.order_by("index").values_list("index", "position", "sop_uid"))
    assert rows == [(n, 5.0 * n, uid("study", "series", "image", n)) for n in range(12)]
    assert scan.sha256 == scan.images.get(index=6).sha256
    assert Case.objects.get().scan == scan and Prediction.objects.get().scan == scan


def test_series_that_pauses_is_closed_when_nothing_came_for_a_while(send, settings):
    settings.SERIES_QUIET_SECONDS = 30
    send(slice_of(0))
    assert not closing.anything_due() and closing.close_due() == 0
    Series.objects.update(close_at=timezone.now())
    assert closing.anything_due() and closing.close_due() == 1
    assert Series.objects.get().arrival == "complete"


def test_gap_is_named_and_the_stack_is_incomplete(send):
    for n in (0, 1, 2, 5, 6):
        send(slice_of(n))
    close_all()
    scan = Scan.objects.get()
    assert (scan.arrival, Series.objects.get().arrival) == ("incomplete", "incomplete")
    (found,) = scan.problems
    assert (found["code"], found["missing"], found["after"]) == ("gap", 2, 2)
    assert scan.note == "2 images are missing, after image 3."


def test_late_images_open_a_second_revision_that_is_analysed_and_read_anew(send):
    version = live_model()
    for n in (0, 1, 3):
        send(slice_of(n))
    close_all()
    Case.objects.update(state="done", done_at=timezone.now())
    send(slice_of(2))
    scan = Scan.objects.get()
    assert (scan.arrival, scan.revision) == ("complete", 1)
    close_all()
    scan.refresh_from_db()
    assert (scan.revision, scan.image_count, scan.problems) == (2, 4, [])
    assert list(scan.images.order_by("index").values_list("position", "revision")) == [
        (0.0, 1), (5.0, 1), (10.0, 2), (15.0, 1),
    ]  # fmt: skip
    assert set(Prediction.objects.values_list("model_version", "scan_revision")) == {(version.pk, 1), (version.pk, 2)}
    assert sorted(Case.objects.values_list("state", flat=True)) == ["done", "open"]


def test_two_directions_and_two_echoes_are_stacks_of_their_own(send):
    for n in range(4):
        send(slice_of(n))
        send(slice_of(n + 10, orientation=CORONAL))
        send(slice_of(n + 20, EchoTime=90.0))
    close_all()
    assert sorted(Scan.objects.values_list("image_count", flat=True)) == [4, 4, 4]
    assert Series.objects.count() == 1 and Study.objects.count() == 1 and Case.objects.count() == 3


def test_acquisitions_at_the_same_places_are_parted_when_the_series_closes(send):
    for acquisition in (1, 2):
        for n in range(3):
            send(
                slice_of(
                    n, sop=uid("acquired", acquisition, n), seed=10 * acquisition + n, AcquisitionNumber=acquisition
                )
            )
    assert Scan.objects.count() == 1
    close_all()
    first, second = Scan.objects.order_by("created_at")
    assert [first.image_count, second.image_count] == [3, 3]
    assert {each["code"] for each in first.problems} == {"several_acquisitions"}
    assert list(second.images.order_by("index").values_list("position", flat=True)) == [0.0, 5.0, 10.0]


def test_localizer_is_kept_to_look_at_and_neither_analysed_nor_read(send):
    live_model()
    send(slice_of(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    close_all()
    scan = Scan.objects.get()
    assert (scan.analysis, scan.not_analysed) == ("not_analysed", "localizer")
    assert not Case.objects.exists() and not Prediction.objects.exists()


def test_screenshot_is_kept_with_its_study_and_never_analysed(send):
    send(slice_of(0))
    shot = slice_of(1, series="shots", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    kept, again = send(shot), send(shot)
    assert (kept.kept.kind, kept.created, again.created) == ("secondary_capture", True, False)
    assert KeptInstance.objects.get().study == Study.objects.get() and Scan.objects.count() == 1


def test_same_study_of_another_patient_is_refused_by_name(send):
    send(slice_of(0))
    with pytest.raises(StudyElsewhere) as refusal:
        send(slice_of(1), patient="P-2")
    assert "P-1" in refusal.value.sentence and "P-2" in refusal.value.sentence
    assert Image.objects.count() == 1


@pytest.mark.parametrize(
    "named", [{"patient": "P-2"}, {"accession": "A-2"}, {"study_date": timezone.datetime(2023, 5, 4).date()}]
)
def test_same_bytes_under_other_names_are_refused_by_name(send, named):
    data = slice_of(0)
    send(data, accession="A-1", study_date=timezone.datetime(2024, 1, 2).date())
    assert not send(data, accession="A-1").created
    with pytest.raises(StudyElsewhere) as refusal:
        send(data, **named)
    assert refusal.value.field == next(iter(named))


def test_series_of_another_study_is_refused(send):
    send(slice_of(0))
    other = slice_of(1, SeriesInstanceUID=uid("study", "series"), study="another")
    with pytest.raises(SeriesElsewhere):
        send(other)


def test_instance_with_other_content_goes_into_quarantine(send):
    send(slice_of(0))
    with pytest.raises(SameInstanceOtherContent):
        send(slice_of(0, seed=99))
    assert QuarantinedFile.objects.get().sop_uid == uid("study", "series", "image", 0)
    assert Image.objects.count() == 1


def test_instance_sent_again_with_another_header_is_here_already(send):
    send(slice_of(0))
    assert not send(slice_of(0, StationName="ELSEWHERE")).created
    assert Image.objects.count() == 1 and not QuarantinedFile.objects.exists()


def test_labelled_image_stays_alone(send):
    send(slice_of(0), reference_label="glioma", to_read=False)
    send(slice_of(1), reference_label="glioma", to_read=False)
    assert sorted(Scan.objects.values_list("image_count", "arrival")) == [(1, "complete"), (1, "complete")]


def test_file_of_many_frames_is_one_stack_in_the_order_of_place(send):
    live_model()
    assert send(frames_of(30, blank=5)).scan.arrival == "arriving"
    close_all()
    scan = Scan.objects.get()
    assert (scan.arrival, scan.image_count, scan.frames, scan.note) == ("complete", 30, 30, "")
    rows = list(scan.images.order_by("index"))
    assert [row.frame for row in rows] == [*reversed(range(30))]
    pixels = set()
    for row in rows:
        with default_storage.open(row.pixels) as file:
            pixels.add(file.read())
    assert len(pixels) == 26 and all(row.preview for row in rows)  # the five of air look the same
    assert Prediction.objects.count() == Case.objects.count() == 1


def test_frames_are_taken_out_where_another_worker_has_stopped(send, monkeypatch):
    send(frames_of(12))
    Series.objects.update(close_at=timezone.now())
    really = frames.decoding.take_frames
    asked = []

    def killed(data, indices):
        asked.append(list(indices))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return really(data, indices)

    monkeypatch.setattr(frames.decoding, "take_frames", killed)
    with pytest.raises(KeyboardInterrupt):
        closing.close_due()
    assert Series.objects.get().arrival == "arriving"
    closing.close_due()
    assert Series.objects.get().arrival == "complete" and not Image.objects.filter(pixels="").exists()
    assert sorted(n for some in asked[:1] + asked[2:] for n in some) == list(range(1, 12))


@pytest.mark.parametrize(("per_side", "tiles"), [(2, 4), (3, 7), (4, 16), (5, 23), (6, 36), (7, 40), (8, 64)])
def test_mosaic_is_parted_into_its_tiles(send, per_side, tiles):
    live_model()
    assert send(mosaic(per_side, tiles)).arriving
    close_all()
    scan = Scan.objects.get()
    assert (scan.image_count, scan.width, scan.height, scan.arrival) == (tiles, 64, 64, "complete")
    rows = list(scan.images.order_by("index"))
    assert {(row.width, row.height) for row in rows} == {(64, 64)}
    assert np.allclose(np.diff([row.position for row in rows]), 5)
    for row in rows:
        with default_storage.open(row.pixels) as file:
            shown = np.frombuffer(file.read()[48 : 48 + 2 * 64 * 64], "<u2").reshape(64, 64)
        assert (shown == pydicom.dcmread(io.BytesIO(slice_of(row.frame))).pixel_array).all()


def test_series_that_never_pauses_is_closed_all_the_same(send, settings):
    settings.SERIES_QUIET_SECONDS, settings.SERIES_LONGEST_SECONDS = 30, 3600
    send(slice_of(0))
    Series.objects.update(created_at=timezone.now() - timedelta(seconds=3590))
    send(slice_of(1))
    assert Series.objects.get().close_at < timezone.now() + timedelta(seconds=15)
    Series.objects.update(created_at=timezone.now() - timedelta(seconds=3601))
    send(slice_of(2))
    assert closing.close_due() == 1
    assert Scan.objects.get().image_count == 3
    # What comes later has a time of its own.
    send(slice_of(3))
    assert closing.close_due() == 0
    assert timedelta(0) < Series.objects.get().close_at - timezone.now() <= timedelta(seconds=30)
