"""One's own keys in a browser: entered by pressing them, at work at once, and told where they collide."""

import pytest
from playwright.sync_api import expect

from diagnostics.scans.access import Role
from portal.accounts import preferences
from portal.accounts.keys import PageKeys
from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.conftest import NARROW
from tests.browser.readers import image_ready
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution, username="ada")


def test_keys_are_entered_by_pressing_them_and_work_on_the_reading_page(open_page, institution, reader, console):
    console.allow("400")
    page = open_page(reader)
    page.goto("/accounts/keys/")
    form = page.get_by_role("form", name="Reading page")
    invert, fit = form.get_by_label("Invert", exact=True), form.get_by_label("Fit", exact=True)
    invert.press("r")
    expect(form.get_by_text("Also the shortcut for: Rotate 90°")).to_be_visible()
    form.get_by_role("button", name="Save shortcuts").click()
    expect(page.get_by_text("Nothing was saved. Some shortcuts are not possible.")).to_be_visible()
    expect(page.get_by_text("“r” is also the shortcut for “Rotate 90°”.")).to_be_visible()
    assert_accessible(page)
    invert.press("7")
    expect(form.get_by_text("Also the shortcut for: Out of scope")).to_be_visible()
    invert.press("Shift+Digit7")
    expect(invert).to_have_value("Shift+7")
    expect(form.get_by_text("Also the shortcut for:")).to_have_count(0)
    fit.press("Backspace")
    fit.press("Enter")  # as in every form
    expect(page.get_by_text("Your shortcuts were saved.")).to_be_visible()
    keys = PageKeys(reader, "reading")
    assert (keys.key("invert"), keys.key("fit"), keys.key("rotate")) == ("Shift+7", "", "r")
    page.set_viewport_size(NARROW)
    assert_fits(page)

    case = CaseFactory(scan=ScanFactory(institution=institution))
    PredictionFactory(scan=case.scan, p=0.9)
    ClaimFactory(case=case, holder=reader)
    preferences.choose_keys(by=reader, page="reading", keys={"label-2": "]", "submit": ";"})
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    pressed = page.locator("[data-act=invert]")
    page.keyboard.press("i")
    expect(pressed).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Shift+Digit7")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.get_by_label("Glioma")).not_to_be_checked()
    page.keyboard.press("]")
    expect(page.get_by_label("Glioma")).to_be_checked()
    page.keyboard.press("?")
    panel = page.locator("[data-keys-panel]")
    expect(panel.locator("[data-binding=invert]")).to_have_text("Shift + 7 Invert")
    expect(panel.get_by_text("Fit", exact=True)).to_be_hidden()  # it has no key, so it is no key that works here
    # Whatever the server lets one change, a script heeds.
    # (no other scan of this patient: nothing to compare; one image: nothing to scroll)
    assert set(panel.get_attribute("data-unbound").split()) == {"compare", "link", "cine", "peak", "key-image"}
    page.keyboard.press("Escape")
    page.keyboard.press("8")
    page.keyboard.press(";")
    expect(page.get_by_role("button", name="Show AI result")).to_be_visible()
    image_ready(page)
    page.keyboard.press(";")
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")


def test_keys_of_the_worklist(open_page, institution, reader):
    CaseFactory(scan=ScanFactory(institution=institution))
    preferences.choose_keys(by=reader, page="worklist", keys={"next": "]", "search": "n"})
    page = open_page(reader)
    page.goto("/worklist/")
    expect(page.locator("[data-keys-panel]")).to_have_attribute("data-unbound", "")
    page.keyboard.press("n")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("]")
    expect(page.locator("[aria-current=step]")).to_have_text("Your read")
