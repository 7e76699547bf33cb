"""Drafts and undo in a browser: nothing entered is lost, a failure stays in sight, a slip is taken back."""

import re

import pytest
from django.conf import settings
from playwright.sync_api import expect

from diagnostics.models import Draft, Read
from diagnostics.scans.access import Role
from tests.browser.readers import faults_of, image_ready, show_ai_result
from tests.factories import PASSWORD, CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

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
    show_ai_result(page)
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
    show_ai_result(page)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    for key in ("k", "n"):
        page.keyboard.press(key)
    expect(page.get_by_text("Submitted: ACC-1")).to_be_visible()
    assert faults_of(page) == []
    page.keyboard.press("u")
    expect(page.get_by_label("Confirm Tumour")).to_be_checked()
    assert not Read.objects.filter(kind="final").exists()
    page.keyboard.press("n")
    expect(page.get_by_text("Submitted: ACC-1")).to_be_visible()
    expect(page.get_by_text("Submitted: ACC-1")).to_be_hidden()  # by itself, after ten seconds
    assert Read.objects.filter(kind="final").count() == 1


def test_a_session_that_ended_costs_nothing_of_what_was_entered(page, reader, console):
    console.allow("401")
    console.allow("403")  # the token of before
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.keyboard.press("3")
    signed_out = page.locator("[data-signed-out]")
    expect(signed_out).to_be_visible()
    expect(page.locator("[data-draft-failed]")).to_contain_text("You are signed out.")
    assert faults_of(page) == []
    page.keyboard.press("8")
    page.keyboard.press("n")
    expect(signed_out).to_be_in_viewport()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    assert not Read.objects.exists()
    sign_in(page, reader)
    expect(signed_out).to_be_hidden()
    expect(page.locator("[data-draft-state]")).to_contain_text("Saved")
    page.keyboard.press("n")
    show_ai_result(page)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    assert Read.objects.get().label == "meningioma"


def test_nothing_that_was_entered_goes_out_under_another_name(page, institution, console):
    console.allow("401")
    console.allow("403")  # the token of before
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.keyboard.press("3")
    expect(page.locator("[data-signed-out]")).to_be_visible()
    sign_in(page, person(Role.RADIOLOGIST, institution))
    page.keyboard.press("8")
    page.keyboard.press("n")
    expect(page.locator("[data-signed-out]")).to_be_visible()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    assert not Draft.objects.exists()
    assert not Read.objects.exists()


def test_a_read_is_not_sent_into_the_void(page, console):
    console.allow("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    for key in ("3", "8", "n"):
        page.keyboard.press(key)
    expect(page.locator("[data-cut-off]")).to_be_in_viewport()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    page.context.set_offline(False)
    expect(page.locator("[data-draft-state]")).to_contain_text("Saved")
    expect(page.locator("[data-cut-off]")).to_be_hidden()
    page.keyboard.press("n")
    show_ai_result(page)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    assert Read.objects.get().label == "meningioma"


def test_a_second_press_before_the_answer_is_none(page):
    page.route("**/blind/", lambda route: (page.wait_for_timeout(500), route.continue_()))
    for key in ("3", "8", "n", "n", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    expect(page.locator("[aria-current=step]")).to_have_text("Final read")
    expect(page.locator("[data-refusal]")).to_have_count(0)
    assert Read.objects.count() == 1


def test_page_that_answers_a_form_can_be_loaded_anew(page, console):
    console.allow("400")
    address = page.url
    page.keyboard.press("3")
    page.keyboard.press("n")  # without a certainty
    expect(page.locator(".field__error")).to_be_visible()
    assert page.url == address
    expect(page.locator("[data-draft-state]")).to_contain_text("Saved")
    page.reload()
    image_ready(page)
    expect(page.get_by_label("Meningioma")).to_be_checked()


def test_what_was_entered_last_is_kept_when_one_leaves_at_once(page):
    page.keyboard.press("3")
    page.keyboard.press("b")
    expect(page).to_have_url(re.compile("/worklist/"))
    page.go_back()
    image_ready(page)
    expect(page.get_by_label("Meningioma")).to_be_checked()


def sign_in(page, user):
    """In another tab of the same browser, and back."""
    other = page.context.new_page()
    other.goto("/accounts/sign-in/")
    other.get_by_label("Username").fill(user.username)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.locator(".who__name")).to_be_visible()
    other.close()
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")  # a browser without a screen never loses it


@pytest.mark.parametrize("chosen", ["Keep this page's", "Use the other tab's"])
def test_an_older_tab_does_not_overwrite_the_newer_ones_draft(page, console, chosen):
    console.allow("409")
    older, newer = page, page.context.new_page()
    newer.goto(page.url)
    image_ready(newer)
    newer.keyboard.press("3")
    newer.get_by_label("Comment (optional)").fill("Newer, at the falx.")
    expect(newer.locator("[data-draft-state]")).to_contain_text("Saved")
    older.bring_to_front()
    older.keyboard.press("2")
    older.get_by_label("Comment (optional)").fill("Older.")
    conflict = older.locator("[data-draft-conflict]")
    expect(conflict).to_be_visible()
    for part in ("Meningioma", "Newer, at the falx.", "Glioma", "Older."):
        expect(conflict).to_contain_text(part)
    assert faults_of(older) == []
    assert Draft.objects.get().entries["comment"] == "Newer, at the falx."
    conflict.get_by_role("button", name=chosen).press("Enter")
    expect(conflict).to_be_hidden()
    expect(older.locator("[data-draft-state]")).to_contain_text("Saved")
    label, comment = ("Glioma", "Older.") if "this page" in chosen else ("Meningioma", "Newer, at the falx.")
    expect(older.get_by_label(label)).to_be_checked()
    with older.expect_response("**/draft/") as saved:
        older.get_by_label("Comment (optional)").fill(f"{comment} And more.")
    assert saved.value.ok
    expect(conflict).to_be_hidden()
    older.reload()
    image_ready(older)
    expect(older.get_by_label("Comment (optional)")).to_have_value(f"{comment} And more.")
    expect(older.get_by_label(label)).to_be_checked()
    assert not older.locator("[data-draft-aside]").count(), "its own was chosen, or given up by choice"
