"""The agreement page in a browser: no faults of access, and a number leads to its case."""

import pytest
from playwright.sync_api import expect

from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.browser.checks import in_each_look
from tests.browser.readers import faults_of
from tests.diagnostics.test_two_readers import disagreement, final, settle
from tests.factories import CaseFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(institution):
    institution.second_reader = SecondReader.ALL
    institution.save()
    named = [(Role.RADIOLOGIST, "anna"), (Role.RADIOLOGIST, "bert"), (Role.ADJUDICATOR, "judge")]
    return [person(role, institution, username=name) for role, name in named]


@in_each_look
def test_a_number_leads_to_its_case(page_as, institution, people, theme, viewport):
    page = page_as(Role.DATA_MANAGER, theme=theme, viewport=viewport)
    page.goto("/lab/agreement/")
    expect(page.get_by_text("No cases counted yet")).to_be_visible()
    assert faults_of(page) == []
    for number in range(4):
        case = CaseFactory(scan=ScanFactory(institution=institution, study__accession=f"ACC-{number}"))
        PredictionFactory(scan=case.scan, p=0.94)
        if number:
            final(people[0], case)
            final(people[1], case)
        else:
            settle(people[2], disagreement(case, *people[:2]))
    page.reload()
    expect(page.get_by_text("Fewer than 30 cases")).to_be_visible()
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="1 disagreed").click()
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="ACC-0").click()
    expect(page.get_by_role("heading", name="ACC-0")).to_be_visible()
