"""What else a DICOM file says of its image: letters at the edges, further windows, its own grey table."""

import io

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi

from diagnostics.scans.access import Role
from tests.browser.readers import image_ready, shown_at_one_to_one
from tests.browser.test_viewer import dicom, noise
from tests.factories import CaseFactory, ClaimFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EDGES = ("left", "right", "top", "bottom")


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def page(open_page, reader):
    return open_page(reader)


def opened(page, reader, data):
    case = CaseFactory(scan=ScanFactory(institution=reader.memberships.get().institution, data=data))
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)


def letters(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tuple(page.locator(f"[data-canvas] ~ [data-orientation] [data-edge={edge}]").inner_text() for edge in EDGES)


def axial(**more):
    return dicom(noise(0, 4096, "<u2"), bits=12, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **more)


@pytest.mark.parametrize(
    ("keys", "wanted", "mirrored"),
    [
        ("", ("R", "L", "A", "P"), False),
        ("h", ("L", "R", "A", "P"), True),
        ("v", ("R", "L", "P", "A"), True),
        ("hv", ("L", "R", "P", "A"), False),
        ("r", ("P", "A", "R", "L"), False),  # a quarter to the right: what was above is on the right
        ("rh", ("A", "P", "R", "L"), True),
        ("rrrr", ("R", "L", "A", "P"), False),
    ],
)
def test_letters_follow_turns_and_mirroring(page, reader, keys, wanted, mirrored):
    opened(page, reader, axial())
    for key in keys:
        page.keyboard.press(key)
    assert letters(page) == wanted
    expect(page.locator("[data-canvas] ~ [data-orientation] [data-mirrored]")).to_be_visible(visible=mirrored)
    said = page.locator("[data-canvas] ~ [data-orientation] [data-orientation-said]")
    expect(said).to_have_text("Left edge {}, right edge {}, top edge {}, bottom edge {}.".format(*wanted))


def test_no_letters_where_the_file_says_nothing(page, reader):
    opened(page, reader, dicom(noise(0, 4096, "<u2"), bits=12))
    assert letters(page) == ("", "", "", "")
    page.keyboard.press("h")
    expect(page.get_by_text("Flipped", exact=True)).to_be_visible()


def test_every_window_of_the_file_is_offered(page, reader):
    opened(page, reader, axial(WindowCenter=[1300, 600, 900], WindowWidth=[2600, 400, 100]))
    presets = page.locator("[data-presets]")
    expect(presets).to_have_value("file")
    presets.select_option(label="From the file, 3")
    expect(page.locator("[data-centre]")).to_have_text("900")
    expect(page.locator("[data-width]")).to_have_text("100")
    expect(presets).to_have_value("file3")


def with_table(**more):
    item = Dataset()
    item.LUTDescriptor = [3000, 500, 12]
    item.LUTData = np.rint(4095 * (np.arange(3000) / 2999) ** 0.4).astype("<u2").tobytes()
    return axial(VOILUTSequence=[item], **more)


def test_table_of_the_file_is_shown_as_by_pydicom(page, reader):
    data = with_table()
    opened(page, reader, data)
    expect(page.locator("[data-presets]")).to_have_value("table")
    page.keyboard.press("o")
    shown = shown_at_one_to_one(page, 48, 65)
    dataset = pydicom.dcmread(io.BytesIO(data))
    wanted = apply_voi(dataset.pixel_array, dataset) / 4095 * 255
    assert np.abs(shown - wanted).max() <= 1.0
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-presets]")).to_have_value("")
    page.keyboard.press("Shift+Digit5")
    expect(page.locator("[data-presets]")).to_have_value("table")
    assert (shown_at_one_to_one(page, 48, 65) == shown).all()


def test_window_of_the_file_comes_before_its_table(page, reader):
    opened(page, reader, with_table(WindowCenter=1300, WindowWidth=2600))
    expect(page.locator("[data-presets]")).to_have_value("file")
    expect(page.locator("[data-presets] option[value=table]")).to_be_enabled()
