"""Each look at a patient's image or original is one audit event a person, scan and hour, told to nobody else."""

import threading
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnostics import tasks
from diagnostics.audit.models import AuditEvent
from diagnostics.scans.access import Role
from portal.accounts.models import issue_token
from tests.access.table import arguments_of
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat

pytestmark = pytest.mark.django_db
LOOKS = ("image_viewed", "original_downloaded")


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def case(place):
    scan = ScanFactory(institution=place)
    heat = default_storage.save("heatmaps/look.png", ContentFile(b"\x89PNG heat"))
    PredictionFactory(scan=scan, heatmap=heat)
    return CaseFactory(scan=scan)


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def looks(**about):
    return [
        (event.act, event.actor.username, event.target_id)
        for event in AuditEvent.objects.filter(act__in=LOOKS, **about).order_by("pk")
    ]


def fetch(client, name, *args, **more):
    answer = client.get(reverse(name, args=args), **more)
    if answer.streaming:
        b"".join(answer.streaming_content)
    return answer


ADDRESSES = {
    "reading:case": "case",
    "reading:pixels": "scan",
    "reading:preview": "scan",
    "reading:image-pixels": "scan",
    "reading:image-preview": "scan",
    "reading:heatmap": "prediction",
    "reading:report": "case",
    "uploads:scan": "scan",
    "api:scan-pixels": "scan",
    "api:scan-preview": "scan",
    "api:scan-image-pixels": "scan",
    "api:scan-image-preview": "scan",
    "api:prediction-heatmap": "prediction",
    "api:case-report": "case",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_look_at_an_image_is_an_event(place, case, name):
    looker = person(Role.DATA_MANAGER, place)
    rows = {"case": case, "scan": case.scan, "prediction": case.scan.predictions.get()}
    assert fetch(client_of(looker), name, *arguments_of(name, rows[ADDRESSES[name]].pk)).status_code == 200
    assert looks() == [("image_viewed", looker.username, str(case.scan_id))]
    assert AuditEvent.objects.get(act="image_viewed").institution == place


@pytest.mark.parametrize("name", ["reading:original", "api:scan-original"])
def test_original_that_was_downloaded_is_an_event(place, case, name):
    looker = person(Role.TECHNOLOGIST, place)
    for _ in range(2):
        assert fetch(client_of(looker), name, case.scan_id).status_code == 200
    assert looks() == [("original_downloaded", looker.username, str(case.scan_id))]


def test_comparison_is_a_look_at_both(place, case):
    other = ScanFactory(institution=place, patient=case.scan.patient)
    client = client_of(person(Role.RADIOLOGIST, place))
    address = reverse("history:compare", args=[case.scan.patient_id])
    assert client.get(f"{address}?scan={case.scan_id}&scan={other.pk}").status_code == 200
    assert {target for _, _, target in looks()} == {str(case.scan_id), str(other.pk)}


def test_page_and_all_its_images_are_one_event_an_hour(place, case, monkeypatch):
    reader = person(Role.RADIOLOGIST, place)
    client = client_of(reader)
    for _ in range(3):
        fetch(client, "reading:case", case.pk)
        fetch(client, "reading:pixels", case.scan_id, headers={"Accept-Encoding": "gzip"})
        tag = fetch(client, "reading:preview", case.scan_id)["ETag"]
        assert fetch(client, "reading:preview", case.scan_id, headers={"If-None-Match": tag}).status_code == 304
    assert len(looks()) == 1
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    fetch(client, "reading:preview", case.scan_id)
    assert len(looks()) == 2


def test_each_person_and_each_scan_is_an_event_of_its_own(place, case):
    other = ScanFactory(institution=place)
    for role in (Role.RADIOLOGIST, Role.TECHNOLOGIST):
        client = client_of(person(role, place))
        for scan in (case.scan, other):
            fetch(client, "reading:pixels", scan.pk)
    assert len(set(looks())) == len(looks()) == 4


def test_program_with_a_token_is_told_too(place, case):
    looker = person(Role.RADIOLOGIST, place)
    _, token = issue_token(user=looker, name="t", scopes=["read"], expires_at=timezone.now() + timedelta(days=1))
    for _ in range(2):
        fetch(Client(), "api:scan-pixels", case.scan_id, headers={"Authorization": f"Bearer {token}"})
    assert looks() == [("image_viewed", looker.username, str(case.scan_id))]


def test_refused_look_is_no_event(place, case):
    for stranger in (person(Role.RADIOLOGIST, InstitutionFactory()), person(Role.RADIOLOGIST, place)):
        fetch(client_of(stranger), "reading:original", case.scan_id)
        fetch(client_of(stranger), "reading:heatmap", case.scan.predictions.get().pk)
    fetch(Client(), "reading:pixels", case.scan_id)
    assert looks() == []


def test_looks_stand_in_the_audit_and_in_no_history(place, case):
    looker, reader, boss = (person(role, place) for role in (Role.DATA_MANAGER, Role.RADIOLOGIST, Role.ADMINISTRATOR))
    fetch(client_of(looker), "reading:pixels", case.scan_id)
    for name, pk in (
        ("reading:case", case.pk),
        ("uploads:scan", case.scan_id),
        ("history:patient", case.scan.patient_id),
    ):
        assert looker.username not in client_of(reader).get(reverse(name, args=[pk])).content.decode()
    for address in (f"/api/v1/cases/{case.pk}/", f"/api/v1/cases/{case.pk}/thread/", f"/api/v1/scans/{case.scan_id}/"):
        assert looker.username not in client_of(reader).get(address).content.decode()
    page = client_of(boss).get(reverse("history:audit")).content.decode()
    assert f"<strong>{looker.username}</strong>viewed an image" in flat(page)
    without = client_of(boss).get(reverse("history:audit"), {"act": "but-looks"}).content.decode()
    assert "viewed an image" not in without


def test_image_that_was_told_already_costs_no_query_more(place, case):
    client = client_of(person(Role.RADIOLOGIST, place))
    with CaptureQueriesContext(connection) as first:
        fetch(client, "reading:preview", case.scan_id)
    with CaptureQueriesContext(connection) as second:
        fetch(client, "reading:preview", case.scan_id)
    assert any("diagnostics_look" in query["sql"] for query in first)
    told = [query["sql"] for query in second if "diagnostics_look" in query["sql"]]
    # In a test nothing is ever committed, so the process does not know it yet: one question, no writing.
    assert len(told) <= 1 and not [sql for sql in told if sql.startswith("INSERT")]


@pytest.mark.django_db(transaction=True)
def test_parts_of_a_page_fetched_at_once_are_one_event_and_old_looks_are_forgotten():
    place = InstitutionFactory()
    scan = ScanFactory(institution=place)
    looker = person(Role.RADIOLOGIST, place)
    clients = [client_of(looker) for _ in range(8)]
    answers = []

    def look(client):
        try:
            answers.append(fetch(client, "reading:preview", scan.pk).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert looks() == [("image_viewed", looker.username, str(scan.pk))]
    from diagnostics.scans.looks import Look, forget_looks

    with CaptureQueriesContext(connection) as again:
        fetch(clients[0], "reading:preview", scan.pk)
    assert not [query for query in again if "diagnostics_look" in query["sql"]], "the process knows it"
    forget_looks()
    assert Look.objects.count() == 1
    Look.objects.update(hour=timezone.now() - timedelta(hours=4))
    tasks.reconcile()
    assert not Look.objects.exists() and len(looks()) == 1
