"""Patients, own reads and the audit in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import Role
from portal.accounts.models import User
from tests import factories as made
from tests.browser.checks import assert_accessible, assert_fits, in_each_look

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@in_each_look
def test_history_pages_are_accessible(
    page_as: Callable[..., Page], institution: object, theme: str, viewport: dict[str, int]
) -> None:
    scan = made.ScanFactory(institution=institution)
    made.PredictionFactory(scan=scan)
    case = made.CaseFactory(scan=scan)
    page = page_as(Role.RADIOLOGIST, theme=theme, viewport=viewport)
    reader = User.objects.get(username="radiologist")
    claim = worklist.claim(by=reader, case=case)
    for kind, reason in (("blind", ""), ("final", "false_positive")):
        reading.record_read(
            by=reader,
            case=case,
            claim_token=claim.token,
            kind=kind,
            label="no_tumour",
            certainty="certain",
            reason=reason,
        )
    for path in ("/history/patients/", f"/history/patients/{scan.patient_id}/", "/history/my-reads/"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
    expect(page.get_by_text("Overridden")).to_be_visible()
    admin = page_as(Role.ADMINISTRATOR, theme=theme, viewport=viewport)
    admin.goto("/history/audit/")
    expect(admin.get_by_text("radiologist recorded a final read")).to_be_visible()
    assert_accessible(admin)
    assert_fits(admin)


def test_audit_filter_stays_in_the_address(page_as: Callable[..., Page], institution: object) -> None:
    case = made.CaseFactory(scan=made.ScanFactory(institution=institution))
    reader = made.person(Role.RADIOLOGIST, institution, username="rita")
    claim = worklist.claim(by=reader, case=case)
    worklist.release(by=reader, case=case, claim_token=claim.token)
    page = page_as(Role.ADMINISTRATOR)
    page.goto("/history/audit/")
    page.get_by_label("Act").select_option("claim_released")
    expect(page).to_have_url(re.compile("act=claim_released"))
    expect(page.get_by_text("released a case unread")).to_be_visible()
    expect(page.get_by_text("claimed a case")).to_have_count(0)
