"""Two readers in a browser: ask, read blind, settle, return; by keyboard, without faults of access."""

import pytest
from playwright.sync_api import expect

from diagnostics.models import Case, Comment
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.browser.checks import in_each_look
from tests.browser.readers import faults_of, image_ready
from tests.diagnostics.test_two_readers import disagreement, final
from tests.factories import CaseFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(institution):
    institution.second_reader = SecondReader.ALL
    institution.save()
    named = [(Role.RADIOLOGIST, "anna"), (Role.RADIOLOGIST, "bert"), (Role.ADJUDICATOR, "judge")]
    return [person(role, institution, username=name) for role, name in named]


@pytest.fixture
def case(institution, people):
    scan = ScanFactory(institution=institution, study__accession="ACC-1")
    PredictionFactory(scan=scan, p=0.9312)
    return CaseFactory(scan=scan)


@in_each_look
def test_pages_of_two_readers_have_no_faults_of_access(open_page, case, people, theme, viewport):
    disagreement(case, *people[:2])
    page = open_page(people[2], theme=theme, viewport=viewport)
    page.goto("/worklist/?tab=adjudicate")
    assert faults_of(page) == []
    page.get_by_role("button", name="Resolve ACC-1").click()
    image_ready(page)
    page.get_by_text("Send back to a reader").click()
    expect(page.get_by_text("Two readers disagree")).to_be_visible()
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("radio", name="Reader B").check()
    page.get_by_label("What should they review?").fill("Look at the falx.")
    page.get_by_role("button", name="Send back", exact=True).click()
    expect(page.get_by_text("The case was sent back to its reader with your comment.")).to_be_visible()
    reader = open_page(people[1], theme=theme, viewport=viewport)
    reader.goto("/worklist/?tab=returned")
    assert faults_of(reader) == []
    reader.get_by_role("button", name="Read ACC-1").click()
    expect(reader.get_by_text("Look at the falx.")).to_be_visible()
    image_ready(reader)
    assert faults_of(reader) == []
    assert reader.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_adjudicator_settles_by_keyboard_alone(open_page, case, people):
    disagreement(case, *people[:2])
    page = open_page(people[2])
    page.goto("/worklist/")
    page.keyboard.press("n")
    image_ready(page)
    for key in ("2", "8", "n"):
        page.keyboard.press(key)
    expect(page.get_by_text("No cases to read.")).to_be_visible()
    assert Case.objects.get().state == "done"


def test_asking_by_key_keeps_what_was_entered(open_page, institution, case, people):
    institution.second_reader = SecondReader.NONE
    institution.save()
    page = open_page(people[0])
    page.goto("/worklist/")
    page.keyboard.press("n")
    image_ready(page)
    page.keyboard.press("3")
    page.get_by_label("Comment (optional)").fill("Half a sentence")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.keyboard.type("Meningioma, or a cyst?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("You requested a second opinion")).to_be_visible()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    expect(page.get_by_role("textbox", name="Comment (optional)")).to_have_value("Half a sentence")
    assert Comment.objects.get().text == "Meningioma, or a cyst?"


def test_second_reader_meets_nothing_of_the_first(open_page, case, people):
    final(people[0], case, comment="canary")
    page = open_page(people[1])
    page.goto("/worklist/?tab=second")
    page.get_by_role("button", name="Read ACC-1").click()
    expect(page.locator("[aria-current=step]")).to_have_text("Your read")
    assert not [leak for leak in ("canary", "anna", "93 %") if leak in page.content()]
