"""A server, people who are signed in, and an eye on the console: any error there fails the test."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from diagnostics.scans.access import Role
from diagnostics.scans.models import Institution
from portal.accounts import freshness
from portal.accounts.models import User
from tests import factories as made

NARROW = {"width": 390, "height": 780}
WIDE = {"width": 1280, "height": 800}
# What the policy refuses, told as an error also where Chromium itself would say nothing of it.
TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) =>
  console.error(`content security policy: ${violatedDirective} refused ${blockedURI} in ${sourceFile}`));
"""
# Generous, because two cores are shared by many.
expect.set_options(timeout=15_000)


class Console:
    """What the browser complained about. ``allow`` names what a test provokes on purpose."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.allowed: list[str] = []

    def allow(self, part: str) -> None:
        self.allowed.append(part)

    def watch(self, context: BrowserContext) -> None:
        context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.said.append(f"error: {error.error}"))

    def _on_console(self, message: Any) -> None:
        # Chromium reports a violation of the content security policy as an error on the console.
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")

    def unexpected(self) -> list[str]:
        return [line for line in self.said if not any(part in line for part in self.allowed)]


@pytest.fixture
def console() -> Iterator[Console]:
    watching = Console()
    yield watching
    assert not watching.unexpected(), "\n".join(watching.unexpected())


@pytest.fixture
def context() -> None:
    """In place of pytest-playwright's own, whose pages nobody watches."""
    pytest.fail("Open pages with open_page or page_as: only there an error on the console fails the test.")


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer, console: Console) -> Iterator[Callable[..., Page]]:
    """``open_page(user=None, theme="dark", viewport=WIDE, scripts=True)``: a fresh window, signed in or not.

    ``session`` is the key of a session that is open already; other options are the browser's own.
    """
    contexts: list[BrowserContext] = []
    cache.clear()  # counts of failed sign-ins outlive a test's database

    def opened(
        user: User | None = None,
        *,
        theme: str = "dark",
        viewport: dict[str, int] = WIDE,
        scripts: bool = True,
        session: str = "",
        **options: Any,
    ) -> Page:
        context = browser.new_context(
            base_url=live_server.url, viewport=viewport, java_script_enabled=scripts, **options
        )
        contexts.append(context)
        console.watch(context)
        cookies = [{"name": "theme", "value": theme, "url": live_server.url}]
        if user is not None:
            session = _session(user)
        if session:
            cookies.append({"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url})
        context.add_cookies(cookies)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


def _session(user: User) -> str:
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store[freshness.SESSION_KEY] = time.time()  # as if they had just come through the portal's door
    store.save()
    return str(store.session_key)


@pytest.fixture
def institution(live_server: LiveServer) -> Institution:
    return made.InstitutionFactory(code="north", name="North Clinic")


@pytest.fixture
def page_as(open_page: Callable[..., Page], institution: Institution) -> Callable[..., Page]:
    """``page_as(Role.RADIOLOGIST, theme=…, viewport=…)``: a window of somebody with that role in ``institution``.

    Their name to sign in with is the role's: "radiologist", "technologist" and so on.
    """

    def opened(role: Role, **options: Any) -> Page:
        name = str(role.value)
        user = User.objects.filter(username=name).first() or made.person(role, institution, username=name)
        if role in (Role.DATA_MANAGER, Role.ADMINISTRATOR):
            User.objects.filter(pk=user.pk).update(is_staff=True)
        return open_page(user, **options)

    return opened
