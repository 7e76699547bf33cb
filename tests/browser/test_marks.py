"""Marks on the image: what they measure agrees with numpy; by mouse, by finger or by keyboard."""

import base64
import math

import numpy as np
import pytest
from playwright.sync_api import expect

from diagnostics.scans.access import Role
from mlcore.images.decode import Decoded
from mlcore.images.viewer_file import container
from tests.browser.checks import in_each_look
from tests.browser.readers import faults_of, image_ready
from tests.browser.test_viewer import dicom
from tests.factories import CaseFactory, ClaimFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MEASURE = """async ([bytes, marks]) => {
  const { decodeContainer } = await import('/static/js/viewer/container.js');
  const { measured } = await import('/static/js/viewer/marks/measure.js');
  const image = decodeContainer(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer);
  return marks.map((mark) => measured(mark, image));
}"""

ROWS, COLUMNS = 96, 130


def head() -> np.ndarray:
    """A head of our own in 16 bits: skull, brain with noise, a bright ring; (96, 130) uint16."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    far = np.hypot((x - 64) / 52, (y - 48) / 44)
    noise = np.random.default_rng(11).integers(-900, 900, (ROWS, COLUMNS))
    grey = np.where(far < 0.9, 21_000 + noise, np.where(far < 1, 61_000, 40))
    ring = np.abs(np.hypot(x - 80, y - 40) - 9) < 2.5
    return np.where(ring, 64_999, grey).astype("<u2")


FREEHAND = [[60.25, 20.5], [92.75, 24.1], [88.5, 61.33], [75.0, 44.0], [58.5, 66.66], [41.9, 40.2]]
CROSSED = [[20.0, 20.0], [80.3, 71.2], [80.3, 20.0], [20.0, 71.2]]
REGIONS = {
    "ellipse": ("ellipse", [[62.2, 22.4], [98.7, 58.9]]),
    "ellipse drawn backwards": ("ellipse", [[98.7, 58.9], [62.2, 22.4]]),
    "ellipse over the edge": ("ellipse", [[0.0, 0.0], [130.0, 96.0]]),
    "rectangle": ("rectangle", [[10.5, 12.0], [77.5, 33.75]]),
    "whole image": ("rectangle", [[0.0, 0.0], [130.0, 96.0]]),
    "one pixel": ("rectangle", [[64.0, 48.0], [65.0, 49.0]]),
    "freehand": ("freehand", FREEHAND),
    "crossing itself": ("freehand", CROSSED),
}


def inside(kind: str, points: list[list[float]]) -> np.ndarray:
    """Which pixels' middles are inside, worked out by numpy in a way of its own."""
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
    if kind == "rectangle":
        return (x >= left) & (x < right) & (y >= top) & (y < bottom)
    if kind == "ellipse":
        return ((x - (left + right) / 2) / ((right - left) / 2)) ** 2 + (
            (y - (top + bottom) / 2) / ((bottom - top) / 2)
        ) ** 2 <= 1
    found = np.zeros((ROWS, COLUMNS), bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        if ay == by:
            continue
        meets = ((ay <= y) != (by <= y)) & (x >= ax + (y - ay) * (bx - ax) / (by - ay))
        found ^= meets
    return found


def outline_area(kind: str, points: list[list[float]]) -> float:
    """Square pixels within the outline."""
    (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
    if kind != "freehand":
        return float((right - left) * (bottom - top) * (math.pi / 4 if kind == "ellipse" else 1))
    x, y = np.array(points).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def measured(page, decoded, *marks):
    packed = base64.b64encode(container(decoded)).decode()
    asked = [{"id": "a", "kind": kind, "points": points, "text": ""} for kind, points in marks]
    return page.evaluate(MEASURE, [packed, asked])


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def page(open_page, reader):
    opened = open_page(reader)
    opened.goto("/worklist/")
    return opened


@pytest.mark.parametrize("rescale", [(1.0, 0.0), (2.5, -1024.0), (-1.0, 70_000.0)])
def test_statistics_are_those_of_numpy_on_the_true_values(page, rescale):
    slope, intercept = rescale
    decoded = Decoded(pixels=head(), format="dicom", bits=16, slope=slope, intercept=intercept, spacing=(0.5, 0.5))
    values = head() * slope + intercept
    for name, got in zip(REGIONS, measured(page, decoded, *REGIONS.values()), strict=True):
        within = values[inside(*REGIONS[name])]
        wanted = {"mean": within.mean(), "sd": within.std(), "min": within.min(), "max": within.max()}
        statistics = got["statistics"]
        assert statistics.pop("count") == within.size > 0, name
        assert (statistics["min"], statistics["max"]) == (wanted["min"], wanted["max"]), name
        assert statistics == pytest.approx(wanted, rel=1e-12), name
        assert got["area"] == pytest.approx(outline_area(*REGIONS[name]) * 0.25, rel=1e-12), name
        assert got["unit"] == "mm"


def test_statistics_of_values_that_are_no_whole_numbers(page):
    values = np.random.default_rng(5).normal(1e6, 1e-1, (ROWS, COLUMNS)).astype("<f4")
    decoded = Decoded(pixels=values, format="dicom", bits=32)
    (got,) = measured(page, decoded, REGIONS["ellipse"])
    within = values.astype(float)[inside(*REGIONS["ellipse"])]
    assert got["statistics"]["mean"] == pytest.approx(within.mean(), rel=1e-12)
    assert got["statistics"]["sd"] == pytest.approx(within.std(), rel=1e-9)


def test_region_between_the_middles_of_pixels_has_no_statistics(page):
    decoded = Decoded(pixels=head(), format="png", bits=16)
    (got,) = measured(page, decoded, ("rectangle", [[10.1, 10.1], [10.4, 10.4]]))
    assert got["statistics"] is None
    assert got["area"] == pytest.approx(0.09)


def test_lengths_and_angles_follow_the_spacing_of_rows_and_columns(page):
    line = ("length", [[10.0, 10.0], [40.0, 50.0]])
    corner = ("angle", [[30.0, 10.0], [10.0, 10.0], [30.0, 30.0]])
    spaced = Decoded(pixels=head(), format="dicom", bits=16, spacing=(0.9, 0.4))  # rows, columns
    length, angle = measured(page, spaced, line, corner)
    # The container holds its spacing in 32 bits.
    row, column = float(np.float32(0.9)), float(np.float32(0.4))
    assert length == {"unit": "mm", "length": pytest.approx(math.hypot(30 * column, 40 * row), rel=1e-12)}
    assert angle["angle"] == pytest.approx(math.degrees(math.atan2(row, column)), rel=1e-9)
    length, angle = measured(page, Decoded(pixels=head(), format="png", bits=16), line, corner)
    assert length == {"unit": "px", "length": 50.0}
    assert angle["angle"] == pytest.approx(45.0)


# --- on the page ---


FILE = dicom(head(), bits=16, PixelSpacing=[0.5, 0.5], WindowCenter=30_000, WindowWidth=60_000)


def opened(page, reader, data=FILE):
    case = CaseFactory(scan=ScanFactory(institution=reader.memberships.get().institution, data=data))
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    return case


def place(page, x, y):
    """Where an image point lies on the screen while the image is fitted."""
    box = page.locator("[data-canvas]").bounding_box()
    scale = min(box["width"] / COLUMNS, box["height"] / ROWS)
    return (
        box["x"] + box["width"] / 2 + (x - COLUMNS / 2) * scale,
        box["y"] + box["height"] / 2 + (y - ROWS / 2) * scale,
    )


def drag(page, *points):
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def boxes(page, selector):
    """Where they stand, all at one moment: each draw puts other elements in their place."""
    found = "selector => [...document.querySelectorAll(selector)].map((each) => each.getBoundingClientRect().toJSON())"
    return page.evaluate(found, selector)


def rows(page):
    return page.locator("[data-mark-rows] > li")


def said(page, at=0):
    return rows(page).nth(at).locator("[data-mark-said]")


def numbers(text):
    return [float(word) for word in text.replace(",", " ").split() if word.replace(".", "").replace("-", "").isdigit()]


def test_length_by_dragging_is_in_millimetres(page, reader):
    opened(page, reader)
    expect(page.locator("[data-marks]")).to_be_hidden()
    page.keyboard.press("l")
    drag(page, (20, 30), (80, 30))
    assert numbers(said(page).inner_text())[0] == pytest.approx(30.0, abs=0.2)
    expect(said(page)).to_contain_text("mm")
    expect(page.locator(".mark__label")).to_contain_text("mm")


def test_numbers_of_marks_do_not_cover_each_other(page, reader):
    opened(page, reader)
    page.keyboard.press(".")
    for x in (40, 42, 44):
        page.mouse.click(*place(page, x, 40))
    page.keyboard.press("x")
    drag(page, (20, 30), (38, 50))
    expect(page.locator(".mark__label")).to_have_count(4)
    found = boxes(page, ".mark__label")
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            apart_x = max(one["x"], other["x"]) - min(one["x"] + one["width"], other["x"] + other["width"])
            apart_y = max(one["y"], other["y"]) - min(one["y"] + one["height"], other["y"] + other["height"])
            assert max(apart_x, apart_y) > -4, (one, other)  # their dark edges may touch


def test_without_millimetres_lengths_are_in_widths_of_a_pixel_and_angles_are_right(page):
    line = ("length", [[10.0, 10.0], [40.0, 30.0]])
    corner = ("angle", [[30.0, 10.0], [10.0, 10.0], [30.0, 20.0]])
    square = ("rectangle", [[10.0, 10.0], [30.0, 20.0]])
    tall = Decoded(pixels=head(), format="dicom", bits=16, aspect=2.0)
    length, angle, area = measured(page, tall, line, corner, square)
    assert length == {"unit": "px", "length": pytest.approx(50.0)}
    assert angle["angle"] == pytest.approx(45.0)  # as it looks: the image is shown in its true shape
    assert (area["unit"], area["area"]) == ("px", pytest.approx(400.0))


def test_length_without_spacing_says_that_it_is_not_calibrated(page, reader):
    opened(page, reader, dicom(head(), bits=16, WindowCenter=30_000, WindowWidth=60_000))
    page.keyboard.press("l")
    drag(page, (20, 30), (80, 30))
    expect(said(page)).to_contain_text("px (uncalibrated)")
    expect(page.locator(".mark__label")).not_to_contain_text("mm")


def test_ellipse_by_dragging_shows_its_statistics(page, reader):
    opened(page, reader)
    page.get_by_role("button", name="Ellipse").click()
    drag(page, (62, 22), (98, 58))
    # To a hundredth of a pixel as the page has it, so that numpy can be asked about the very same ellipse.
    area, mean, sd, low, high, count = numbers(said(page).inner_text())
    within = head()[inside("ellipse", [[62, 22], [98, 58]])]
    assert area == pytest.approx(math.pi * 18 * 18 / 4, rel=0.03)
    assert (mean, sd) == (pytest.approx(within.mean(), rel=0.03), pytest.approx(within.std(), rel=0.03))
    assert (low, high) == (within.min(), within.max())
    assert count == pytest.approx(within.size, rel=0.03)


def test_angle_by_three_clicks_or_a_drag_and_a_click(page, reader):
    opened(page, reader)
    page.keyboard.press("c")
    for point in ((60, 20), (20, 20), (20, 60)):
        page.mouse.move(*place(page, *point), steps=3)
        page.mouse.down()
        page.mouse.up()
    assert numbers(said(page).inner_text().replace("°", "")) == [pytest.approx(90, abs=0.5)]
    drag(page, (110, 30), (80, 30))
    page.mouse.move(*place(page, 110, 60), steps=3)
    page.mouse.click(*place(page, 110, 60))
    assert numbers(said(page, 1).inner_text().replace("°", "")) == [pytest.approx(45, abs=0.7)]


def test_freehand_rectangle_point_and_arrow(page, reader):
    opened(page, reader)
    page.keyboard.press("d")
    drag(page, (50, 30), (80, 30), (80, 60), (50, 60), (50, 31))
    page.keyboard.press("x")
    drag(page, (20, 70), (40, 90))
    page.keyboard.press(".")
    page.mouse.click(*place(page, 80.5, 49.5))
    page.keyboard.press("j")
    drag(page, (110, 20), (90, 30))
    page.keyboard.type("l ring, enhancing")  # the focus is in its text: these are no shortcuts
    page.keyboard.press("Enter")
    kinds = [row.locator("[data-mark-kind]").inner_text() for row in rows(page).all()]
    assert kinds == ["Freehand region", "Rectangle", "Point", "Arrow"]
    assert numbers(said(page, 0).inner_text())[0] == pytest.approx(30 * 30 / 4, rel=0.03)
    assert numbers(said(page, 1).inner_text())[0] == pytest.approx(100, rel=0.05)
    expect(said(page, 2)).to_have_text(f"value {head()[49, 80]}")
    expect(page.locator(".mark--arrow .mark__label")).to_have_text("l ring, enhancing")
    expect(page.locator("[data-canvas]")).to_be_focused()


def test_marks_move_with_the_image(page, reader):
    opened(page, reader)
    page.keyboard.press("x")
    drag(page, (20, 20), (60, 40))
    words = said(page).inner_text()
    expect(page.locator(".mark__handle").first).to_be_visible()
    before = boxes(page, ".mark__handle")[0]
    page.keyboard.press("h")
    page.keyboard.press("r")
    page.keyboard.press("+")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert boxes(page, ".mark__handle")[0] != before
    expect(said(page)).to_have_text(words)


def test_choose_move_change_delete_undo_redo(page, reader):
    opened(page, reader)
    page.keyboard.press("x")
    drag(page, (20, 20), (60, 40))
    first = said(page).inner_text()
    page.mouse.click(*place(page, 110, 80))  # a click alone is no rectangle yet
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("s")
    drag(page, (40, 20), (50, 40))  # by its upper edge
    moved = said(page).inner_text()
    assert moved != first
    assert numbers(moved)[0] == numbers(first)[0]
    drag(page, (70, 60), (90, 70))  # by the corner that now lies there
    assert numbers(said(page).inner_text())[0] == pytest.approx(60 * 30 / 4, rel=0.03)
    page.keyboard.press("Delete")
    expect(rows(page)).to_have_count(0)
    for words in (None, moved, first):
        page.keyboard.press("Control+z")
        if words:
            expect(said(page)).to_have_text(words)
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Control+y")
    expect(said(page)).to_have_text(first)
    page.get_by_role("button", name="Redo").click()
    expect(said(page)).to_have_text(moved)


def test_everything_by_keyboard_alone(page, reader):
    opened(page, reader)
    page.keyboard.press("x")
    page.keyboard.press("Enter")  # the place appears in the middle, and is told
    told = page.locator("[data-mark-told]")
    expect(told).to_contain_text(", value ")
    x, y, value = (int(number) for number in numbers(told.inner_text()))
    assert abs(x - COLUMNS / 2) <= 1
    assert abs(y - ROWS / 2) <= 1
    assert value == head()[y, x]
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wanted = [[x - 19.5, y + 0.5], [x + 10.5, y + 4.5]]
    within = head()[inside("rectangle", wanted)]
    area, mean, sd, low, high, count = numbers(said(page).inner_text())
    assert (area, count, low, high) == (30.0, within.size, within.min(), within.max())
    assert (mean, sd) == (round(within.mean(), 1), round(within.std(), 1))
    expect(page.locator("[data-mark-told]")).to_contain_text("Rectangle 1: area 30.0 mm²")
    page.keyboard.press("s")
    page.keyboard.press("s")
    page.keyboard.press("ArrowDown")
    assert numbers(said(page).inner_text())[0] == 30.0
    for _ in range(3):  # the third handle is its right lower corner
        page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowDown")
    expect(said(page)).to_contain_text("area 105 mm²")
    page.keyboard.press("Backspace")
    expect(rows(page)).to_have_count(0)


def test_enter_while_measuring_is_the_image_s_also_after_an_answer_was_clicked(page, reader):
    opened(page, reader)
    page.keyboard.press("l")
    page.get_by_label("No tumour").check()
    page.locator("input[value=certain]").check()
    for key in ("Enter", "ArrowDown", "Enter", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(rows(page)).to_have_count(1)
    expect(page.locator("[aria-current=step]")).to_have_text("Your read")
    expect(page.get_by_label("No tumour")).to_be_checked()


def test_arrows_follow_the_screen_when_the_image_is_turned(page, reader):
    opened(page, reader)
    page.keyboard.press("r")
    page.keyboard.press("h")
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(said(page)).to_have_text("5.0 mm")
    expect(page.locator(".mark__handle")).to_have_count(2)
    first, second = boxes(page, ".mark__handle")
    assert second["x"] > first["x"]
    assert second["y"] == pytest.approx(first["y"], abs=0.5)


def test_two_fingers_leave_no_mark(page, reader):
    opened(page, reader)
    page.keyboard.press("d")
    session = page.context.new_cdp_session(page)
    x, y = place(page, 64, 48)

    def touch(kind, *points):
        fingers = [{"x": x + dx, "y": y, "id": number} for number, dx in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (1, -50))
    touch("touchMove", (1, -60))
    touch("touchStart", (1, -60), (2, 60))
    touch("touchMove", (1, -90), (2, 90))
    touch("touchEnd")
    expect(rows(page)).to_have_count(0)
    assert float(page.locator("[data-zoom]").inner_text()) > 7


@in_each_look
def test_page_with_marks_has_no_faults_of_access(open_page, reader, theme, viewport):
    page = open_page(reader, theme=theme, viewport=viewport)
    opened(page, reader)
    page.keyboard.press("e")
    drag(page, (62, 22), (98, 58))
    page.keyboard.press("j")
    drag(page, (20, 80), (50, 60))
    page.keyboard.type("Ring")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
