"""Marks that stay: saved by themselves, there again after a reload, shown to others only when the read is."""

import pytest
from playwright.sync_api import expect

from diagnostics.annotations.models import Annotation
from diagnostics.annotations.queries import annotations_for, standing
from diagnostics.models import Case, Claim, Read
from diagnostics.reviews import reading
from diagnostics.scans.access import Role
from tests.browser.readers import faults_of, image_ready
from tests.browser.test_marks import drag, opened, rows
from tests.factories import AnnotationFactory, CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution, username="ada")


@pytest.fixture
def page(open_page, reader):
    return open_page(reader)


def saved(page):
    expect(page.locator("[data-marks-saved]")).to_contain_text("saved")


def test_marks_save_themselves_and_are_there_again(page, reader):
    opened(page, reader)
    page.keyboard.press("x")
    drag(page, (20, 20), (60, 40))
    saved(page)
    first = Annotation.objects.get()
    assert (first.kind, first.revision, first.unit, first.author) == ("rectangle", 1, "mm", reader)
    words = page.locator("[data-mark-said]").inner_text()
    page.reload()
    image_ready(page)
    expect(page.locator("[data-mark-said]")).to_have_text(words)
    page.keyboard.press("s")
    page.keyboard.press("s")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press("ArrowDown")
    assert [row.revision for row in annotations_for(reader)] == [1, 2]
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press("Delete")
    assert not standing(annotations_for(reader)).exists()
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press("Control+z")
    assert standing(annotations_for(reader)).get().revision == 4
    first.refresh_from_db()
    assert first.revision == 1


def test_mark_made_while_the_others_are_on_their_way_stays_chosen_and_is_undone_alone(page, reader):
    opened(page, reader)
    page.keyboard.press("x")
    drag(page, (20, 20), (60, 40))
    saved(page)
    on_the_way = []
    page.route("**/annotations/", lambda route: on_the_way.append(route))
    page.reload()
    image_ready(page)
    page.keyboard.press("l")
    drag(page, (20, 60), (60, 60))
    expect(rows(page)).to_have_count(1)
    page.unroute("**/annotations/")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1).locator("[data-mark-choose]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Rectangle")


def test_read_is_sent_after_the_marks_that_belong_to_it(page, reader):
    case = opened(page, reader)
    page.keyboard.press("l")
    drag(page, (20, 20), (60, 40))
    page.keyboard.press("1")
    page.keyboard.press("8")
    page.keyboard.press("n")
    expect(page.locator("[aria-current=step]")).not_to_have_text("Your read")
    assert Annotation.objects.get().created_at < Read.objects.get(case=case).created_at
    image_ready(page)
    expect(page.locator(".timeline")).to_contain_text("Annotated the image: 1 annotation (length)")


def test_marks_that_cannot_be_saved_are_told_and_hold_nothing_up(page, reader, console):
    console.allow("503")
    opened(page, reader)
    page.route("**/annotations/", lambda route: route.fulfill(status=503, body=""))
    page.keyboard.press("l")
    drag(page, (20, 20), (60, 40))
    expect(page.get_by_text("Your annotations are not saved.")).to_be_visible()
    for key in ("1", "8", "n"):
        page.keyboard.press(key)
    assert not Read.objects.exists()
    expect(rows(page)).to_have_count(1)
    page.unroute("**/annotations/")
    page.keyboard.press("n")
    expect(page.locator("[aria-current=step]")).not_to_have_text("Your read")
    assert Read.objects.exists()


def test_claim_that_has_ended_keeps_no_marks_and_says_so(page, reader, console):
    console.allow("409")
    opened(page, reader)
    page.keyboard.press("l")
    drag(page, (20, 20), (60, 40))
    saved(page)
    Claim.objects.update(expires_at="2020-01-01T00:00:00Z")
    drag(page, (20, 50), (60, 60))
    expect(page.get_by_text("Your claim on this case has ended")).to_be_visible()
    expect(rows(page)).to_have_count(2)
    assert Annotation.objects.count() == 1


def test_marks_of_others_appear_when_the_case_is_done(open_page, institution, reader):
    other = person(Role.RADIOLOGIST, institution, first_name="Grace", last_name="Hopper")
    case = CaseFactory(scan=ScanFactory(institution=institution))
    PredictionFactory(scan=case.scan)
    ClaimFactory(case=case, holder=other)
    AnnotationFactory(case=case, author=other, kind="arrow", text="Rim")
    page = open_page(reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    expect(page.locator("[data-marks]")).to_be_hidden()
    assert page.locator(".mark").count() == 0
    claim = Claim.objects.get()
    for kind in ("blind", "final"):
        reading.record_read(
            by=other, case=case, claim_token=claim.token, kind=kind, label="tumour", certainty="certain"
        )
    assert Case.objects.get().state == "done"
    page.reload()
    image_ready(page)
    expect(page.locator("[data-mark-others]")).to_contain_text("Grace Hopper: Arrow, “Rim”")
    expect(page.locator(".mark.is-foreign .mark__label")).to_contain_text("Rim")
    page.keyboard.press("l")
    drag(page, (20, 20), (60, 40))
    expect(page.get_by_text("These annotations are not saved")).to_be_visible()
    assert faults_of(page) == []
    assert Annotation.objects.count() == 1
