"""A stack in a browser: scrolled, read and checked by keyboard; nothing of the AI's opinion before the reveal."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from diagnostics import closing, pipeline
from diagnostics.models import Case, Prediction, Read
from diagnostics.scans.access import Role
from diagnostics.scans.series import Series
from tests.browser.checks import assert_fits, in_each_look
from tests.browser.readers import canvas_grey, faults_of, image_ready, show_ai_result
from tests.browser.test_reading import heat_map
from tests.dicom_images import CORONAL, slice_of
from tests.factories import ClaimFactory, live_model, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
COUNT = 24


@pytest.fixture
def case(institution, monkeypatch):
    """A stack whose AI result is there: most suspicious in the sixth image, nothing said of the first two."""
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    live_model()
    sender = person(Role.TECHNOLOGIST, institution)
    for n in range(COUNT):
        pipeline.submit_scan(by=sender, institution=institution, data=slice_of(n), patient="P-1")
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    profile = [None, None, *[0.3 + 0.6 * (n == 5) for n in range(2, COUNT)]]
    Prediction.objects.update(
        state="ready", finished_at=timezone.now(), label="glioma", finding="tumour", tumour_probability=0.87,
        probabilities={"glioma": 0.87, "no_tumour": 0.13}, profile=profile, peak=5, heatmap=heat_map(),
    )  # fmt: skip
    Case.objects.update(analysis="ready")
    return Case.objects.get()


@pytest.fixture
def page(open_page, institution, case):
    reader = person(Role.RADIOLOGIST, institution, username="ada")
    page = open_page(reader)
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    return page


def place(page):
    return page.locator("[data-stack-place]")


def test_stack_is_scrolled_by_keys_wheel_slider_and_buttons(page):
    expect(place(page)).to_have_text("Image 13 of 24, 60.0 mm")
    page.locator("[data-canvas]").focus()
    for key, shown in (
        ("ArrowDown", 14), ("ArrowUp", 13), ("PageDown", 23), ("PageDown", 24), ("ArrowDown", 24), ("PageUp", 14),
        ("Home", 1), ("ArrowUp", 1), ("End", 24),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(place(page)).to_contain_text(f"Image {shown} of {COUNT}")
    page.locator("[data-canvas]").hover()
    page.mouse.wheel(0, -180)
    expect(place(page)).to_contain_text("Image 21 of")
    page.locator("[data-stack-slider]").focus()
    page.keyboard.press("Home")
    expect(place(page)).to_contain_text("Image 1 of")
    page.get_by_role("button", name="Next image").click()
    expect(place(page)).to_contain_text("Image 2 of")
    assert faults_of(page) == []


def test_each_image_is_shown_and_the_window_stays(page):
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(300)
    window = page.locator("[data-width]").inner_text()
    shown = set()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(400)
        shown.add(canvas_grey(page).tobytes())
    assert len(shown) > 1, "another image, other greys"
    assert page.locator("[data-width]").inner_text() == window


def test_film_plays_and_stops(page):
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Shift+Digit8")
    expect(page.locator("[data-stack-cine]")).to_have_attribute("aria-pressed", "true")
    expect(place(page)).not_to_contain_text("Image 13 of", timeout=5000)
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-stack-cine]")).to_have_attribute("aria-pressed", "false")


def test_course_of_the_ai_result_is_shown_after_the_reveal_only(page, case):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    assert page.locator("[data-profile]").count() == 0 and page.locator("[data-stack-profile]").is_hidden()
    assert "0.9" not in page.locator("[data-stack]").evaluate("bar => bar.outerHTML")
    page.locator("[data-canvas]").focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    assert not [url for url in asked if "predictions" in url or "heatmap" in url]
    page.keyboard.press("2")
    page.keyboard.press("8")
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+Digit0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Digit0")
    expect(page.locator("[name=key_images]")).to_have_value("1, 2")
    page.keyboard.press("Shift+Digit0")
    expect(page.locator("[name=key_images]")).to_have_value("1")
    page.keyboard.press("n")
    show_ai_result(page)
    image_ready(page)
    assert Read.objects.get().key_images == "1"
    assert page.locator("[data-stack-profile]").is_visible()
    assert page.locator("[data-stack-profile] rect").count() == 1
    page.keyboard.press("Shift+Digit9")
    expect(place(page)).to_contain_text("Image 6 of")
    page.keyboard.press("Home")
    page.keyboard.press("g")
    expect(place(page)).to_contain_text("Image 6 of")
    expect(page.locator("[name=key_images]")).to_have_value("1")


@in_each_look
def test_stack_is_accessible_and_fits(open_page, institution, case, theme, viewport):
    reader = person(Role.RADIOLOGIST, institution, username="ada")
    page = open_page(reader, theme=theme, viewport=viewport)
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    assert faults_of(page) == []
    assert_fits(page)
    for key in ("2", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    image_ready(page)
    assert faults_of(page) == []
    assert_fits(page)


def test_single_image_has_no_bar(open_page, institution):
    from tests.browser.test_reading import case_of

    single = case_of(institution, "A-1")
    page = open_page(person(Role.RADIOLOGIST, institution))
    page.goto(f"/cases/{single.pk}/")
    image_ready(page)
    assert page.locator("[data-stack]").count() == 0


@pytest.fixture
def beside(institution, case):
    """Another series of the same study, twice as fine, from 30 mm below the first one on; and a sagittal one."""
    sender = person(Role.TECHNOLOGIST, institution)
    for n in range(40):
        fine = slice_of(n, series="fine", ImagePositionPatient=[0, 0, 2.5 * n - 30], SeriesDescription="T2")
        pipeline.submit_scan(by=sender, institution=institution, data=fine, patient="P-1")
    for n in range(6):
        side = slice_of(n, series="side", orientation=CORONAL)
        pipeline.submit_scan(by=sender, institution=institution, data=side, patient="P-1")
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    return case


@pytest.fixture
def two(beside, page):
    page.reload()
    image_ready(page)
    return page


def film(page, images):
    return page.locator("[data-film]").filter(has_text=f"{images} images")


def test_another_series_lies_beside_and_both_scroll_to_one_place(two):
    film(two, 40).click()
    expect(two.locator("[data-prior-loading]")).to_be_hidden()
    other = two.locator("[data-prior-place]")
    expect(other).to_have_text("Image 37 of 40, 60.0 mm")
    expect(two.locator("[data-prior-link]")).to_have_text("linked by position")
    two.locator("[data-canvas]").focus()
    two.keyboard.press("ArrowUp")
    expect(place(two)).to_have_text("Image 12 of 24, 55.0 mm")
    expect(other).to_have_text("Image 35 of 40, 55.0 mm")
    two.locator("[data-prior-canvas]").focus()
    two.keyboard.press("PageUp")
    expect(other).to_have_text("Image 25 of 40, 30.0 mm")
    expect(place(two)).to_have_text("Image 7 of 24, 30.0 mm")
    two.keyboard.press("Home")
    expect(other).to_have_text("Image 1 of 40, −30.0 mm")
    expect(place(two)).to_have_text("Image 1 of 24, 0.0 mm")


def test_series_go_apart_when_the_link_is_taken_away_and_meet_again(two):
    film(two, 40).click()
    expect(two.locator("[data-prior-loading]")).to_be_hidden()
    two.locator("[data-canvas]").focus()
    two.keyboard.press(",")
    expect(two.locator("[data-prior-link]")).to_have_text("")
    two.keyboard.press("Home")
    expect(two.locator("[data-prior-place]")).to_have_text("Image 37 of 40, 60.0 mm")
    two.keyboard.press(",")
    expect(two.locator("[data-prior-place]")).to_have_text("Image 13 of 40, 0.0 mm")


def test_series_of_another_plane_is_scrolled_by_itself(two):
    film(two, 6).click()
    expect(two.locator("[data-prior-loading]")).to_be_hidden()
    expect(two.locator("[data-prior-link]")).to_have_text("not linked: other plane")
    two.locator("[data-prior-canvas]").hover()
    two.mouse.wheel(0, 120)
    expect(two.locator("[data-prior-place]")).to_contain_text("Image 6 of 6")
    expect(place(two)).to_have_text("Image 13 of 24, 60.0 mm")


def test_closing_the_comparison_leaves_the_case_s_own_stack_alone(two):
    film(two, 40).click()
    expect(two.locator("[data-prior-loading]")).to_be_hidden()
    two.keyboard.press("q")
    two.locator("[data-canvas]").focus()
    two.keyboard.press("End")
    expect(place(two)).to_have_text("Image 24 of 24, 115.0 mm")
    expect(two.locator("[data-prior]")).to_be_hidden()


@in_each_look
def test_two_series_side_by_side_have_no_faults_of_access(open_page, institution, beside, theme, viewport):
    reader = person(Role.RADIOLOGIST, institution)
    page = open_page(reader, theme=theme, viewport=viewport)
    ClaimFactory(case=beside, holder=reader)
    page.goto(f"/cases/{beside.pk}/")
    image_ready(page)
    film(page, 40).click()
    expect(page.locator("[data-prior-loading]")).to_be_hidden()
    assert faults_of(page) == []
    assert_fits(page)
