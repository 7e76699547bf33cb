"""Drafts and undo in a browser: nothing entered is lost, a failure stays in sight, a slip is taken back."""

import pytest
from playwright.sync_api import expect

from diagnostics.models import Draft, Read
from diagnostics.scans.access import Role
from tests.browser.readers import faults_of, image_ready
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def page(open_page, institution, reader):
    case = CaseFactory(scan=ScanFactory(institution=institution, study__accession="ACC-1"))
    PredictionFactory(scan=case.scan, p=0.9)
    ClaimFactory(case=case, holder=reader)
    page = open_page(reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    return page


def test_what_is_entered_saves_itself_and_survives_a_reload(page):
    page.keyboard.press("3")
    page.get_by_label("Comment (optional)").fill("At the falx.")
    expect(page.locator("[data-draft-state]")).to_contain_text("Saved")
    page.reload()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    expect(page.get_by_label("Comment (optional)")).to_have_value("At the falx.")
    assert faults_of(page) == []
    for key in ("Escape", "8", "n"):
        page.keyboard.press(key)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    expect(page.get_by_label("Comment (optional)")).to_have_value("")
    assert not Draft.objects.exists()


def test_a_draft_that_cannot_be_saved_stays_in_sight_until_it_can(page, console):
    console.allow("Failed to load resource")
    page.route("**/draft/", lambda route: route.abort())
    page.keyboard.press("3")
    expect(page.locator("[data-draft-failed]")).to_be_visible()
    page.unroute("**/draft/")
    page.keyboard.press("2")
    expect(page.locator("[data-draft-state]")).to_contain_text("Saved")
    expect(page.locator("[data-draft-failed]")).to_be_hidden()
    assert Draft.objects.get().entries["label"] == "glioma"


def test_a_slip_is_undone_by_key(page):
    for key in ("5", "8", "n"):
        page.keyboard.press(key)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    for key in ("k", "n"):
        page.keyboard.press(key)
    expect(page.get_by_text("Submitted: ACC-1")).to_be_visible()
    assert faults_of(page) == []
    page.keyboard.press("u")
    expect(page.get_by_label("Keep mine")).to_be_checked()
    assert not Read.objects.filter(kind="final").exists()
    page.keyboard.press("n")
    expect(page.get_by_text("Submitted: ACC-1")).to_be_visible()
    expect(page.get_by_text("Submitted: ACC-1")).to_be_hidden()  # by itself, after ten seconds
    assert Read.objects.filter(kind="final").count() == 1
