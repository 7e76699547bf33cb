"""Notifications through the API: one's own, what changed since, read and done."""

from datetime import timedelta

import pytest
from django.utils import timezone

from diagnostics.reviews import worklist
from tests.factories import CaseFactory, ScanFactory

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(north):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    worklist.assign(by=north.adjudicator, cases=[case], to=north.radiologist)
    return case


def test_own_notifications_are_listed_and_marked_read(north, south, case):
    client = bearer(north.radiologist, "read")
    (row,) = results(client, "notifications/")
    assert {name: row[name] for name in ("kind", "institution", "scan", "case", "comment", "read_at")} == {
        "kind": "assigned", "institution": "north", "scan": str(case.scan_id), "case": str(case.pk),
        "comment": None, "read_at": None,
    }  # fmt: skip
    before = timezone.now()
    read = client.post(f"{V1}/notifications/{row['id']}/read/")
    assert read.status_code == 200 and read.json()["read_at"]
    assert client.post(f"{V1}/notifications/{row['id']}/read/").json() == read.json(), "twice is once"
    assert [each["id"] for each in results(client, "notifications/", updated_since=before.isoformat())] == [row["id"]]
    later = (timezone.now() + timedelta(seconds=1)).isoformat()
    assert results(client, "notifications/", updated_since=later) == []
    assert results(client, "notifications/", new="true") == [] != results(client, "notifications/", new="false")
    for other in (north.adjudicator, north.administrator, south.radiologist):
        assert results(bearer(other), "notifications/") == []
        assert_problem(bearer(other).get(f"{V1}/notifications/{row['id']}/"), 404)
        assert_problem(bearer(other).post(f"{V1}/notifications/{row['id']}/read/"), 404)


def test_all_are_marked_read_at_once(north, case):
    client = bearer(north.radiologist)
    assert client.post(f"{V1}/notifications/read-all/").json() == {"marked": 1}
    assert client.post(f"{V1}/notifications/read-all/").json() == {"marked": 0}


def test_notifications_of_an_institution_vanish_with_the_role_there(north, case):
    client = bearer(north.radiologist)
    assert len(results(client, "notifications/")) == 1
    north.radiologist.memberships.all().delete()
    assert results(client, "notifications/") == []


def test_filter_takes_known_kinds_only(north, case):
    client = bearer(north.radiologist)
    assert len(results(client, "notifications/", kind="assigned", institution="north")) == 1
    assert results(client, "notifications/", kind="returned") == []
    assert_problem(client.get(f"{V1}/notifications/", {"kind": "gossip"}), 400)
