"""Leaving a case unread: the page where one lands says so, and offers to go on or to release it, by keyboard too."""

import re

import pytest
from playwright.sync_api import expect

from diagnostics.models import Claim
from diagnostics.scans.access import Role
from tests.browser.readers import faults_of, image_ready
from tests.factories import CaseFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_case_left_unread_is_released_or_gone_on_with(open_page, institution):
    reader = person(Role.RADIOLOGIST, institution)
    for pseudonym in ("P-1001", "P-1002"):
        CaseFactory(scan=ScanFactory(institution=institution, patient__pseudonym=pseudonym))
    page = open_page(reader)
    page.goto("/worklist/")
    page.keyboard.press("n")
    image_ready(page)
    left = page.url
    page.keyboard.press("b")
    notice = page.locator("[data-unfinished]")
    expect(notice).to_contain_text("1 unfinished")
    expect(notice).to_contain_text("You left P-1001 unread.")
    assert faults_of(page) == []
    # Read next goes back to it, and so does Continue.
    page.keyboard.press("n")
    expect(page).to_have_url(left)
    image_ready(page)
    page.get_by_role("link", name="P-1001").click()
    expect(page).to_have_url(re.compile("/patients/"))
    expect(notice).to_contain_text("You left P-1001 unread.")
    assert faults_of(page) == []
    notice.get_by_role("link", name="Continue").press("Enter")
    expect(page).to_have_url(left)
    image_ready(page)
    page.keyboard.press("b")
    notice.get_by_role("button", name="Release").press("Enter")
    expect(page.get_by_text("Other readers can claim it now.")).to_be_visible()
    expect(notice).to_have_count(0)
    assert Claim.objects.get().release == "given_back"
