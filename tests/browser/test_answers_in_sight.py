"""What the AI says and every answer to it are in sight together: whatever is below the fold is chosen less."""

import pytest
from playwright.sync_api import expect

from diagnostics.models import Read
from diagnostics.reviews import reading
from diagnostics.scans.access import Role
from tests.browser.readers import image_ready
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LAPTOP, WIDER, PHONE = ({"width": w, "height": h} for w, h in ((1280, 720), (1366, 768), (390, 844)))
# What must be seen, each with its whole box: within the window, and not under the buttons that stay at the bottom.
HIDDEN = """(names) => {
  const foot = document.querySelector('.decision__do').getBoundingClientRect();
  const head = document.querySelector('header').getBoundingClientRect();
  const top = getComputedStyle(document.querySelector('header')).position === 'static' ? 0 : head.bottom;
  const panel = document.querySelector('[data-panel]').getBoundingClientRect();
  const hidden = [];
  if (foot.bottom > innerHeight + 1 || foot.top < 0) hidden.push(`buttons ${foot.top} to ${foot.bottom}`);
  for (const name of names) {
    const found = [...document.querySelectorAll(name)].filter((each) => each.checkVisibility());
    if (found.length === 0) hidden.push(`no ${name}`);
    for (const each of found) {
      const box = each.getBoundingClientRect();
      if (box.top < Math.max(top, panel.top, 0) - 1 || box.bottom > foot.top + 1)
        hidden.push(`${name} ${each.textContent.trim().slice(0, 30)}: ${box.top} to ${box.bottom}, foot ${foot.top}`);
    }
  }
  return hidden;
}"""
ANSWERS = ["[data-choices] .option", "[data-certainties] .option"]
SIDE = "[data-beside] select"  # of a tumour, in one line
PROBABILITIES = {"meningioma": 0.8731, "glioma": 0.1, "no_tumour": 0.02, "pituitary": 0.0069}


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution, username="ada")


@pytest.fixture
def revealed(institution, reader, open_page):
    """``revealed(viewport, own="glioma", warnings=(), theme="dark", locale="en")``: a page on which the AI's
    "meningioma" stands revealed beside the reader's own blind read."""

    def opened(viewport, *, own="glioma", warnings=(), theme="dark", locale="en"):
        scan = ScanFactory(institution=institution, study__accession="ACC-2026-00042")
        PredictionFactory(
            scan=scan,
            label="meningioma",
            probabilities=PROBABILITIES,
            p=0.98,
            warnings=list(warnings),
            heatmap="heatmaps/x.png",
        )
        case = CaseFactory(scan=scan)
        token = ClaimFactory(case=case, holder=reader).token
        said = {"by": reader, "case": case, "claim_token": token}
        reading.record_read(kind="blind", label=own, certainty="probable", **said)
        reading.reveal(**said)
        page = open_page(reader, viewport=viewport, theme=theme, locale=locale)
        page.goto(f"/cases/{case.pk}/")
        image_ready(page)
        return page

    return opened


@pytest.mark.parametrize("locale", ["en", "de", "es"])
@pytest.mark.parametrize("viewport", [LAPTOP, WIDER], ids=["1280x720", "1366x768"])
def test_all_answers_confidence_and_buttons_are_in_sight_together(revealed, viewport, locale):
    page = revealed(viewport, warnings=["uncertain"], locale=locale)
    assert page.evaluate(HIDDEN, [".opinion__first", *ANSWERS]) == []
    page.locator("[data-choices] input[value=keep]").check()
    assert page.evaluate(HIDDEN, [*ANSWERS, SIDE, "[data-reason] select"]) == []
    page.locator("[data-choices] input[value=adopt]").check()
    assert page.evaluate(HIDDEN, [".opinion__first", *ANSWERS, SIDE]) == []
    page.locator("[data-choices] input[value=other]").check()
    page.locator("[data-other] input[value=pituitary]").check()
    assert page.evaluate(HIDDEN, [*ANSWERS, SIDE, "[data-other] .option", "[data-reason] select"]) == []


@pytest.mark.parametrize("viewport", [LAPTOP, WIDER], ids=["1280x720", "1366x768"])
def test_answers_where_both_say_the_same(revealed, viewport):
    page = revealed(viewport, own="meningioma")
    expect(page.get_by_label("Confirm Meningioma")).to_be_visible()
    assert page.evaluate(HIDDEN, [".opinion", *ANSWERS]) == []


@pytest.mark.parametrize("locale", ["en", "de"])
def test_on_a_phone_all_of_it_is_within_one_screen_under_the_image(revealed, locale):
    page = revealed(PHONE, warnings=["uncertain", "out_of_distribution"], locale=locale)
    for choice in ("", "keep", "adopt"):
        if choice:
            page.locator(f"[data-choices] input[value={choice}]").check()
        page.evaluate(
            """() => { const end = document.querySelector('.viewer').getBoundingClientRect().bottom + scrollY;
            const head = document.querySelector('header');
            const kept = getComputedStyle(head).position === 'static' ? 0 : head.offsetHeight;
            scrollTo(0, end - kept); }"""
        )
        names = [".opinion__first", *ANSWERS, *([SIDE] if choice else [])]
        names += ["[data-reason] select"] if choice == "keep" else []
        assert page.evaluate(HIDDEN, names) == [], choice
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_side_is_asked_of_a_tumour_only_and_stated_by_keys_alone(revealed):
    page = revealed(LAPTOP, own="no_tumour")
    side = page.get_by_label("Side")
    expect(side).to_be_hidden()
    page.keyboard.press("k")
    expect(side).to_be_hidden()
    page.keyboard.press("a")
    expect(side).to_be_visible()
    page.locator("[data-certainties] input:checked").focus()
    page.keyboard.press("Tab")
    expect(side).to_be_focused()
    page.keyboard.press("l")
    expect(side).to_have_value("left")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_url("**/worklist/**")
    assert Read.objects.get(kind="final").laterality == "left"
