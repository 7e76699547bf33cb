"""From bytes to scan, prediction and case: what is stored, once, and what is refused with nothing stored."""

import io
import threading
from datetime import timedelta

import pydicom
import pytest
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.utils import timezone
from pydicom.data import get_testdata_file

from diagnostics import pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.scans.access import NotAllowed, Permission, Role
from diagnostics.scans.filing import InvalidEntry, institution_for
from diagnostics.scans.intake import FileRefused
from diagnostics.scans.models import Patient, Priority, Scan, Study
from tests.factories import InstitutionFactory, MembershipFactory, UserFactory, live_model, person, phantom

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nudges(monkeypatch):
    """What would have been sent to the broker."""
    sent = []
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: sent.append((task.name, *args)))
    return sent


@pytest.fixture
def technologist():
    return person(Role.TECHNOLOGIST, InstitutionFactory())


def submit(by, **more):
    institution = by.memberships.get().institution
    return pipeline.submit_scan(by=by, institution=institution, **{"data": phantom(1), "patient": "P-1", **more})


def test_submit_stores_scan_prediction_and_case_together(technologist, nudges, django_capture_on_commit_callbacks):
    version = live_model()
    with django_capture_on_commit_callbacks(execute=True):
        submitted = submit(technologist, accession="A-1", priority=Priority.STAT)
    scan = Scan.objects.get()
    assert submitted.created and submitted.scan == scan
    assert (scan.patient.pseudonym, scan.study.accession, scan.priority) == ("P-1", "A-1", Priority.STAT)
    assert Prediction.objects.get().model_version == version
    assert Prediction.objects.get().state == PredictionState.QUEUED
    assert Case.objects.get().priority == Priority.STAT
    assert nudges == [("diagnostics.tasks.infer",)]
    assert set(AuditEvent.objects.values_list("act", flat=True)) == {
        "scan_stored",
        "case_opened",
        "prediction_queued",
    }


def test_submit_keeps_the_original_untouched_and_strips_metadata(technologist):
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "CANARY name of a patient"
    out = io.BytesIO()
    Image.open(io.BytesIO(phantom(3))).convert("RGB").save(out, format="JPEG", exif=exif)
    scan = submit(technologist, data=out.getvalue()).scan
    with default_storage.open(scan.original) as file:
        assert file.read() == out.getvalue()
    for shown in (scan.pixels, scan.preview):
        with default_storage.open(shown) as file:
            assert b"CANARY" not in file.read()


def test_submit_same_content_again_leads_to_the_existing_scan(technologist):
    live_model()
    first = submit(technologist).scan
    again = submit(technologist)
    assert again.scan == first and not again.created
    assert (Scan.objects.count(), Prediction.objects.count(), Case.objects.count()) == (1, 1, 1)


def test_submit_same_content_in_another_institution_is_another_scan(technologist):
    other = person(Role.TECHNOLOGIST, InstitutionFactory())
    assert submit(technologist).scan != submit(other).scan


def test_submit_without_a_live_model_waits_and_is_queued_later(technologist):
    from diagnostics.predictions.services import queue_missing, status_of

    scan = submit(technologist).scan
    assert status_of(scan) == "queued" and not Prediction.objects.exists()
    assert queue_missing(live_model()) == 1
    assert Prediction.objects.get().scan == scan


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"patient": ""}, "patient"),
        ({"patient": "Jane Doe"}, "patient"),
        ({"patient": "P-1\n"}, None),  # surrounding blanks are trimmed
        ({"patient": "x" * 65}, "patient"),
        ({"accession": "a" * 65}, "accession"),
        ({"accession": "a\x00b"}, "accession"),
        ({"study_date": timezone.localdate() + timedelta(days=2)}, "study_date"),
        ({"study_date": timezone.localdate().replace(year=1950)}, "study_date"),
    ],
)
def test_submit_checks_the_words_that_file_a_scan(technologist, words, field):
    if field is None:
        assert submit(technologist, **words).created
        return
    with pytest.raises(InvalidEntry) as caught:
        submit(technologist, **words)
    assert caught.value.field == field and caught.value.sentence.endswith(".")
    assert not Scan.objects.exists() and not Patient.objects.exists()


@pytest.mark.parametrize("data", [b"", b"hello, I am a text", phantom(1)[:300], b"GIF89a" + b"\0" * 200])
def test_submit_refuses_what_is_no_image_and_stores_nothing(technologist, data):
    with pytest.raises(FileRefused) as caught:
        submit(technologist, data=data)
    assert "DICOM" in caught.value.sentence, "the sentence says what is accepted"
    assert not Scan.objects.exists() and not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.TECHNOLOGIST, True),
        (Role.RADIOLOGIST, False),
        (Role.ADJUDICATOR, False),
        (Role.DATA_MANAGER, True),
        (Role.ADMINISTRATOR, True),
    ],
)
def test_submit_by_role(role, allowed):
    by = person(role, InstitutionFactory())
    if allowed:
        assert submit(by).created
    else:
        with pytest.raises(NotAllowed, match="Technologist"):
            submit(by)


def test_submit_into_a_foreign_institution_is_refused(technologist):
    with pytest.raises(NotAllowed):
        pipeline.submit_scan(by=technologist, institution=InstitutionFactory(), data=phantom(1), patient="P-1")


def test_submit_of_one_study_on_two_dates_is_a_conflict(technologist):
    today = timezone.localdate()
    submit(technologist, accession="A-1", study_date=today)
    with pytest.raises(InvalidEntry, match="has the date"):
        submit(technologist, data=phantom(2), accession="A-1", study_date=today - timedelta(days=3))
    assert Scan.objects.count() == 1 and Study.objects.count() == 1


@pytest.mark.parametrize("date_in_file", ["00010101", "19691231", "99991231"])
def test_date_in_a_file_that_cannot_be_true_is_left_out(technologist, date_in_file):
    """Anonymisers write such dates; as the date of a study they would stand in every list."""
    dataset = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    dataset.StudyDate = date_in_file
    file = io.BytesIO()
    dataset.save_as(file)
    assert submit(technologist, data=file.getvalue()).scan.study.date is None


def test_institution_for_names_the_choice_and_hides_foreign_ones():
    one, two, foreign = InstitutionFactory(), InstitutionFactory(), InstitutionFactory()
    by = person(Role.TECHNOLOGIST, one)
    assert institution_for(by, Permission.SUBMIT_SCAN) == one
    MembershipFactory(user=by, institution=two, role=Role.TECHNOLOGIST)
    by = type(by).objects.get(pk=by.pk)  # as each request loads them
    with pytest.raises(InvalidEntry) as several:
        institution_for(by, Permission.SUBMIT_SCAN)
    assert one.code in str(several.value) and foreign.code not in str(several.value)
    with pytest.raises(InvalidEntry) as unknown:
        institution_for(by, Permission.SUBMIT_SCAN, foreign.code)
    with pytest.raises(InvalidEntry) as missing:
        institution_for(by, Permission.SUBMIT_SCAN, "nowhere")
    assert str(unknown.value).replace(foreign.code, "") == str(missing.value).replace("nowhere", "")


def test_nobody_inactive_may_submit():
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    by.is_active = False
    with pytest.raises(NotAllowed):
        submit(by)


@pytest.mark.django_db(transaction=True)
def test_submit_same_content_from_many_threads_stores_one():
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution = by.memberships.get().institution
    live_model()
    start = threading.Barrier(6)
    made, errors = [], []

    def hand_in():
        try:
            start.wait(10)
            made.append(pipeline.submit_scan(by=by, institution=institution, data=phantom(9), patient="P-9").created)
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=hand_in) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sorted(made) == [False] * 5 + [True]
    assert (Scan.objects.count(), Prediction.objects.count(), Case.objects.count()) == (1, 1, 1)


def test_superuser_acts_as_administrator_everywhere():
    institution = InstitutionFactory()
    by = UserFactory(is_superuser=True)
    assert pipeline.submit_scan(by=by, institution=institution, data=phantom(1), patient="P-1").created
    assert connection.in_atomic_block
