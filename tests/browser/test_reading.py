"""The reading page in a browser: a day's work by keyboard alone, and nothing lost when something goes wrong."""

import io

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image
from playwright.sync_api import expect

from diagnostics.models import Case, Claim, Prediction, Read
from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import Role
from tests.browser.checks import in_each_look
from tests.browser.readers import canvas_grey, faults_of, image_ready, show_ai_result
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def heat_map(strong=255, weak=0):
    """A heat map with one bright quarter (the opposite one as faint as ``weak``), as inference stores it."""
    heat = np.zeros((64, 64, 4), np.uint8)
    heat[:32, :32] = (252, 255, 164, strong)
    heat[32:, 32:] = (252, 255, 164, weak)
    out = io.BytesIO()
    Image.fromarray(heat).save(out, format="PNG")
    return default_storage.save("heatmaps/browser.png", ContentFile(out.getvalue()))


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution, username="ada")


@pytest.fixture
def page(open_page, reader):
    return open_page(reader)


def case_of(institution, accession, *, ready=True, **opinion):
    case = CaseFactory(scan=ScanFactory(institution=institution, study__accession=accession))
    if ready:
        PredictionFactory(scan=case.scan, heatmap=heat_map(), **opinion)
    return case


def open_claimed(page, case, reader):
    ClaimFactory(case=case, holder=reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)


def step(page, name):
    expect(page.locator("[aria-current=step]")).to_have_text(name)


def test_five_cases_by_keyboard_alone(page, institution, reader):
    for number in range(5):
        case_of(institution, f"ACC-{number}", p=0.9 if number % 2 else 0.1)
    page.goto("/worklist/")
    page.keyboard.press("n")
    for number in range(5):
        expect(page.get_by_role("heading", name=f"ACC-{number}")).to_be_visible()
        image_ready(page)
        step(page, "Your read")
        page.keyboard.press("1")  # no tumour
        page.keyboard.press("9")  # probable
        page.keyboard.press("n")
        show_ai_result(page)
        step(page, "Final read")
        image_ready(page)  # the keys are bound by then
        if number % 2 == 0:  # the AI agrees
            page.keyboard.press("k")
        elif number == 1:  # it does not; the reader comes round to it
            page.keyboard.press("a")
        else:  # it does not, and the reader says why
            page.keyboard.press("k")
            page.keyboard.press("y")
            page.keyboard.type("The AI saw")
            page.keyboard.press("Escape")
            page.keyboard.press("m")
            page.keyboard.type("Vessel, no mass: 2 n ?")
            page.keyboard.press("Escape")
        page.keyboard.press("t")
        page.keyboard.press("n")
    expect(page.get_by_text("No cases to read. New scans appear here automatically.")).to_be_visible()
    finals = [
        (read.label, read.certainty, read.adopted, read.reason, read.may_train)
        for read in Read.objects.filter(kind="final", reader=reader).order_by("case__scan__study__accession")
    ]
    agreed = ("no_tumour", "probable", False, "", True)
    assert finals == [
        agreed,
        ("tumour", "probable", True, "", True),
        agreed,
        ("no_tumour", "probable", False, "false_positive", True),
        agreed,
    ]
    assert Read.objects.filter(comment="Vessel, no mass: 2 n ?").count() == 1
    assert not Case.objects.filter(state="open").exists()


def test_heat_map_is_fetched_only_when_asked_for_and_its_use_is_recorded(page, institution, reader):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "heatmap.png" in request.url else None)
    case = case_of(institution, "ACC-1", p=0.1)
    open_claimed(page, case, reader)
    expect(page.get_by_text("Show heat map")).to_have_count(0)
    for key in ("g", "1", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    step(page, "Final read")
    image_ready(page)
    plain = canvas_grey(page).astype(int)
    assert asked == []
    page.keyboard.press("g")
    expect(page.get_by_text("It shows influence, not lesion extent.")).to_be_visible()
    expect(page.locator("[data-heatmap-seen]")).to_have_value("1")
    veiled = canvas_grey(page).astype(int)
    height, width = plain.shape
    middle = np.s_[height // 2 - 200 : height // 2 - 40, width // 2 - 200 : width // 2 - 40]
    expected = plain[middle] * 0.4 + 252 * 0.6
    assert np.abs(veiled[middle] - expected).max() <= 2
    other = np.s_[height // 2 + 40 : height // 2 + 200, width // 2 + 40 : width // 2 + 200]
    assert (veiled[other] == plain[other]).all()
    page.get_by_label("Opacity").fill("100")
    assert (canvas_grey(page)[middle] == 252).all()
    page.keyboard.press("g")
    assert (canvas_grey(page) == plain).all()
    assert len(asked) == 1
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(page.get_by_text("Read recorded")).to_be_visible()
    assert Read.objects.get(kind="final").heatmap_seen


def test_next_case_s_image_is_here_before_it_is_opened(page, institution, reader):
    first, second = (case_of(institution, name) for name in ("ACC-1", "ACC-2"))
    case_of(institution, "ACC-3")
    open_claimed(page, first, reader)
    expect(page.locator("[data-fetched-ahead='1']")).to_be_visible()
    page.goto(f"/cases/{second.pk}/")
    image_ready(page)
    sent, whole = page.evaluate(
        """(scan) => {
          const entry = performance.getEntriesByType('resource').find(({ name }) => name.includes(scan));
          return [entry.transferSize, entry.encodedBodySize];
        }""",
        f"{second.scan_id}/pixels",
    )
    assert sent < whole / 2  # asked whether it is still the same, and nothing more


def test_nothing_is_fetched_ahead_for_who_does_not_read(open_page, institution):
    asked = []
    page = open_page(person(Role.DATA_MANAGER, institution))
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/pixels") else None)
    first, _second = case_of(institution, "ACC-1"), case_of(institution, "ACC-2")
    page.goto(f"/cases/{first.pk}/")
    image_ready(page)
    page.wait_for_timeout(800)
    assert len(set(asked)) == 1


def test_threshold_leaves_what_influenced_most(page, institution, reader):
    case = CaseFactory(scan=ScanFactory(institution=institution))
    PredictionFactory(scan=case.scan, heatmap=heat_map(strong=200, weak=100))
    open_claimed(page, case, reader)
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    step(page, "Final read")
    image_ready(page)
    plain = canvas_grey(page).astype(int)
    height, width = plain.shape
    strong = np.s_[height // 2 - 200 : height // 2 - 40, width // 2 - 200 : width // 2 - 40]
    weak = np.s_[height // 2 + 40 : height // 2 + 200, width // 2 + 40 : width // 2 + 200]
    page.keyboard.press("g")
    expect(page.locator("[data-heatmap-seen]")).to_have_value("1")
    veiled = canvas_grey(page).astype(int)
    # But where the image has the very grey that the map has there.
    assert (veiled[strong] != plain[strong]).mean() > 0.9
    assert (veiled[weak] != plain[weak]).mean() > 0.9
    page.get_by_label("Threshold").fill("60")  # of the strongest, which is far from opaque here
    cut = canvas_grey(page).astype(int)
    assert (cut[strong] == veiled[strong]).all()
    assert (cut[weak] == plain[weak]).all()
    page.get_by_label("Threshold").fill("0")
    assert (canvas_grey(page) == veiled).all()


def test_reason_is_asked_for_only_where_the_read_differs(page, institution, reader):
    open_claimed(page, case_of(institution, "ACC-1", p=0.9), reader)
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    step(page, "Final read")
    image_ready(page)
    reason = page.get_by_label("Reason for disagreeing with the AI")
    expect(reason).to_be_hidden()
    page.keyboard.press("k")
    expect(reason).to_be_visible()
    page.keyboard.press("a")
    expect(reason).to_be_hidden()
    page.keyboard.press("6")
    expect(page.get_by_label("Change to…")).to_be_checked()
    expect(reason).to_be_visible()


def test_opinion_appears_by_itself_when_it_lands(page, institution, reader):
    case = case_of(institution, "ACC-1", ready=False)
    PredictionFactory(scan=case.scan, queued=True)
    open_claimed(page, case, reader)
    for key in ("5", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    expect(page.get_by_text("The analysis is running.")).to_be_visible()
    Prediction.objects.all().delete()
    PredictionFactory(scan=case.scan, heatmap=heat_map())
    expect(page.get_by_text("94 %")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("n")
    expect(page.get_by_text("Read recorded: Tumour, unspecified, certain.")).to_be_visible()


def test_opinion_that_lands_while_somebody_writes_wipes_nothing_out(page, institution, reader, console):
    console.allow("409")
    case = case_of(institution, "ACC-1", ready=False)
    PredictionFactory(scan=case.scan, queued=True)
    open_claimed(page, case, reader)
    for key in ("5", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    expect(page.get_by_text("The analysis is running.")).to_be_visible()
    page.get_by_label("Comment (optional)").fill("Half a sentence")
    Prediction.objects.all().delete()
    PredictionFactory(scan=case.scan)
    expect(page.get_by_text("The AI result has arrived.")).to_be_visible()
    expect(page.get_by_label("Comment (optional)")).to_have_value("Half a sentence")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(page.get_by_text("94 %")).to_be_visible()
    expect(page.get_by_label("Comment (optional)")).to_have_value("Half a sentence")
    page.keyboard.press("n")
    expect(page.get_by_text("Read recorded")).to_be_visible()


def test_lease_is_renewed_by_activity_and_its_loss_is_told(page, institution, reader, console):
    console.allow("409")
    page.clock.install()
    case = case_of(institution, "ACC-1")
    open_claimed(page, case, reader)
    first = Claim.objects.get().expires_at
    page.get_by_label("Comment (optional)").fill("Kept")
    page.clock.fast_forward(61_000)
    with page.expect_response("**/renew/") as renewed:
        page.mouse.move(300, 300)
    assert renewed.value.status == 200
    assert Claim.objects.get().expires_at > first
    worklist.take_over(by=person(Role.RADIOLOGIST, institution), case=case, reason="Urgent.")
    page.clock.fast_forward(61_000)
    page.mouse.move(320, 300)
    expect(page.get_by_text("Your claim on this case has ended")).to_be_visible()
    expect(page.get_by_label("Comment (optional)")).to_have_value("Kept")


def test_entries_survive_a_claim_that_has_lapsed(page, institution, reader, console):
    console.allow("409")
    open_claimed(page, case_of(institution, "ACC-1"), reader)
    page.keyboard.press("3")
    page.keyboard.press("0")
    page.get_by_label("Comment (optional)").fill("At the falx.")
    Claim.objects.update(expires_at=timezone.now())
    page.get_by_role("button", name="Submit blind read").click()
    expect(page.get_by_text("Your claim on this case has ended")).to_be_visible()
    page.get_by_role("button", name="Claim it again").click()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    expect(page.get_by_label("Unsure")).to_be_checked()
    expect(page.get_by_label("Comment (optional)")).to_have_value("At the falx.")
    page.get_by_role("button", name="Submit blind read").click()
    show_ai_result(page)
    step(page, "Final read")


def test_list_of_keys_follows_the_step(page, institution, reader):
    open_claimed(page, case_of(institution, "ACC-1", p=0.9), reader)
    page.keyboard.press("?")
    panel = page.locator("[data-keys-panel]")
    expect(panel.get_by_text("Certain, probable, unsure")).to_be_visible()
    expect(panel.get_by_text("Heat map")).to_be_hidden()
    expect(panel.get_by_text("Accept AI")).to_be_hidden()
    expect(panel.get_by_text("Window from the file")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    step(page, "Final read")
    image_ready(page)
    page.keyboard.press("?")
    expect(panel.get_by_text("Heat map")).to_be_visible()
    expect(panel.get_by_text("Accept AI")).to_be_visible()


@in_each_look
def test_reading_page_has_no_faults_of_access(open_page, institution, reader, theme, viewport):
    page = open_page(reader, theme=theme, viewport=viewport)
    case = case_of(institution, "ACC-1", p=0.9, warnings=["out_of_distribution"])
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    assert faults_of(page) == []
    page.keyboard.press("n")
    step(page, "Your read")
    image_ready(page)
    assert faults_of(page) == []
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    show_ai_result(page)
    step(page, "Final read")
    image_ready(page)
    for key in ("g", "k", "?"):
        page.keyboard.press(key)
    expect(page.get_by_text("It shows influence, not lesion extent.")).to_be_visible()
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("Read recorded")).to_be_visible()
    page.get_by_text("Amend my read").click()
    assert faults_of(page) == []


def test_reading_without_scripts(open_page, institution, reader):
    case = case_of(institution, "ACC-1", p=0.9)
    ClaimFactory(case=case, holder=reader)
    page = open_page(reader, scripts=False)
    page.goto(f"/cases/{case.pk}/")
    expect(page.get_by_alt_text("Thumbnail of the scan.")).to_be_visible()
    page.get_by_label("No tumour").check()
    page.get_by_label("Probable").check()
    page.get_by_role("button", name="Submit blind read").click()
    page.get_by_role("button", name="Show AI result").click()
    page.get_by_label("Keep my read").check()
    page.get_by_label("Reason for disagreeing with the AI").select_option("false_positive")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("Read recorded: No tumour, probable.")).to_be_visible()
    assert Read.objects.get(kind="final").reason == "false_positive"


# Toolbars, tables and all: whatever a finger, or a reader who enlarges four times, would have to push sideways.
SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll('body *')]
  .filter((element) => element.scrollWidth > element.clientWidth + 1
    && (element === document.documentElement || /auto|scroll/.test(getComputedStyle(element).overflowX)))
  .map((element) => `${element.tagName}.${element.className} ${element.clientWidth} < ${element.scrollWidth}`)"""


def test_nothing_is_scrolled_sideways_at_320_pixels(open_page, institution, reader):
    case = case_of(institution, "ACC-0", p=0.9)
    page = open_page(reader, viewport={"width": 320, "height": 512})
    open_claimed(page, case, reader)
    assert page.evaluate(SIDEWAYS) == []
    claim = Claim.objects.get()
    for kind in ("blind", "final"):
        reading.record_read(
            by=reader, case=case, claim_token=claim.token, kind=kind, label="glioma", certainty="certain"
        )
        page.reload()
        image_ready(page)
        assert page.evaluate(SIDEWAYS) == [], kind
    page.goto(f"/scans/{case.scan_id}/")
    expect(page.get_by_text("AI results by model version")).to_be_visible()
    assert page.evaluate(SIDEWAYS) == []
