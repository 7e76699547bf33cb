"""The worklist in a browser: keys, live rows, nothing that a screen reader stumbles over."""

import pytest
from playwright.sync_api import expect

from diagnostics.models import Claim
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority
from tests.browser.checks import in_each_look
from tests.browser.readers import faults_of, image_ready
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def waiting(institution, accession, **scan):
    return CaseFactory(scan=ScanFactory(institution=institution, study__accession=accession, **scan))


@pytest.fixture
def cases(institution):
    """A case of each kind of row."""
    stat = waiting(institution, "STAT", priority=Priority.STAT)
    PredictionFactory(scan=stat.scan)
    PredictionFactory(scan=waiting(institution, "RUNNING", priority=Priority.URGENT).scan, running=True)
    PredictionFactory(scan=waiting(institution, "FAILED").scan, failed=True)
    ClaimFactory(case=waiting(institution, "THEIRS"))
    return stat


@in_each_look
def test_worklist_has_no_faults_of_access(page_as, cases, theme, viewport):
    page = page_as(Role.RADIOLOGIST, theme=theme, viewport=viewport)
    for tab in ("unclaimed", "mine", "others"):
        page.goto(f"/worklist/?tab={tab}")
        assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_row_changes_by_itself_when_its_result_lands(page_as, institution):
    scan = waiting(institution, "ACC-1").scan
    prediction = PredictionFactory(scan=scan, queued=True)
    page = page_as(Role.RADIOLOGIST)
    page.goto("/worklist/")
    row = page.get_by_role("row", name="ACC-1")
    expect(row).to_contain_text("Queued")
    page.keyboard.press("j")
    expect(row.get_by_role("button")).to_be_focused()
    prediction.delete()
    PredictionFactory(scan=scan)
    expect(row).to_contain_text("Ready")
    expect(row.get_by_role("button")).to_be_focused()


def test_moving_along_the_rows_by_key_and_opening_one(page_as, institution):
    first, second = waiting(institution, "FIRST"), waiting(institution, "SECOND")
    page = page_as(Role.RADIOLOGIST)
    page.goto("/worklist/")
    for key, accession in (("j", "FIRST"), ("j", "SECOND"), ("j", "SECOND"), ("k", "FIRST"), ("j", "SECOND")):
        page.keyboard.press(key)
        expect(page.get_by_role("row", name=accession).get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    image_ready(page)
    assert str(second.pk) in page.url
    assert Claim.objects.get().case == second
    assert str(first.pk) not in page.url


def test_keys_rest_while_somebody_types(page_as, institution):
    waiting(institution, "ACC-1")
    page = page_as(Role.RADIOLOGIST)
    page.goto("/worklist/")
    page.keyboard.press("/")
    page.keyboard.type("n?jk")
    expect(page.get_by_label("Patient or accession")).to_have_value("n?jk")
    expect(page.locator("[data-keys-panel]")).to_be_hidden()
    assert not Claim.objects.exists()


def test_read_next_by_key(page_as, institution):
    waiting(institution, "ROUTINE")
    urgent = waiting(institution, "STAT", priority=Priority.STAT)
    page = page_as(Role.RADIOLOGIST)
    page.goto("/worklist/")
    page.keyboard.press("n")
    image_ready(page)
    assert str(urgent.pk) in page.url


def test_list_of_keys_shows_only_what_works(page_as, institution):
    page = page_as(Role.DATA_MANAGER)
    page.goto("/worklist/")
    page.keyboard.press("?")
    panel = page.locator("[data-keys-panel]")
    expect(panel.get_by_text("Search patients")).to_be_visible()
    expect(panel.get_by_text("Read next")).to_be_hidden()
    expect(panel.get_by_text("Next case in the list")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_keys_that_were_switched_off(page_as, institution):
    waiting(institution, "ACC-1")
    page = page_as(Role.RADIOLOGIST)
    page.goto("/worklist/")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Turn off shortcuts in this browser").check()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.reload()
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    assert not Claim.objects.exists()


def test_worklist_without_scripts(open_page, institution):
    waiting(institution, "ACC-1")
    page = open_page(person(Role.RADIOLOGIST, institution), scripts=False)
    page.goto("/worklist/")
    page.get_by_role("button", name="Read ACC-1").click()
    expect(page.get_by_role("heading", name="ACC-1")).to_be_visible()
    assert Claim.objects.count() == 1
