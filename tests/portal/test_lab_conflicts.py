"""The page of contradicting labels, and the same acts over the API."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from diagnostics.datasets import services
from diagnostics.models import RuledOut
from diagnostics.scans.access import Role
from portal.accounts.models import Scope, issue_token
from tests.diagnostics.test_datasets import enough, look, near, own_files, scan  # noqa: F401 - fixture
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db


def test_a_conflict_is_shown_settled_and_reopened(client):
    north = InstitutionFactory(code="north")
    keeper = person(Role.DATA_MANAGER, north)
    client.force_login(keeper)
    enough(north, each=4)
    ill, well = scan(north, "tumour", fingerprint=look(9001)), scan(north, "no_tumour", fingerprint=near(9001))
    assert "1 label conflict is open" in client.get(reverse("lab:freeze")).content.decode()
    page = client.get(reverse("lab:conflicts"))
    for each in (ill, well):
        assert reverse("reading:preview", args=[each.pk]) in page.content.decode()
    seen = page.context["sets"][0]["seen"]
    address = reverse("lab:settle")
    answer = client.post(address, {"scans": seen, "stands": "tumour", "reason": ""}, follow=True)
    assert "Give a reason" in answer.content.decode()
    answer = client.post(address, {"scans": seen, "stands": "tumour", "reason": "A mass."}, follow=True)
    assert "1 scan is excluded" in answer.content.decode() and "A mass." in answer.content.decode()
    assert "No open conflicts" in answer.content.decode()
    client.post(reverse("lab:take-back", args=[RuledOut.objects.get().ruling]))
    assert services.plan(by=keeper, institutions=[north]).counts["conflicts"] == 1


def test_the_api_plans_settles_and_freezes_without_a_reader(client):
    north = InstitutionFactory(code="north")
    keeper = person(Role.DATA_MANAGER, north)
    ends = timezone.now() + timedelta(days=1)
    token = issue_token(user=keeper, name="t", scopes=list(Scope.values), expires_at=ends)[1]
    sent = {"content_type": "application/json", "HTTP_AUTHORIZATION": f"Bearer {token}"}
    enough(north, each=4)
    scan(north, "tumour", fingerprint=look(9001))
    scan(north, "no_tumour", fingerprint=near(9001))
    plan = client.post("/api/v1/dataset-versions/plan/", {}, **sent).json()
    assert (plan["problem"], plan["counts"]["conflicts"], plan["former"]) == ("", 1, None)
    body = {"scans": plan["counts"]["conflicts_listed"][0], "stands": "tumour", "reason": "A mass."}
    settled = client.post("/api/v1/dataset-versions/settle/", body, **sent)
    assert settled.status_code == 200
    ruling = settled.json()["results"][0]["ruling"]
    assert client.post("/api/v1/dataset-versions/settle/", body, **sent).status_code == 409
    assert client.post("/api/v1/dataset-versions/plan/", {}, **sent).json()["counts"]["conflicts"] == 0
    assert client.post("/api/v1/dataset-versions/take-back/", {"ruling": ruling}, **sent).status_code == 200
    unknown = client.post("/api/v1/dataset-versions/", {"exclude_readers": ["nobody"]}, **sent)
    assert (unknown.status_code, "exclude_readers" in unknown.json()["errors"]) == (400, True)
