"""The door and the account page in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from diagnostics.scans.access import Role
from portal.accounts.models import ApiToken
from tests import factories as made
from tests.browser.checks import assert_accessible, assert_fits, in_each_look
from tests.browser.conftest import NARROW, Console

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_sign_in_with_the_right_password_opens_the_place_of_work(
    open_page: Callable[..., Page], institution: object
) -> None:
    made.person(Role.TECHNOLOGIST, institution, username="ted")
    page = open_page()
    page.goto("/scans/")
    expect(page).to_have_url(re.compile("/accounts/sign-in/"))
    page.get_by_label("Username").fill("ted")
    page.get_by_label("Password").fill(made.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/scans/$"))
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


@in_each_look
def test_door_is_accessible(open_page: Callable[..., Page], theme: str, viewport: dict[str, int]) -> None:
    page = open_page(theme=theme, viewport=viewport)
    page.goto("/accounts/sign-in/")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Incorrect username or password")
    assert_accessible(page)
    assert_fits(page)


@in_each_look
def test_account_page_is_accessible(page_as: Callable[..., Page], theme: str, viewport: dict[str, int]) -> None:
    page = page_as(Role.ADMINISTRATOR, theme=theme, viewport=viewport)
    page.goto("/accounts/")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    assert_accessible(page)
    assert_fits(page)


def test_theme_toggle_changes_the_page_at_once_and_is_kept(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.RADIOLOGIST)
    page.goto("/accounts/")
    page.get_by_role("button", name="Use the light theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_theme_toggle_without_scripts_comes_back_to_the_page(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.RADIOLOGIST, scripts=False)
    page.goto("/accounts/")
    page.get_by_role("button", name="Use the light theme").click()
    expect(page).to_have_url(re.compile("/accounts/$"))
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_token_is_shown_once_and_can_be_revoked(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.RADIOLOGIST)
    page.goto("/accounts/")
    page.get_by_label("Name", exact=True).fill("PACS bridge")
    page.get_by_role("button", name="Create token").click()
    shown = page.locator("#token").text_content() or ""
    assert ApiToken.objects.get().digest == ApiToken.digest_of(shown)
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    page.goto("/accounts/")
    expect(page.get_by_text(shown)).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke PACS bridge").click()
    expect(page.get_by_text("was revoked. It no longer works.")).to_be_visible()
    assert ApiToken.objects.get().revoked_at is not None


def test_narrow_menu_opens_and_leads_on(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.TECHNOLOGIST, viewport=NARROW)
    page.goto("/accounts/")
    expect(page.get_by_role("link", name="Scans")).to_be_hidden()
    page.get_by_role("button", name="Menu", exact=True).click()
    page.get_by_role("link", name="Scans").click()
    expect(page.get_by_role("heading", name="Scans", exact=True)).to_be_visible()


def test_skip_link_is_the_first_stop(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/accounts/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_stranger_gets_a_page_that_says_so(page_as: Callable[..., Page], console: Console) -> None:
    console.allow("status of 404")
    page = page_as(Role.TECHNOLOGIST)
    answer = page.goto("/nowhere/")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    assert_accessible(page)


@pytest.mark.parametrize("path", ["", "accounts/user/", "accounts/user/add/", "accounts/apitoken/"])
def test_admin_works_under_the_strict_policy(page_as: Callable[..., Page], path: str) -> None:
    page = page_as(Role.ADMINISTRATOR)
    answer = page.goto(f"/admin/{path}")
    assert answer is not None
    assert answer.status == 200
    assert "'unsafe" not in answer.headers["content-security-policy"]
    expect(page.locator("#content")).to_be_visible()


def test_administrator_adds_a_person_and_makes_a_token(page_as: Callable[..., Page]) -> None:
    page = page_as(Role.ADMINISTRATOR)
    page.goto("/admin/accounts/user/add/")
    page.get_by_label("Username").fill("newcomer")
    page.get_by_label("Password").fill("a fine long sentence")
    page.get_by_label("Institution").select_option("north")
    page.get_by_label("Role").select_option("radiologist")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("newcomer can sign in now.")).to_be_visible()
    page.get_by_role("link", name="Create an API token").click()
    page.get_by_label("Name").fill("bridge")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_text("Copy the token now")).to_be_visible()
    token = ApiToken.objects.get()
    assert token.user.username == "newcomer"
    assert token.usable
