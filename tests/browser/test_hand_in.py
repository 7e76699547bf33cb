"""Hand in, the list and the scan's page in a real browser."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from diagnostics.models import Image, Prediction, Scan, Series
from diagnostics.scans.access import Role
from tests import factories as made
from tests.browser.checks import assert_accessible, assert_fits, in_each_look
from tests.browser.conftest import Console
from tests.dicom_images import slice_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three good pictures, one of them twice, and a text that only claims to be one."""
    paths = []
    for name, content in [
        ("one.png", made.phantom(1)),
        ("two.png", made.phantom(2)),
        ("again.png", made.phantom(1)),
        ("three.jpg", made.phantom(3, file_format="JPEG")),
        ("letter.png", b"Dear colleague, please find enclosed nothing at all."),
    ]:
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    return paths


def test_batch_is_handed_in_file_by_file(page_as: Callable[..., Page], files: list[Path]) -> None:
    made.live_model()
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.get_by_label("choose files").set_input_files(files[:3])
    page.get_by_label("choose files").set_input_files(files[3:])
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    row = page.get_by_role("listitem").filter
    expect(page.get_by_text("3 uploaded, 1 already uploaded, 1 rejected, 0 remaining")).to_be_visible()
    expect(row(has_text="letter.png")).to_contain_text("Refused")
    expect(row(has_text="letter.png")).to_contain_text("JPEG, PNG")
    expect(page.get_by_label("Patient ID (pseudonym)")).to_have_value("P-0042")
    assert Scan.objects.filter(patient__pseudonym="P-0042").count() == 3
    assert Prediction.objects.count() == 3
    assert_accessible(page)
    row(has_text="two.png").get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Analysis")).to_be_visible()


def test_batch_is_handed_in_without_scripts(page_as: Callable[..., Page], files: list[Path]) -> None:
    page = page_as(Role.TECHNOLOGIST, scripts=False)
    page.goto("/scans/hand-in/")
    page.locator("#id_files").set_input_files(files)
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Stored", exact=True)).to_have_count(3)
    expect(page.get_by_text("Already uploaded", exact=True)).to_have_count(1)
    expect(page.get_by_text("Refused", exact=True)).to_have_count(1)
    assert Scan.objects.count() == 3


def test_future_date_is_refused_beside_its_field(
    page_as: Callable[..., Page], files: list[Path], console: Console
) -> None:
    console.allow("status of 400")
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.get_by_label("choose files").set_input_files(files[:1])
    page.get_by_label("Patient ID (pseudonym)").fill("Jane Doe")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".field__error")).to_contain_text("no name: a pseudonym")
    assert Scan.objects.count() == 0
    page.get_by_label("Patient ID (pseudonym)").fill("P-7")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()


def test_lost_connection_offers_another_try(page_as: Callable[..., Page], files: list[Path], console: Console) -> None:
    console.allow("ERR_FAILED")
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.route("**/scans/hand-in/", lambda route: route.abort())
    page.get_by_label("choose files").set_input_files(files[:1])
    page.get_by_label("Patient ID (pseudonym)").fill("P-7")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The connection was lost")).to_be_visible()
    assert_accessible(page)
    page.unroute("**/scans/hand-in/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()


def test_list_changes_by_itself_when_a_result_lands(page_as: Callable[..., Page], institution: object) -> None:
    prediction = made.PredictionFactory(queued=True, scan=made.ScanFactory(institution=institution))
    page = page_as(Role.DATA_MANAGER)
    page.goto("/scans/")
    expect(page.get_by_text("Queued", exact=True).last).to_be_visible()
    Prediction.objects.filter(pk=prediction.pk).update(
        state="ready",
        finished_at=timezone.now(),
        label="tumour",
        finding="tumour",
        tumour_probability=0.97,
        probabilities={"tumour": 0.97, "no_tumour": 0.03},
    )
    expect(page.get_by_role("row").get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_text("tumour 97 %")).to_be_visible()
    expect(page.locator("#scans[hx-get]")).to_have_count(0)


@in_each_look
def test_pages_of_scans_are_accessible(
    page_as: Callable[..., Page], institution: object, theme: str, viewport: dict[str, int]
) -> None:
    scan = made.ScanFactory(institution=institution, priority=0)
    made.PredictionFactory(scan=scan)
    failed = made.ScanFactory(institution=institution)
    made.PredictionFactory(scan=failed, failed=True)
    page = page_as(Role.ADMINISTRATOR, theme=theme, viewport=viewport)
    for path in ("/scans/hand-in/", "/scans/", "/scans/?patient=nobody", f"/scans/{scan.pk}/", f"/scans/{failed.pk}/"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)


def series(folder: Path, count: int) -> Path:
    """A folder of one series, a report beside it, and a file that systems leave behind."""
    (folder / "study" / "images").mkdir(parents=True)
    for n in range(count):
        (folder / "study" / "images" / f"{n}.dcm").write_bytes(slice_of(n))
    shot = slice_of(99, series="shots", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    (folder / "study" / "shot.dcm").write_bytes(shot)
    (folder / "study" / ".DS_Store").write_bytes(b"x")
    return folder / "study"


def test_folder_is_one_series_that_closes_when_all_is_sent(page_as: Callable[..., Page], tmp_path: Path) -> None:
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.locator("[data-folder]").set_input_files(series(tmp_path, 30))
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("30 uploaded, 0 already uploaded, 0 rejected, 0 remaining")).to_be_visible(timeout=30000)
    expect(page.get_by_text("30 images of one series")).to_be_visible()
    expect(page.get_by_text("Kept, not analysed")).to_be_visible()
    assert page.get_by_role("listitem").filter(has_text="images of one series").count() == 1
    assert Scan.objects.get().image_count == 30
    expect(page.locator("[data-way]")).to_be_hidden()
    page.wait_for_timeout(300)
    assert Series.objects.get().close_at <= timezone.now()
    assert_accessible(page)


def zip_of(folder: Path, to: Path) -> Path:
    """The files of a folder as a ZIP, with one that is no image and one that is encrypted as far as its flags say."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"study/{file.relative_to(folder)}")
    return to


def test_zip_is_unpacked_here_and_its_files_are_sent_one_by_one(page_as: Callable[..., Page], tmp_path: Path) -> None:
    made = zip_of(series(tmp_path, 30), tmp_path / "study.zip")
    page = page_as(Role.TECHNOLOGIST)
    sent: list[int] = []
    page.on("request", lambda request: sent.append(1) if request.method == "POST" else None)
    page.goto("/scans/hand-in/")
    page.locator("#id_files").set_input_files(made)
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("30 uploaded, 0 already uploaded, 0 rejected, 0 remaining")).to_be_visible(timeout=30000)
    expect(page.get_by_text("30 images of one series")).to_be_visible()
    assert Scan.objects.get().image_count == 30 and len(sent) > 30
    page.locator("#id_files").set_input_files(made)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("30 uploaded, 30 already uploaded, 0 rejected, 0 remaining")).to_be_visible(timeout=30000)


def test_broken_zip_is_refused_before_anything_is_sent(page_as: Callable[..., Page], tmp_path: Path) -> None:
    made = zip_of(series(tmp_path, 3), tmp_path / "study.zip")
    (tmp_path / "cut.zip").write_bytes(made.read_bytes()[:-60])
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.locator("#id_files").set_input_files(tmp_path / "cut.zip")
    expect(page.get_by_text("The ZIP file is damaged or cut off.")).to_be_visible()
    assert_accessible(page)


def test_zip_is_taken_without_scripts_too(page_as: Callable[..., Page], tmp_path: Path) -> None:
    made = zip_of(series(tmp_path, 5), tmp_path / "study.zip")
    page = page_as(Role.TECHNOLOGIST, scripts=False)
    page.goto("/scans/hand-in/")
    page.locator("#id_files").set_input_files(made)
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The image joined its series.").first).to_be_visible()
    assert Scan.objects.get().image_count == 5


def test_upload_pauses_and_goes_on(page_as: Callable[..., Page], tmp_path: Path) -> None:
    page = page_as(Role.TECHNOLOGIST)
    page.goto("/scans/hand-in/")
    page.locator("[data-folder]").set_input_files(series(tmp_path, 60))
    page.get_by_label("Patient ID (pseudonym)").fill("P-0042")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1500)
    there = Image.objects.count()
    page.wait_for_timeout(1000)
    assert Image.objects.count() == there < 60
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("60 uploaded, 0 already uploaded, 0 rejected, 0 remaining")).to_be_visible(timeout=30000)
