"""The agreement page and its API: numbers, links to their cases, and a word where there is too little to say."""

import pytest
from django.urls import reverse

from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_two_readers import disagreement, settle
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer

pytestmark = pytest.mark.django_db
PAGE = "/lab/agreement/"


@pytest.fixture
def place():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def manager(place, client):
    user = person(Role.DATA_MANAGER, place)
    client.force_login(user)
    return user


@pytest.fixture
def settled(place):
    scan = ScanFactory(institution=place, study__accession="ACC-7")
    PredictionFactory(scan=scan, p=0.94)
    case = CaseFactory(scan=scan)
    disagreement(case, person(Role.RADIOLOGIST, place, username="anna"), person(Role.RADIOLOGIST, place))
    settle(person(Role.ADJUDICATOR, place), case)
    return case


def test_page_without_any_case_says_what_to_do(client, manager):
    html = client.get(PAGE).content.decode()
    assert "No cases counted yet" in html and "No figures yet" in html


def test_each_number_opens_its_cases(client, manager, settled):
    html = client.get(PAGE).content.decode()
    assert "Fewer than 30 cases" in html and "anna · " in html
    for query in ("key=all", "key=all&disagreed=1", "key=glioma", "flip=right", "flip=wrong"):
        answer = client.get(reverse("lab:agreement-cases") + "?" + query)
        assert ("ACC-7" in answer.content.decode()) is (query in ("key=all", "key=all&disagreed=1")), query
    assert client.get(PAGE, {"said": "x"}).status_code == 400
    assert client.get(reverse("lab:agreement-cases"), {"flip": "x"}).status_code == 400


def test_links_keep_what_was_chosen(client, manager, settled):
    html = client.get(PAGE, {"said": "blind", "cases": "all"}).content.decode()
    assert "?said=blind&amp;cases=all&amp;key=all&amp;disagreed=1" in html


def test_api_gives_the_same_numbers(manager, settled):
    got = bearer(manager).get(f"{V1}/metrics/agreement/").json()
    assert (got["overall"]["n"], got["overall"]["disagreed"], got["overall"]["percent"]["value"]) == (1, 1, 0.0)
    assert got["flips"]["right_before"] == 1 and got["flips"]["wrong_before"] == 1
    assert_problem(bearer(manager).get(f"{V1}/metrics/agreement/?said=loud"), 400)
