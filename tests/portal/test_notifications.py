"""The page of notifications, the bell, the way to what they are about, and what one chooses to be told."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from diagnostics.notifications.models import Notification
from diagnostics.notifications.services import choices_of, mark_read
from diagnostics.reviews import worklist
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, InstitutionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db
LIST = "/notifications/"


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def reader(place):
    return person(Role.RADIOLOGIST, place)


@pytest.fixture
def client(reader):
    client = Client()
    client.force_login(reader)
    return client


def assigned(reader, place, number=1):
    """So many cases that an adjudicator assigned to the reader."""
    cases = [CaseFactory(scan=ScanFactory(institution=place, seed=1, sha256=f"{n:064}")) for n in range(number)]
    worklist.assign(by=person(Role.ADJUDICATOR, place), cases=cases, to=reader)
    return cases


def test_page_shows_what_is_new_and_follows_to_the_case(client, reader, place):
    (case,) = assigned(reader, place)
    page = client.get(LIST).content.decode()
    assert "A case was assigned to you" in page and case.scan.study.accession in page
    row = reader.notifications.get()
    assert f"/notifications/{row.pk}/" in page
    assert client.get(f"/notifications/{row.pk}/")["Location"] == f"/cases/{case.pk}/"
    row.refresh_from_db()
    assert row.read_at is not None
    assert "A case was assigned to you" not in client.get(LIST, {"show": "new"}).content.decode()
    assert "A case was assigned to you" in client.get(LIST, {"show": "all"}).content.decode()


def test_notification_of_an_analysis_leads_to_the_scan(place):
    technologist = person(Role.TECHNOLOGIST, place)
    scan = ScanFactory(institution=place, uploaded_by=technologist)
    row = Notification.objects.create(recipient=technologist, institution=place, kind="prediction_failed", scan=scan)
    client = Client()
    client.force_login(technologist)
    assert client.get(f"/notifications/{row.pk}/")["Location"] == f"/scans/{scan.pk}/"


def test_read_and_new_again(client, reader, place):
    assigned(reader, place)
    row = reader.notifications.get()
    assert client.post(f"/notifications/{row.pk}/read/", {"show": "new"})["Location"] == "/notifications/?show=new"
    row.refresh_from_db()
    assert row.read_at is not None
    client.post(f"/notifications/{row.pk}/read/", {"new": "1"})
    row.refresh_from_db()
    assert row.read_at is None
    client.post("/notifications/read-all/")
    row.refresh_from_db()
    assert row.read_at is not None


def test_anothers_notification_does_not_exist(reader, place):
    assigned(reader, place)
    row = reader.notifications.get()
    for other in (person(Role.RADIOLOGIST, place), person(Role.RADIOLOGIST, InstitutionFactory())):
        client = Client()
        client.force_login(other)
        assert client.get(f"/notifications/{row.pk}/").status_code == 404
        assert client.post(f"/notifications/{row.pk}/read/").status_code == 404
        client.post("/notifications/read-all/")
        row.refresh_from_db()
        assert row.read_at is None


def test_pages_by_keyset_show_each_once(client, reader, place):
    assigned(reader, place, 1)
    scan = Notification.objects.get()
    Notification.objects.bulk_create(
        Notification(
            recipient=reader,
            institution=place,
            kind="assigned",
            scan=scan.scan,
            case=scan.case,
            read_at=scan.created_at,
        )
        for _ in range(120)
    )
    seen, after = [], ""
    while True:
        response = client.get(LIST, {"after": after} if after else {})
        seen += [row.pk for row, _icon in response.context["rows"]]
        after = response.context["after"]
        if not after:
            break
    assert len(seen) == len(set(seen)) == 121


def test_bell_counts_what_is_new_and_is_silent_while_nothing_changes(client, reader, place):
    assert client.get("/notifications/bell/", {"shown": "0"}).status_code == 204
    assigned(reader, place, 2)
    assert "2 new notifications" in client.get("/notifications/bell/", {"shown": "0"}).content.decode()
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/notifications/bell/", {"shown": "2"}).status_code == 204
    # Whoever is signed in costs what they cost everywhere; the bell itself is one count, and writes nothing.
    assert len([each for each in asked if "diagnostics_notification" in each["sql"]]) == 1, asked.captured_queries
    assert not [each for each in asked if each["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert "2 new notifications" in client.get("/worklist/").content.decode()
    mark_read(Notification.objects.all())
    assert "Notifications, none new" in client.get("/worklist/").content.decode()


def test_count_of_very_many_ends_early(client, reader, place):
    (case,) = assigned(reader, place)
    Notification.objects.bulk_create(
        Notification(
            recipient=reader, institution=place, kind="assigned", case=case,
            scan=ScanFactory(institution=place, seed=1, sha256=f"a{n:063}"),
        )
        for n in range(100)
    )  # fmt: skip
    assert "99+" in client.get("/notifications/bell/").content.decode()


def test_what_one_is_told_is_chosen_on_the_account_page(client, reader):
    page = client.get("/accounts/").content.decode()
    assert page.count('name="in_portal"') == page.count('name="by_mail"') == 6
    assert page.count(" checked") >= 12, "everything, until one chooses"
    answer = client.post("/accounts/notifications/", {"in_portal": ["assigned"], "by_mail": [], "digest": "1"})
    assert answer.status_code == 302
    chosen = choices_of(reader)
    assert "assigned" not in chosen.not_in_portal and len(chosen.not_in_portal) == 5
    assert len(chosen.not_by_mail) == 6 and chosen.digest
    refused = client.post("/accounts/notifications/", {"in_portal": ["gossip"]})
    assert refused.status_code == 400 and "gossip" in refused.content.decode()
    assert choices_of(reader).digest, "what was refused changed nothing"


def test_nothing_to_tell_says_what_would_be_told(client):
    assert "No notifications" in client.get(LIST).content.decode()
    assert "Nothing new" in client.get(LIST, {"show": "new"}).content.decode()
    assert client.get(LIST, {"show": "old"}).status_code == 400
