"""A case that was left unread: named where its reader lands, to go on with or to release."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from diagnostics.models import Claim
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.api.api_client import V1, bearer

pytestmark = pytest.mark.django_db
LIST = "/worklist/"


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


def held(place, reader, pseudonym, **scan):
    scan = ScanFactory(institution=place, patient__pseudonym=pseudonym, **scan)
    return ClaimFactory(case=CaseFactory(scan=scan), holder=reader).case


def words(response):
    return " ".join(strip_tags(response.content.decode()).split())


def test_worklist_says_how_many_are_unfinished_and_leads_to_them(client, place, reader):
    assert "unfinished" not in words(client.get(LIST))
    first = held(place, reader, "P-1001")
    second = held(place, reader, "P-1002", priority=Priority.STAT)
    response = client.get(LIST)
    html, said = flat(response.content.decode()), words(response)
    assert "2 unfinished" in said and 'href="/worklist/?tab=mine"><strong>2 unfinished' in html
    assert said.index("You left P-1002 unread.") < said.index("You left P-1001 unread.")
    for case in (first, second):
        assert f'href="{reverse("reading:case", args=[case.pk])}"' in html
        assert f'action="{reverse("worklist:release", args=[case.pk])}"' in html


def test_released_case_is_free_for_others(client, place, reader):
    case = held(place, reader, "P-1001")
    response = client.post(reverse("worklist:release", args=[case.pk]), follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert "Released:" in words(response) and "unfinished" not in words(response)
    claim = Claim.objects.get()
    assert claim.release == "given_back"
    again = client.post(reverse("worklist:release", args=[case.pk]))
    assert again.status_code == 409 and "This case is no longer claimed by you." in words(again)


def test_release_of_a_case_that_a_colleague_holds_is_refused(client, place):
    case = held(place, person(Role.RADIOLOGIST, place), "P-1001")
    assert client.post(reverse("worklist:release", args=[case.pk])).status_code == 409
    assert Claim.objects.get().released_at is None


@pytest.mark.parametrize("address", ["uploads:list", "history:patients", "history:my-reads", "accounts:account"])
def test_leaving_a_case_unread_is_said_on_the_page_where_one_lands(client, place, reader, address):
    case = held(place, reader, "P-1001")
    other = held(place, reader, "P-1002")
    there = f"http://testserver{reverse('reading:case', args=[case.pk])}"
    response = client.get(reverse(address), headers={"Referer": there})
    assert "You left P-1001 unread." in words(response) and "P-1002 unread" not in words(response)
    assert f'action="{reverse("worklist:release", args=[case.pk])}"' in response.content.decode()
    for elsewhere in ("", "http://testserver/worklist/", f"http://evil.example{there[17:]}", "http://testserver/%00"):
        assert "You left" not in words(client.get(reverse(address), headers={"Referer": elsewhere}))
    Claim.objects.filter(case=case).update(released_at=other.opened_at, release="given_back")
    assert "You left" not in words(client.get(reverse(address), headers={"Referer": there}))


def test_read_next_goes_on_with_what_was_left(client, place, reader):
    case = held(place, reader, "P-1001")
    CaseFactory(scan=ScanFactory(institution=place, priority=Priority.STAT))
    assert client.post(reverse("worklist:next"))["Location"] == reverse("reading:case", args=[case.pk])


def test_read_next_over_the_api_goes_on_with_what_was_left(place, reader):
    case = held(place, reader, "P-1001")
    CaseFactory(scan=ScanFactory(institution=place, priority=Priority.STAT))
    api = bearer(reader)
    answer = api.post(f"{V1}/cases/next/").json()
    assert answer["case"] == str(case.pk)
    assert answer["claim_token"] == str(Claim.objects.get(case=case).token)
    assert api.post(f"{V1}/cases/{case.pk}/release/", {}, format="json").status_code == 204
    assert api.post(f"{V1}/cases/next/").json()["case"] != str(case.pk)
