"""What every page in a real browser must pass."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import NARROW, WIDE

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

# Each theme and each width in every run. The crossed pairs are slow (`make test-slow`): colours ask for no width.
in_each_look = pytest.mark.parametrize(
    ("theme", "viewport"),
    [
        pytest.param("dark", WIDE, id="dark-wide"),
        pytest.param("light", NARROW, id="light-narrow"),
        pytest.param("light", WIDE, id="light-wide", marks=pytest.mark.slow),
        pytest.param("dark", NARROW, id="dark-narrow", marks=pytest.mark.slow),
    ],
)

WIDTHS = """() => [innerWidth, document.documentElement.scrollWidth,
  [...document.querySelectorAll('main *, header *')]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && element.checkVisibility())
    .slice(-1).map((element) => element.outerHTML.slice(0, 160)).join()]"""


def assert_accessible(page: Page) -> None:
    """No rule of WCAG 2.2 AA that axe can check is broken on the page as it stands."""
    # Every rule runs; only what breaks one is described, for to describe what passed took much of the time.
    options = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
    results = Axe().run(page, options=options)
    broken = [
        f"{rule['id']}: {rule['help']}\n    " + "\n    ".join(node["html"][:200] for node in rule["nodes"])
        for rule in results.response["violations"]
    ]
    assert not broken, f"{page.url}\n" + "\n".join(broken)


def assert_fits(page: Page) -> None:
    """The page needs no scrolling sideways."""
    width, wanted, widest = page.evaluate(WIDTHS)
    assert wanted <= width, f"{page.url} is {wanted} px wide in a window of {width} px: {widest}"
