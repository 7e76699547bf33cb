"""The viewer: true values, exactly as DICOM says, wherever the image lies on the screen."""

import base64
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from diagnostics.scans.access import Role
from mlcore.images.decode import decode
from mlcore.images.viewer_file import container
from tests.browser.readers import canvas_grey, image_ready, shown_at_one_to_one
from tests.factories import CaseFactory, ClaimFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAINT = """async ([bytes, preset, inverted]) => {
  const { decodeContainer } = await import('/static/js/viewer/container.js');
  const { GreyPainter, presetsOf } = await import('/static/js/viewer/window.js');
  const image = decodeContainer(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer);
  const words = new Uint32Array(image.width * image.height);
  new GreyPainter(image).paint(words, presetsOf(image).named[preset], inverted !== image.inverted);
  return Array.from(words, (word) => word & 255);
}"""


def dicom(pixels: np.ndarray, *, bits: int, **tags: object) -> bytes:
    """A DICOM file of our own with these pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Modality = "MR"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def noise(low: int, high: int, dtype: str, shape: tuple[int, int] = (48, 65)) -> np.ndarray:
    return np.random.default_rng(7).integers(low, high, shape).astype(dtype)


def by_pydicom(data: bytes) -> np.ndarray:
    """Grey 0 to 255 (float) by the file's own window as pydicom applies it."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    with np.errstate(over="ignore"):
        shown = apply_windowing(values, dataset)
        # pydicom stretches over the range of the rescaled type, whatever that is: its own ends say which.
        ends = apply_windowing(np.array([-1e9, 1e9]), dataset)
    grey = (shown - ends[0]) / (ends[1] - ends[0]) * 255
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


FILES = {
    "12 bits": dicom(noise(0, 4096, "<u2"), bits=12, WindowCenter=1300, WindowWidth=2600),
    "16 bits": dicom(noise(0, 65536, "<u2"), bits=16, WindowCenter=30000, WindowWidth=12345),
    "signed": dicom(noise(-2048, 2048, "<i2"), bits=16, WindowCenter=40, WindowWidth=400),
    "rescaled": dicom(
        noise(0, 4096, "<u2"), bits=12, RescaleSlope=2.5, RescaleIntercept=-1024, WindowCenter=2000, WindowWidth=3001
    ),
    "one wide": dicom(noise(0, 4096, "<u2"), bits=12, WindowCenter=2000, WindowWidth=1),
    "sigmoid": dicom(noise(0, 4096, "<u2"), bits=12, WindowCenter=2000, WindowWidth=900, VOILUTFunction="SIGMOID"),
    "linear exact": dicom(
        noise(0, 4096, "<u2"), bits=12, WindowCenter=2000, WindowWidth=900, VOILUTFunction="LINEAR_EXACT"
    ),
    "white is low": dicom(
        noise(0, 4096, "<u2"), bits=12, WindowCenter=2000, WindowWidth=900, PhotometricInterpretation="MONOCHROME1"
    ),
}


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def page(open_page, reader):
    return open_page(reader)


def open_case(page, reader, data=None, **scan):
    """Open the page of a claimed case with this image."""
    institution = reader.memberships.get().institution
    more = {"data": data} if data is not None else {}
    case = CaseFactory(scan=ScanFactory(institution=institution, **more, **scan))
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    return case


@pytest.mark.parametrize("name", FILES)
def test_window_of_the_file_is_that_of_pydicom(page, name):
    data = FILES[name]
    page.goto("/worklist/")
    packed = base64.b64encode(container(decode(data))).decode()
    got = np.array(page.evaluate(PAINT, [packed, "file", False]))
    wanted = by_pydicom(data).ravel()
    assert np.abs(got - wanted).max() <= 1.0
    inverted = np.array(page.evaluate(PAINT, [packed, "file", True]))
    assert (inverted == 255 - got).all()


def test_float_pixels_between_their_percentiles(page):
    page.goto("/worklist/")
    values = np.random.default_rng(3).normal(0, 0.01, (40, 50)).astype("<f4")
    decoded = decode(FILES["12 bits"])
    packed = container(type(decoded)(pixels=values, format="dicom", bits=32))
    got = np.array(page.evaluate(PAINT, [base64.b64encode(packed).decode(), "wide", False]))
    ordered = np.sort(values.ravel())
    low, high = (float(ordered[round(share * (ordered.size - 1))]) for share in (0.005, 0.995))
    wanted = np.clip((values.ravel() - low) / (high - low), 0, 1) * 255
    assert np.abs(got - wanted).max() <= 1.0


def test_page_shows_the_true_pixels_of_a_sixteen_bit_file(page, reader):
    data = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    open_case(page, reader, data)
    page.keyboard.press("o")
    shown = shown_at_one_to_one(page, 64, 64)
    assert np.abs(shown - by_pydicom(data)).max() <= 1.0
    dataset = pydicom.dcmread(io.BytesIO(data))
    expect(page.locator("[data-centre]")).to_have_text(f"{float(dataset.WindowCenter):.0f}")
    expect(page.locator("[data-status]")).to_contain_text("16-bit, 64 × 64, 0.313 mm")


def test_status_tells_the_rescaled_value_under_the_pointer(page, reader):
    open_case(page, reader, FILES["rescaled"])
    page.keyboard.press("o")
    box = page.locator("[data-canvas]").bounding_box()
    left, top = round((box["width"] - 65) / 2 + 1e-9), round((box["height"] - 48) / 2 + 1e-9)
    page.mouse.move(box["x"] + left + 10.5, box["y"] + top + 20.5)
    stored = noise(0, 4096, "<u2")[20, 10]
    expect(page.locator("[data-x]")).to_have_text("10")
    expect(page.locator("[data-y]")).to_have_text("20")
    assert float(page.locator("[data-value]").inner_text()) == pytest.approx(stored * 2.5 - 1024, abs=0.51)


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ("h", np.fliplr),
        ("v", np.flipud),
        ("r", lambda image: np.rot90(image, -1)),
        ("rrrr", lambda image: image),
        ("rh", lambda image: np.fliplr(np.rot90(image, -1))),
        ("i", lambda image: 255 - image),
    ],
)
def test_turning_and_mirroring(page, reader, keys, change):
    open_case(page, reader, FILES["12 bits"])
    page.keyboard.press("o")
    upright = shown_at_one_to_one(page, 48, 65)
    assert upright.std() > 20
    for key in keys:
        page.keyboard.press(key)
    wanted = change(upright)
    got = canvas_grey(page)
    found = [
        (top, left)
        for top in range(got.shape[0] // 2 - 40, got.shape[0] // 2)
        for left in range(got.shape[1] // 2 - 40, got.shape[1] // 2)
        if (got[top : top + wanted.shape[0], left : left + wanted.shape[1]] == wanted).all()
    ]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("said", "shape"),
    [
        ({"PixelSpacing": [1.0, 0.5]}, (96, 65)),
        ({"PixelSpacing": [0.5, 1.0]}, (24, 65)),
        ({"PixelSpacing": [0.5, 0.5]}, (48, 65)),
        ({"PixelAspectRatio": [2, 1]}, (96, 65)),
        ({"ImagerPixelSpacing": [0.4, 0.8]}, (24, 65)),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (96, 65)),
    ],
    ids=str,
)
def test_pixels_that_are_no_squares_keep_their_shape(page, reader, said, shape):
    white = np.full((48, 65), 4000, "<u2")
    open_case(page, reader, dicom(white, bits=12, WindowCenter=2000, WindowWidth=400, **said))
    # Only Pixel Spacing is a distance in the patient; the others give no millimetres.
    spacing = page.locator("[data-spacing]")
    expect(spacing).to_contain_text("mm" if "PixelSpacing" in said else "px (uncalibrated)")
    page.keyboard.press("o")
    lit = np.argwhere(canvas_grey(page) > 127)
    found = lit.max(axis=0) - lit.min(axis=0) + 1
    assert np.abs(found - shape).max() <= 1
    box = page.locator("[data-canvas]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + shape[0] / 2 - 1)
    assert abs(int(page.locator("[data-y]").inner_text()) - 46) <= 1


def numbers(page):
    return tuple(float(page.locator(f"[data-{name}]").inner_text()) for name in ("centre", "width", "zoom"))


def settle(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_wheel_zooms_to_the_pointer(page, reader):
    open_case(page, reader)
    box = page.locator("[data-canvas]").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4)
    before = numbers(page)
    under = [page.locator(f"[data-{axis}]").inner_text() for axis in "xy"]
    for _ in range(4):
        page.mouse.wheel(0, -120)
    settle(page)
    page.mouse.move(box["x"] + box["width"] * 0.6 + 0.2, box["y"] + box["height"] * 0.4)
    after = numbers(page)
    assert after[2] > before[2] * 1.5
    assert after[:2] == before[:2]
    assert [page.locator(f"[data-{axis}]").inner_text() for axis in "xy"] == under


@pytest.mark.parametrize("how", ["middle", "right", "shift", "tool"])
def test_dragging_moves_the_image(page, reader, how):
    open_case(page, reader)
    before = numbers(page)
    box = page.locator("[data-canvas]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if how == "tool":
        page.keyboard.press("p")
    if how == "shift":
        page.keyboard.down("Shift")
    page.mouse.move(x, y)
    probe = int(page.locator("[data-x]").inner_text())
    page.mouse.down(button=how if how in ("middle", "right") else "left")
    page.mouse.move(x + 100, y, steps=5)
    page.mouse.up(button=how if how in ("middle", "right") else "left")
    page.keyboard.up("Shift")
    settle(page)
    assert numbers(page) == before
    page.mouse.move(x + 100.2, y)
    assert abs(int(page.locator("[data-x]").inner_text()) - probe) <= 1


def test_dragging_changes_the_window_and_nothing_resets_it(page, reader):
    open_case(page, reader)
    before = numbers(page)
    box = page.locator("[data-canvas]").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 350, steps=5)
    page.mouse.up()
    settle(page)
    dragged = numbers(page)
    assert dragged[0] > before[0]
    assert dragged[1] > before[1]
    expect(page.locator("[data-presets]")).to_have_value("")
    page.keyboard.press("+")
    page.set_viewport_size({"width": 1100, "height": 700})
    settle(page)
    assert numbers(page) == (*dragged[:2], pytest.approx(before[2] * 1.25, rel=0.01))
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Space")
    settle(page)
    assert numbers(page)[:2] == before[:2]


def test_view_stays_as_it_is_when_the_read_is_locked(page, reader):
    open_case(page, reader, FILES["12 bits"])
    page.keyboard.press("Shift+Digit3")
    for key in ("+", "+", "h", "r", "i", "ArrowRight"):
        page.keyboard.press(key)
    settle(page)
    before, drawn = numbers(page), canvas_grey(page)
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    expect(page.locator("[aria-current=step]")).not_to_have_text("Your read")
    image_ready(page)
    assert numbers(page) == before
    assert (canvas_grey(page) == drawn).all()
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")


def test_next_image_begins_as_it_should(page, reader):
    open_case(page, reader, FILES["12 bits"])
    before = numbers(page)
    page.keyboard.press("Shift+Digit3")
    page.keyboard.press("+")
    settle(page)
    assert numbers(page)[2] > before[2]
    open_case(page, reader, FILES["signed"])
    assert numbers(page)[2] == before[2]
    expect(page.locator("[data-presets]")).to_have_value("file")


def test_presets_by_key_and_by_list(page, reader):
    open_case(page, reader, FILES["12 bits"])
    expect(page.locator("[data-presets]")).to_have_value("file")
    page.keyboard.press("Shift+Digit4")
    expect(page.locator("[data-presets]")).to_have_value("full")
    values = noise(0, 4096, "<u2")
    settle(page)
    assert numbers(page)[1] == int(values.max()) - int(values.min()) + 1
    page.locator("[data-presets]").select_option("narrow")
    settle(page)
    low, high = np.percentile(values, (5, 95))
    assert numbers(page)[1] == pytest.approx(high - low, abs=3)


def test_preset_of_the_file_where_it_brings_none(page, reader):
    open_case(page, reader)
    before = numbers(page)
    page.keyboard.press("Shift+Digit1")
    settle(page)
    assert numbers(page) == before
    expect(page.locator("[data-presets] option[value=file]")).to_be_disabled()


def test_arrows_move_the_image_and_with_shift_the_window(page, reader):
    open_case(page, reader, FILES["12 bits"])
    page.locator("[data-canvas]").focus()
    before = numbers(page)
    first = canvas_grey(page)
    page.keyboard.press("ArrowRight")
    assert not (canvas_grey(page) == first).all()
    assert numbers(page) == before
    page.keyboard.press("Shift+ArrowRight")
    settle(page)
    assert numbers(page)[1] > before[1]


def test_two_fingers_zoom(page, reader):
    open_case(page, reader)
    before = numbers(page)
    box = page.locator("[data-canvas]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind, apart):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 50)
    for apart in (70, 90, 100):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    settle(page)
    after = numbers(page)
    assert after[2] == pytest.approx(before[2] * 2, rel=0.02)
    assert after[:2] == before[:2]


def test_image_that_does_not_arrive(page, reader, console):
    console.allow("503")
    institution = reader.memberships.get().institution
    case = CaseFactory(scan=ScanFactory(institution=institution))
    ClaimFactory(case=case, holder=reader)
    page.route("**/pixels", lambda route: route.fulfill(status=503, body=""))
    page.goto(f"/cases/{case.pk}/")
    expect(page.get_by_text("The image could not be loaded.")).to_be_visible()
    page.unroute("**/pixels")
    page.get_by_role("button", name="Try again").click()
    image_ready(page)
    expect(page.get_by_text("The image could not be loaded.")).to_be_hidden()
