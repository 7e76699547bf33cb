"""Another scan of the patient beside the case's own: chosen from the film strip, linked by millimetres."""

from datetime import date, timedelta

import numpy as np
import pytest
from django.conf import settings
from playwright.sync_api import expect

from diagnostics.scans.access import Role
from tests.browser.checks import in_each_look
from tests.browser.readers import faults_of, image_ready
from tests.browser.test_marks import head, rows
from tests.browser.test_viewer import dicom
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, StudyFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TODAY = date(2026, 5, 2)
ZOOM_STEP = 1.25
FOLLOW = """async ([one, other, images]) => {
  const { follow, pixelUnits } = await import('/static/js/viewer/compare.js');
  const changed = follow(one, other, pixelUnits(...images));
  return [changed, other, follow(other, one, pixelUnits(images[1], images[0]))];
}"""


def spaced(mm, fill=1.0):
    return dicom(
        (head() * fill).astype("<u2"), bits=16, PixelSpacing=[mm, mm], WindowCenter=30_000, WindowWidth=60_000
    )


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def case(institution, reader):
    scan = ScanFactory(institution=institution, data=spaced(0.5), study__date=TODAY)
    case = CaseFactory(scan=scan)
    ClaimFactory(case=case, holder=reader)
    return case


def prior(case, mm=1.0, days=200, **more):
    visit = StudyFactory(patient=case.scan.patient, date=TODAY - timedelta(days=days), accession=f"BEFORE-{days}")
    return ScanFactory(
        institution=case.institution, patient=case.scan.patient, study=visit, data=spaced(mm, 1 - days / 1000), **more
    )


def opened(page, case):
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)


def ready(page):
    expect(page.locator("[data-prior-loading]")).to_be_hidden()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def lit(page, canvas):
    """Columns and rows of the canvas on which there is something bright: (width, height)."""
    grey = page.evaluate(
        """(name) => {
          const canvas = document.querySelector(name);
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          const [xs, ys] = [new Set(), new Set()];
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] > 200) { xs.add((i / 4) % canvas.width); ys.add(Math.floor(i / 4 / canvas.width)); }
          }
          return [Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)];
        }""",
        canvas,
    )
    return np.array(grey, float)


def test_film_strip_names_what_lies_beside_the_case(open_page, institution, reader, case):
    page = open_page(reader)
    prior(case, days=200)
    prior(case, days=300)
    ScanFactory(institution=institution)  # of somebody else
    opened(page, case)
    films = page.locator("[data-film]")
    expect(films).to_have_count(2)
    assert [film.inner_text().split("\n")[0] for film in films.all()] == ["Prior", "Prior"]
    expect(films.first).to_contain_text((TODAY - timedelta(days=200)).strftime("%-d %b %Y"))


def test_no_film_strip_without_another_scan(open_page, reader, case):
    page = open_page(reader)
    opened(page, case)
    expect(page.locator("[data-film]")).to_have_count(0)
    page.keyboard.press("q")
    expect(page.locator("[data-prior]")).to_have_count(0)


def test_session_that_ended_is_told_when_a_prior_is_opened(open_page, reader, case, console):
    console.allow("401")
    page = open_page(reader)
    prior(case, days=200)
    opened(page, case)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.keyboard.press("q")
    expect(page.locator("[data-signed-out]")).to_be_visible()
    expect(page.locator("[data-prior-loading]")).to_contain_text("The image could not be loaded.")


def test_prior_tells_nothing_that_was_said_of_it(open_page, reader, case):
    page = open_page(reader)
    before = prior(case)
    PredictionFactory(scan=before, label="meningioma", finding="tumour")
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    assert "meningioma" not in page.locator("[data-viewer]").inner_html().lower()


def test_linked_images_have_one_scale_in_millimetres(open_page, reader, case):
    page = open_page(reader)
    prior(case, mm=1.0)  # twice as coarse: the same head is twice as large in the body, so twice on the screen
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    expect(page.locator("[data-prior-caption]")).to_contain_text("Prior: BEFORE-200")
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    own, other = lit(page, "[data-canvas]"), lit(page, "[data-prior-canvas]")
    assert other / own == pytest.approx(2, abs=0.06)


def test_steps_that_come_quicker_than_the_drawing_are_all_kept(open_page, reader, case):
    page = open_page(reader)
    prior(case)
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    before = float(page.locator("[data-zoom]").inner_text())
    page.evaluate(
        """async () => {
          for (let step = 0; step < 3; step += 1) {
            document.dispatchEvent(new KeyboardEvent('keydown', { key: '-', bubbles: true }));
            await new Promise(requestAnimationFrame);
          }
        }"""
    )
    ready(page)
    assert before / float(page.locator("[data-zoom]").inner_text()) == pytest.approx(ZOOM_STEP**3, rel=0.02)


def test_what_moves_one_moves_the_other_until_they_are_parted(open_page, reader, case):
    page = open_page(reader)
    prior(case, mm=0.5)
    opened(page, case)
    page.locator("[data-film]").click()
    ready(page)
    page.keyboard.press("r")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    own, other = lit(page, "[data-canvas]"), lit(page, "[data-prior-canvas]")
    assert own[1] > own[0]  # turned
    assert own == pytest.approx(other, abs=2)
    box = page.locator("[data-prior-canvas]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 300)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    smaller = lit(page, "[data-canvas]")
    assert (smaller < own * 0.8).all()
    page.get_by_role("button", name="Link views").click()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert lit(page, "[data-canvas]") == pytest.approx(smaller, abs=1)
    page.get_by_role("button", name="Close the comparison").click()
    expect(page.locator("[data-prior]")).to_be_hidden()
    expect(page.locator("[data-film]")).to_be_focused()


def picture(page, canvas):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate("(name) => document.querySelector(name).toDataURL()", canvas)


def test_keys_are_for_the_image_that_has_the_focus(open_page, reader, case):
    page = open_page(reader)
    prior(case)
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    own, other = picture(page, "[data-canvas]"), picture(page, "[data-prior-canvas]")
    page.locator("[data-prior-canvas]").focus()
    for key in ("Shift+ArrowLeft", "i"):
        page.keyboard.press(key)
        assert picture(page, "[data-prior-canvas]") != other
        other = picture(page, "[data-prior-canvas]")
    assert picture(page, "[data-canvas]") == own
    page.locator("[data-canvas]").focus()
    page.keyboard.press("i")
    assert picture(page, "[data-canvas]") != own
    assert picture(page, "[data-prior-canvas]") == other


def test_marks_stay_on_the_case_s_own_image(open_page, reader, case):
    page = open_page(reader)
    prior(case)
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    page.keyboard.press("l")
    box = page.locator("[data-prior-canvas]").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 200, steps=3)
    page.mouse.up()
    expect(rows(page)).to_have_count(0)
    own = page.locator("[data-canvas]").bounding_box()
    drag_from = (own["x"] + 150, own["y"] + 300)
    page.mouse.move(*drag_from)
    page.mouse.down()
    page.mouse.move(drag_from[0] + 60, drag_from[1], steps=3)
    page.mouse.up()
    expect(rows(page)).to_have_count(1)


@pytest.mark.parametrize("spacing", [(None, None), (0.5, None)])
def test_without_spacing_one_head_fills_as_much_as_the_other(open_page, reader, spacing):
    page = open_page(reader)
    page.goto("/worklist/")
    images = [
        {"width": width, "height": width, "spacing": mm and {"row": mm, "column": mm}}
        for width, mm in zip((512, 256), spacing, strict=True)
    ]
    one = {"scale": 2, "x": 310, "y": 200, "viewWidth": 600, "viewHeight": 400, "turn": [0, 1, -1, 0], "fitted": True}
    other = {**one, "scale": 9, "x": 0, "y": 0, "viewWidth": 500, "turn": [1, 0, 0, 1]}
    changed, laid, back = page.evaluate(FOLLOW, [one, other, images])
    assert (changed, back) == (True, False)
    assert laid == {**other, "scale": 4, "x": 260, "y": 200, "turn": [0, 1, -1, 0], "fitted": False}


@in_each_look
def test_comparison_has_no_faults_of_access(open_page, reader, case, theme, viewport):
    page = open_page(reader, theme=theme, viewport=viewport)
    prior(case)
    opened(page, case)
    page.keyboard.press("q")
    ready(page)
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
