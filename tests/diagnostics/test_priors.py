"""Priors: when a study comes, an archive is asked for older ones, and sends them to our listener."""

import contextlib
import subprocess
from datetime import date, timedelta

import pytest
from django.utils import timezone
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from diagnostics import closing, pipeline, reconciling
from diagnostics.models import AuditEvent, Case, Prediction, PriorSearch, PriorStudy, Series, Study
from diagnostics.peers import priors
from diagnostics.scans.access import Role
from diagnostics.scans.models import Identity
from tests import processes
from tests.diagnostics.test_dicom_sending import listens
from tests.dicom_images import slice_of, uid
from tests.dicom_network import dcmtk, folder_of, free_port, listening, needs, peer_of
from tests.factories import InstitutionFactory, live_model, person

pytestmark = pytest.mark.django_db(transaction=True)
TODAY = date(2026, 6, 1)


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch):
    settings.DICOM_TIMEOUT_SECONDS = settings.DICOM_PRIORS_SECONDS = 5.0
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    live_model()


def study(name, years_ago, patient="4711", images=2, **tags):
    day = TODAY - timedelta(days=round(365.25 * years_ago))
    return [
        slice_of(n, study=name, PatientID=patient, StudyDate=f"{day:%Y%m%d}", seed=hash((name, n)) % 9999, **tags)
        for n in range(images)
    ]


@contextlib.contextmanager
def dcmqrscp(tmp_path, files, listener_port):
    """dcmtk's archive with these files in it; its port."""
    port, store = free_port(), tmp_path / "archive"
    store.mkdir()
    configuration = tmp_path / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\noverread = (OVERREAD, 127.0.0.1, {listener_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {store} RW (100, 64mb) ANY\nAETable END\n"
    )
    with (tmp_path / "dcmqrscp.log").open("w") as log:
        archive = subprocess.Popen(["dcmqrscp", "-v", "-c", configuration], stdout=log, stderr=subprocess.STDOUT)
    try:
        processes.wait(lambda: listens(port), 20, "dcmqrscp did not start")
        loaded = dcmtk("storescu", port, "+sd", folder_of(tmp_path, files), calling="LOADER", called="ARCHIVE")
        assert loaded.returncode == 0, loaded.stdout
        yield port
    finally:
        archive.terminate()
        archive.wait(20)


def arrived(place, files):
    """A study arrives by a door, and its series closes."""
    by = person(Role.TECHNOLOGIST, place)
    for data in files:
        pipeline.submit_scan(by=by, institution=place, data=data, patient=None)
    closed()


def closed():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    closing.close_due()


@needs("dcmqrscp", "storescu")
@pytest.mark.parametrize("kept", [Identity.AS_SENT, Identity.DERIVED])
def test_archive_sends_the_latest_priors_and_they_wait_for_no_reader(tmp_path, settings, kept):
    settings.IDENTITY_KEY = "k" * 40
    place = InstitutionFactory(identity=kept)
    here = study("today", 0)
    there = [
        *here,
        *study("last year", 1),
        *study("two years ago", 2),
        *study("three years ago", 3),
        *study("long ago", 20),
        *study("somebody else", 1, patient="47110"),
    ]
    with listening() as listener, dcmqrscp(tmp_path, there, listener.port) as port:
        peer_of(
            place, ae_title="ARCHIVE", host="127.0.0.1", port=port, is_asked_for_priors=True, most_priors=2,
            prior_years=5,
        )  # fmt: skip
        arrived(place, here)
        assert [nudge.task for nudge in reconciling.go_on_with_peers()] == ["ask_for_priors"]
        assert priors.ask_due() == 1
        search = PriorSearch.objects.get()
        assert (search.state, search.found, search.requested, search.failure) == ("done", 4, 2, "")
        closed()
    assert Study.objects.count() == 3 and PriorStudy.objects.count() == 2
    if kept == Identity.AS_SENT:
        assert set(PriorStudy.objects.values_list("study__uid", flat=True)) == {uid("last year"), uid("two years ago")}
    assert Study.objects.values("patient").distinct().count() == 1, "they are of the same patient"
    assert Case.objects.count() == 1, "nobody is to read a prior anew"
    assert Prediction.objects.count() == 3, "the AI has looked at each"
    assert PriorSearch.objects.count() == 1 and not reconciling.go_on_with_peers(), "priors have no priors"
    assert AuditEvent.objects.get(act="priors_requested").detail == {"studies": 2}


@needs("dcmqrscp", "storescu")
def test_priors_that_are_here_already_are_not_requested(tmp_path):
    place = InstitutionFactory()
    here, before = study("today", 0), study("last year", 1)
    with listening() as listener, dcmqrscp(tmp_path, [*here, *before], listener.port) as port:
        arrived(place, before)
        peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=port, is_asked_for_priors=True)
        arrived(place, here)
        assert priors.ask_due() == 1
        search = PriorSearch.objects.get()
        assert (search.found, search.requested) == (2, 0)
        closed()
    assert not PriorStudy.objects.exists() and Case.objects.count() == 2, "it was work before, and stays it"


@contextlib.contextmanager
def archive(find=lambda event: iter(()), move=lambda event: iter(())):
    """An archive of our own making, for what no real one does."""
    entity = AE("ARCHIVE")
    for model in (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove):
        entity.add_supported_context(model)
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def answer(**tags):
    made = Dataset()
    made.QueryRetrieveLevel, made.PatientID, made.StudyDate = "STUDY", "4711", "20250601"
    made.StudyInstanceUID, made.ModalitiesInStudy = uid("prior"), "MR"
    for name, value in tags.items():
        setattr(made, name, value)
    return 0xFF00, made


def asked(place, port, **fields):
    peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=port, is_asked_for_priors=True, **fields)
    arrived(place, study("today", 0))
    priors.ask_due()
    return PriorSearch.objects.get()


def test_archive_is_asked_for_this_patient_and_these_years():
    questions = []

    def find(event):
        questions.append(event.identifier)
        yield 0x0000, None

    with archive(find) as port:
        assert asked(InstitutionFactory(), port, prior_years=3).state == "done"
    (question,) = questions
    assert (question.PatientID, question.StudyDate) == ("4711", "20230601-20260601")


def test_answers_of_other_patients_years_and_modalities_are_not_believed():
    def find(event):
        yield answer(PatientID="4712")
        yield answer(StudyDate="19990101")
        yield answer(StudyDate="20270101")
        yield answer(StudyDate="soon")
        yield answer(ModalitiesInStudy="CT")
        yield answer(StudyInstanceUID="")
        yield 0x0000, None

    with archive(find) as port:
        search = asked(InstitutionFactory(), port)
    assert (search.state, search.found, search.requested) == ("done", 0, 0)


def test_archive_that_never_stops_answering_is_cut_off(monkeypatch):
    monkeypatch.setattr(priors, "MOST_ANSWERS", 20)

    def find(event):
        n = 0
        while not event.is_cancelled and n < 100_000:
            n += 1
            yield answer(StudyInstanceUID=uid("endless", n))

    def move(event):
        yield "127.0.0.1", 1
        yield 0

    with archive(find, move) as port:
        search = asked(InstitutionFactory(), port, most_priors=1)
    assert (search.state, search.found, search.requested) == ("done", 20, 1)


@pytest.mark.parametrize("status", [0xA700, 0xC001, 0xA900])
def test_failed_query_is_told_and_tried_again(status):
    def find(event):
        yield status, None

    with archive(find) as port:
        search = asked(InstitutionFactory(), port)
    assert search.state == "waiting" and f"{status:04X}" in search.failure
    assert search.due_at > timezone.now()


def test_archive_that_does_not_know_us_is_told_of():
    def find(event):
        yield answer()
        yield 0x0000, None

    def move(event):
        yield None, None  # destination unknown

    with archive(find, move) as port:
        search = asked(InstitutionFactory(), port)
    assert search.state == "waiting" and "A801" in search.failure and "AE title" in search.failure


def test_archive_that_is_away_is_asked_for_a_day_and_no_longer():
    place = InstitutionFactory()
    assert asked(place, free_port()).failure == "The peer cannot be reached, or did not answer."
    PriorSearch.objects.update(due_at=timezone.now(), since=timezone.now() - timedelta(days=2))
    priors.ask_due()
    assert PriorSearch.objects.get().state == "failed"
    assert Case.objects.count() == 1, "the study itself waited for none of it"


@pytest.mark.parametrize("patient", ["", "47*", "4?11"])
def test_patient_without_a_usable_id_is_not_asked_for(patient):
    place = InstitutionFactory()
    peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port(), is_asked_for_priors=True)
    arrived(place, study("today", 0, patient=patient))
    priors.ask_due()
    assert PriorSearch.objects.get().state == "failed" and "patient ID" in PriorSearch.objects.get().failure


def test_nobody_is_asked_where_no_peer_is_to_be():
    place = InstitutionFactory()
    peer_of(place, ae_title="ARCHIVE", host="127.0.0.1")
    peer_of(ae_title="FOREIGN", host="127.0.0.1", is_asked_for_priors=True)
    arrived(place, study("today", 0))
    assert not PriorSearch.objects.exists() and not reconciling.go_on_with_peers()
