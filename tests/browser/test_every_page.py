"""Every page of the portal, found by itself: WCAG by axe, zoom, motion, the keyboard, and a silent console.

The pages are those that ``tests/access/table.py`` lists and that answer with HTML, each met by the first of its people
who gets it. A new address has to be in that table, so a new page is looked at here without being named.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.urls import reverse
from playwright.sync_api import Page, expect

from diagnostics import pipeline
from tests.access import table
from tests.access.test_access import ALL, Line
from tests.access.world import World, build
from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Whoever meets most of a page comes first.
WHO = ("radiologist", "adjudicator", "administrator", "data_manager", "technologist", "nobody")
ZOOMED = {"width": 640, "height": 400}  # 1280 × 800 at 200 %
REFLOWED = {"width": 320, "height": 512}  # WCAG 1.4.10
# Swagger UI's markup and colours are its makers': it nests controls and greys its badges. The page keeps to the policy
# and fits; what it says stands in docs/api.md and in the schema, too.
NOT_OURS = ("/api/docs/",)
PARTS = 2  # so that two processes share them; each asks for every page once to find them
# Tab stops after which a page is left: whatever comes later is more of the same rows.
MOST_STOPS = 120


@dataclass(frozen=True)
class Place:
    """One page and who looks at it."""

    address: str
    who: str


@pytest.fixture
def world(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    cache.clear()
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    return build()


def address_of(line: Line, world: World) -> str:
    arguments = table.arguments_of(line.name, world.rows[line.word] if line.word else None)
    return reverse(line.name, args=arguments)


def places(world: World) -> Iterator[Place]:
    """Every page, once."""
    for line in ALL:
        if line.method != "GET":
            continue
        who = next((each for each in WHO if "200" in line.expected[each].split("|")), None)
        if who is None:
            continue
        address = address_of(line, world)
        answer = world.client(who, token=False).get(address)
        answer.close()  # of a file only what it is counts here
        if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html"):
            continue
        if answer.content.lstrip().lower().startswith(b"<!doctype html"):  # else a part of a page, for htmx
            yield Place(address, who)
    for word in ("held", "settled", "returned", "done"):  # the reading page, step by step
        who = "adjudicator" if word == "settled" else "radiologist"
        yield Place(reverse("reading:case", args=[world.rows[word]]), who)


def opened(place: Place, world: World, open_page: Any, **options: Any) -> Page:
    page = window_of(place.who, world, open_page, **options)
    go_to(page, place)
    return page


def window_of(who: str, world: World, open_page: Any, **options: Any) -> Page:
    page: Page = open_page(session=world.sessions.get(who, ""), reduced_motion="reduce", **options)
    return page


def go_to(page: Page, place: Place) -> None:
    page.goto(place.address)
    viewer = page.locator("[data-viewer]")
    if viewer.count():
        expect(viewer).to_have_attribute("data-state", "ready")


def faults(page: Page, place: Place) -> list[str]:
    """What axe and the width find wrong with the page as it stands."""
    judged = [] if place.address in NOT_OURS else said(assert_accessible, page)
    return judged + said(assert_fits, page)


def said(act: Any, *arguments: Any) -> list[str]:
    """What an assertion complained about."""
    try:
        act(*arguments)
    except AssertionError as fault:
        return [str(fault)]
    return []


MOVING = """() => document.getAnimations()
  .filter(({ effect }) => effect.getComputedTiming().activeDuration > 20 || effect.getComputedTiming().iterations > 1)
  .map(({ effect }) => effect.target?.className)"""


@pytest.mark.timeout(600)  # seconds on a quiet machine; minutes beside others
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_accessible_and_fits(open_page, world, part):
    """Dark at 1280 wide, and it fits at 390; the slow test has both themes, every width and no motion."""
    wrong: list[str] = []
    windows: dict[str, Page] = {}  # one for each person: to open one costs as much as a page
    for place in list(places(world))[part::PARTS]:
        if place.who not in windows:
            windows[place.who] = window_of(place.who, world, open_page, theme="dark", viewport=WIDE)
        page = windows[place.who]
        page.set_viewport_size(WIDE)
        go_to(page, place)
        wrong += faults(page, place)
        page.set_viewport_size(NARROW)
        wrong += said(assert_fits, page)
    assert wrong == [], "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_page_is_accessible_in_each_theme_at_each_width_and_still(open_page, world):
    wrong: list[str] = []
    for place in places(world):
        for theme in ("dark", "light"):
            page = opened(place, world, open_page, theme=theme, viewport=WIDE)
            moving = page.evaluate(MOVING)
            if moving and place.address not in NOT_OURS:
                wrong.append(f"{place.address} moves although less motion is asked for: {moving}")
            for size in (WIDE, NARROW, ZOOMED, REFLOWED):
                page.set_viewport_size(size)
                wrong += faults(page, place)
            page.context.close()
    assert wrong == [], "\n".join(wrong)


FOCUSED = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const all = window.overreadStops ??= new Map();
  // A field for a date has a stop for day, month and year each.
  if (element === window.overreadLast) return { same: true };
  window.overreadLast = element;
  if (all.has(element)) return { again: true };
  all.set(element, true);
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  const ring = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none';
  // A radio button without a look of its own shows the focus on its row.
  const row = element.closest('label, .option, summary');
  const shows = ring || (row && row !== element && getComputedStyle(row).outlineStyle !== 'none');
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const [x, y] = [Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1),
    Math.min(Math.max(box.top + box.height / 2, 1), innerHeight - 1)];
  const top = document.elementFromPoint(x, y);
  const covered = Boolean(top && !element.contains(top) && !top.contains(element) && !row?.contains(top));
  return { shows: Boolean(shows), inside, covered, html: element.outerHTML.slice(0, 120) };
}"""

REACHABLE = """() => [
    ...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((element) => !element.disabled && element.tabIndex >= 0
    && element.checkVisibility({ visibilityProperty: true })
    && element.type !== 'hidden' && !window.overreadStops?.has(element)
    && !(element.type === 'radio' && [...window.overreadStops.keys()].some((stop) => stop.name === element.name)))
  .map((element) => element.outerHTML.slice(0, 120))"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_page_is_walked_by_the_tab_key_with_the_focus_in_sight(open_page, world):
    wrong: list[str] = []
    for place in places(world):
        page = opened(place, world, open_page, viewport=WIDE)
        ends = 0
        for _ in range(MOST_STOPS):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUSED)
            ends += stop is None
            # Where a field has the focus from the start, what stands before it comes after the page's end.
            if ends > 1 or (stop and stop.get("again")):
                break
            if stop is None or stop.get("same") or place.address in NOT_OURS:
                continue
            for fault, there in (
                ("without a visible focus", not stop["shows"]),
                ("outside of the window", not stop["inside"]),
                ("hidden behind something", stop["covered"]),
            ):
                if there:
                    wrong.append(f"{place.address}: {fault}: {stop['html']}")
        else:
            page.context.close()
            continue
        if place.address not in NOT_OURS:
            wrong += [f"{place.address}: Tab does not reach {html}" for html in page.evaluate(REACHABLE)]
        page.context.close()
    assert wrong == [], "\n".join(wrong)


def test_every_list_of_the_admin_keeps_the_policy(open_page, world):
    """Django's own pages: its markup is not ours to judge, but nothing may break the policy or the console."""
    page = open_page(session=world.sessions["superuser"])
    for model in admin.site._registry:
        answer = page.goto(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        assert answer is not None and answer.status in (200, 403), model


def test_violation_of_the_policy_fails_the_test_that_meets_it(open_page, console):
    page = open_page()
    page.goto("/accounts/sign-in/")
    page.wait_for_timeout(100)
    assert console.said == []
    console.allow("style-src")  # for the fixture's own judgement at the end; what it heard is asked here
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.wait_for_timeout(300)
    assert any("content security policy: style-src" in line for line in console.said)
