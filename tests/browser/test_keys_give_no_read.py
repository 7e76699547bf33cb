"""No slip of the keyboard states anything: a read is given by its key or its button, and nothing else changes one."""

import random
import string

import pytest
from playwright.sync_api import expect

from diagnostics.models import Case, Claim, Read
from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.browser.readers import image_ready, show_ai_result
from tests.diagnostics.test_two_readers import disagreement
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# For each form: some each time, a thousand over all forms together by `make faults`.
ROUNDS = [pytest.param(15, id="some"), pytest.param(250, id="many", marks=pytest.mark.faults)]
SUBMIT = "n"
NAMED = ["Enter"] * 12 + [f"Arrow{way}" for way in ("Up", "Down", "Left", "Right")] * 4
NAMED += [
    " ",
    "Tab",
    "Shift+Tab",
    "Escape",
    "Home",
    "End",
    "PageDown",
    "Delete",
    "Backspace",
    "Control+z",
    "Shift+Digit1",
]
# All keys but the one that submits, and those that lead away from the page or into a field to write in.
KEYS = NAMED + [key for key in string.ascii_lowercase + "0123456789.,+-=?" if key not in f"{SUBMIT}bmfy"]
# Which form is sent, by what: its own button pressed, or anything else that the browser takes for it.
WATCH = """
window.key = ''; window.at = null; window.sent = [];
addEventListener('keydown', (event) => { window.key = event.key; window.at = document.activeElement; }, true);
// Tab and Enter may open a link: that would end the test, not a read.
addEventListener('click', (event) => event.target.closest('a') && event.preventDefault(), true);
addEventListener('mousedown', (event) => { window.key = 'mouse'; window.at = event.target.closest('button'); }, true);
addEventListener('submit', (event) => {
  event.preventDefault();
  event.stopImmediatePropagation();
  const own = window.at?.matches('button:not([type=button])') && window.at.form === event.target;
  sent.push([new URL(event.target.action).pathname, own ? 'button' : window.key]);
}, true);
"""


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution, username="ada")


@pytest.fixture
def case(institution):
    scan = ScanFactory(institution=institution, study__accession="ACC-1")
    PredictionFactory(scan=scan, label="meningioma", probabilities={"meningioma": 0.9, "no_tumour": 0.1}, p=0.9)
    return CaseFactory(scan=scan)


@pytest.fixture
def page(open_page, case, reader):
    ClaimFactory(case=case, holder=reader)
    page = open_page(reader)
    page.goto(f"/cases/{case.pk}/")
    image_ready(page)
    return page


def lock(page):
    """State the blind read by the button."""
    page.locator("input[name=label][value=glioma]").check()
    page.locator("input[name=certainty][value=certain]").check()
    page.get_by_role("button", name="Submit blind read").click()
    expect(page.get_by_role("button", name="Show AI result")).to_be_visible()
    image_ready(page)


@pytest.mark.parametrize("tool", ["l", "c", "e", "x", "d", ".", "j", "s", "w", "p", "z"])
def test_keys_of_a_measurement_change_no_answer_and_give_no_read(page, tool):
    page.get_by_label("Meningioma").click()
    page.locator("input[value=certain]").click()
    page.get_by_label("Meningioma").click()
    for key in (tool, "ArrowDown", "ArrowDown", "Enter", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    # An arrow asks for its text when it is drawn.
    expect(page.locator("[data-mark-text]" if tool == "j" else "[data-canvas]").first).to_be_focused()
    expect(page.get_by_label("Meningioma")).to_be_checked()
    expect(page.get_by_role("button", name="Submit blind read")).to_be_visible()
    assert not Read.objects.exists()


def test_answer_clicked_while_measuring_leaves_the_keys_to_the_image(page):
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    page.get_by_label("Meningioma").click()
    for key in ("ArrowDown", "Enter", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_label("Meningioma")).to_be_checked()
    expect(page.locator("[data-mark-rows] > li")).to_have_count(1)
    assert not Read.objects.exists()


def test_who_came_by_tab_chooses_by_arrows(page):
    page.locator("[data-canvas]").focus()
    page.get_by_label("No tumour").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Meningioma")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert not Read.objects.exists()


@pytest.mark.parametrize("scripts", [True, False])
def test_enter_in_an_answer_sends_none_of_the_forms(open_page, institution, case, reader, console, scripts):
    console.allow("preloaded")  # left before the image is used
    ClaimFactory(case=case, holder=reader)
    page = open_page(reader, scripts=scripts)
    token = Claim.objects.get().token

    def enter_everywhere():
        page.goto(f"/cases/{case.pk}/")
        if page.get_by_text("Amend my read").count():
            page.get_by_text("Amend my read").click()
        answers = page.locator("[data-panel] input:is([type=radio], [type=checkbox])").all()
        # Without scripts each is a round to the server: some of every form.
        for answer in answers if scripts else answers[::5]:
            if answer.is_visible():
                answer.focus()
                page.keyboard.press("Enter")
                if not scripts:  # the form was sent, and stated nothing
                    expect(page.get_by_text("Nothing was submitted. Enter only selects.")).to_be_visible()
                    page.goto(f"/cases/{case.pk}/")
                    if page.get_by_text("Amend my read").count():
                        page.get_by_text("Amend my read").click()
        page.wait_for_timeout(100)

    for state, label in (("blind", "glioma"), ("final", "meningioma")):
        reads = Read.objects.count()
        enter_everywhere()
        assert Read.objects.count() == reads, state
        said = {"by": reader, "case": case, "claim_token": token, "label": label, "certainty": "certain"}
        reading.record_read(kind=state, **said)
        if state == "blind":
            reading.reveal(by=reader, case=case, claim_token=token)
    if scripts:  # without, the browser itself asks for the comment that an amendment needs
        enter_everywhere()
    assert Read.objects.count() == 2, "an amendment"


def test_key_that_is_held_down_does_not_run_on_into_the_reveal(page):
    page.get_by_label("Glioma").click()
    page.locator("input[value=certain]").click()
    page.keyboard.down(SUBMIT)
    expect(page.get_by_role("button", name="Show AI result")).to_be_visible()
    image_ready(page)
    for _ in range(5):
        page.keyboard.down(SUBMIT)  # the same key, not lifted: the browser calls it a repetition
    page.keyboard.up(SUBMIT)
    page.wait_for_timeout(200)
    assert Read.objects.get().revealed_at is None
    page.keyboard.press("u")
    expect(page.get_by_label("Glioma")).to_be_checked()
    assert not Read.objects.exists()


def test_locked_read_is_undone_by_key_until_the_reveal(page):
    lock(page)
    page.keyboard.press("u")
    expect(page.get_by_label("Glioma")).to_be_checked()
    expect(page.get_by_role("button", name="Submit blind read")).to_be_visible()
    image_ready(page)
    page.keyboard.press("3")
    page.keyboard.press(SUBMIT)
    show_ai_result(page)
    expect(page.get_by_role("heading", name="AI result")).to_be_visible()
    page.keyboard.press("u")
    page.wait_for_timeout(200)
    assert [(read.kind, read.label) for read in Read.objects.all()] == [("blind", "meningioma")]


def blind_page(page, case, reader):
    pass


def final_page(page, case, reader):
    lock(page)
    show_ai_result(page)


def amended_page(page, case, reader):
    token = Claim.objects.get().token
    for kind in ("blind", "final"):
        reading.record_read(
            by=reader, case=case, claim_token=token, kind=kind, label="meningioma", certainty="certain"
        )
    page.reload()
    page.get_by_text("Amend my read").click()


def settling_page(page, case, reader):
    place = case.institution
    place.second_reader = SecondReader.ALL
    place.save()
    Claim.objects.all().delete()
    Case.objects.filter(pk=case.pk).update(second_read="policy")
    case.refresh_from_db()
    disagreement(case, *(person(Role.RADIOLOGIST, place) for _ in range(2)))
    person_at_it = reader.memberships.get()
    person_at_it.role = Role.ADJUDICATOR
    person_at_it.save()
    worklist.claim(by=type(reader).objects.get(pk=reader.pk), case=case)
    page.reload()
    page.get_by_text("Send back to a reader").click()


FORMS = {"blind": blind_page, "final": final_page, "amend": amended_page, "adjudicate": settling_page}


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("form", FORMS)
def test_random_keys_give_no_read_but_by_its_key_or_button(page, case, reader, form, rounds):
    """In each round an answer is clicked, then keys fall as they may (the seed is fixed)."""
    drawn = random.Random(f"keys of {form}")
    FORMS[form](page, case, reader)
    image_ready(page)
    before = Read.everything.count()
    page.evaluate(WATCH)
    here = page.url
    answers = page.locator("[data-panel] label:has(> input[type=radio])").all()
    places = {at: box for at, answer in enumerate(answers) if (box := answer.bounding_box())}
    for _round in range(rounds):
        if drawn.random() < 0.3:  # an answer by mouse keeps the focus; the keys of before may have moved it
            box = places[drawn.choice(list(places))]
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for key in drawn.choices(KEYS, k=2):
            page.keyboard.press(key)
    assert page.url == here, "nothing led away"
    sent = page.evaluate("sent")
    stated = [each for each in sent if each[0].split("/")[-2] in ("blind", "final", "amend", "adjudicate", "reveal")]
    assert [each for each in stated if each[1] not in ("button", SUBMIT)] == []
    assert Read.everything.count() == before


def test_reasons_follow_the_answer_while_it_changes(page):
    """The AI says meningioma, the reader glioma."""
    lock(page)
    show_ai_result(page)
    image_ready(page)
    reason = page.get_by_label("Reason for disagreeing with the AI")
    codes = lambda: [each.get_attribute("value") for each in reason.locator("option").all()]  # noqa: E731
    always = ["artefact", "wrong_sequence", "clinical_context", "other"]
    page.keyboard.press("k")
    assert codes() == ["", "wrong_type", *always]
    reason.select_option("wrong_type")
    page.get_by_label("Change to…").check()
    page.locator("[data-other] input[value=no_tumour]").check()
    assert codes() == ["", "false_positive", *always]
    expect(reason).to_have_value("")  # a reason that does not fit any more is given up
    reason.select_option("artefact")
    page.locator("[data-other] input[value=not_assessable]").check()
    assert codes() == ["", *always[:2], "out_of_scope", *always[2:]]
    expect(reason).to_have_value("artefact")  # one that still fits stays
    page.keyboard.press("a")
    expect(reason).to_be_hidden()
    page.keyboard.press("8")
    page.keyboard.press("n")
    expect(page.get_by_text("Read recorded: Meningioma, certain.")).to_be_visible()
    assert Read.objects.get(kind="final").reason == ""
