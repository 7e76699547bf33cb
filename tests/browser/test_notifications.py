"""Notifications, comments and two scans side by side in a real browser."""

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from diagnostics.reviews import worklist
from diagnostics.scans.access import Role
from portal.accounts.models import User
from tests import factories as made
from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_mention_by_keyboard_reaches_a_colleagues_bell_and_thread(
    page_as: Callable[..., Page], institution: object
) -> None:
    case = made.CaseFactory(scan=made.ScanFactory(institution=institution))
    made.person(Role.RADIOLOGIST, institution, username="radiologist")
    page = page_as(Role.TECHNOLOGIST)
    page.goto(f"/cases/{case.pk}/comments/")
    field = page.get_by_label("Write a comment")
    field.press_sequentially("Moved, @rad")
    expect(page.get_by_role("option", name="@radiologist")).to_be_visible()
    assert_accessible(page)
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("Moved, @radiologist ")
    expect(page.get_by_role("listbox")).to_have_count(0)
    # As somebody does who draws the field larger by its corner: htmx must not try to carry that over.
    field.evaluate("(field) => (field.style.height = '120px')")
    field.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Moved, @radiologist")).to_be_visible()
    expect(field).to_have_value("")

    reader = page_as(Role.RADIOLOGIST, viewport=NARROW, theme="light")
    reader.goto("/worklist/")
    reader.get_by_role("link", name="1 new notification").click()
    expect(reader.get_by_role("heading", name="Notifications")).to_be_visible()
    assert_accessible(reader)
    assert_fits(reader)
    reader.get_by_role("link", name="You were mentioned in a comment").click()
    expect(reader).to_have_url(re.compile(f"/cases/{case.pk}/#comments"))
    expect(reader.get_by_text("Moved, @radiologist")).to_be_visible()
    expect(reader.get_by_role("link", name="Notifications, none new")).to_be_visible()


def test_bell_learns_of_news_by_itself(page_as: Callable[..., Page], institution: object) -> None:
    page = page_as(Role.RADIOLOGIST)
    page.clock.install()
    page.goto("/worklist/")
    expect(page.get_by_role("link", name="Notifications, none new")).to_be_visible()
    judge = made.person(Role.ADJUDICATOR, institution)
    case = made.CaseFactory(scan=made.ScanFactory(institution=institution))
    worklist.assign(by=judge, cases=[case], to=User.objects.get(username="radiologist"))
    page.clock.fast_forward(61_000)
    expect(page.get_by_role("link", name="1 new notification")).to_be_visible()


@pytest.mark.parametrize(("theme", "viewport"), [("dark", WIDE), ("light", NARROW)], ids=["wide", "narrow"])
def test_two_scans_are_chosen_and_compared(
    page_as: Callable[..., Page], institution: object, theme: str, viewport: dict[str, int]
) -> None:
    new = made.ScanFactory(institution=institution, study__date=date(2026, 3, 5))
    old = made.ScanFactory(
        institution=institution, patient=new.patient, study__patient=new.patient, study__date=date(2026, 1, 5)
    )
    page = page_as(Role.RADIOLOGIST, theme=theme, viewport=viewport)
    page.goto(f"/history/patients/{new.patient_id}/")
    page.get_by_label(f"Compare {new.study.accession}").check()
    page.get_by_role("button", name="Compare the two selected scans").click()
    expect(page.get_by_text("Choose two scans to compare.")).to_be_visible()
    for scan in (new, old):
        page.get_by_label(f"Compare {scan.study.accession}").check()
    assert_accessible(page)
    assert_fits(page)
    page.get_by_role("button", name="Compare the two selected scans").click()
    expect(page.locator("[data-viewer][data-state=ready]")).to_be_visible()
    for canvas in ("[data-canvas]", "[data-prior-canvas]"):
        box = page.locator(canvas).bounding_box()
        assert box is not None and box["width"] > 150 and box["height"] > 150, canvas
    expect(page.locator("[data-prior-loading]")).to_be_hidden()
    expect(page.get_by_role("heading", name=f"Earlier: {old.study.accession}")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)
