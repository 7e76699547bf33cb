"""The whole loop in a real browser, with real workers: sixty scans, two readers, a dataset, a model, and back."""

import re

import pytest
from playwright.sync_api import Page, expect

from diagnostics import tasks
from diagnostics.models import ShadowOpinion
from tests.browser.readers import image_ready, show_ai_result
from tests.journeys.bulk_data import (
    DISAGREED,
    RECIPE,
    SCANS,
    box,
    cast,
    hand_in_all,
    head,
    number_of,
    second_word,
    truth,
    wait,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1500),
]
ADMIN = "/admin/diagnostics"
KEYS = {"no_tumour": "1", "tumour": "5"}
CERTAIN, KEEP, WHY, COMMENT, MAY_TRAIN, ON, AWAY = "8", "k", "y", "m", "t", "n", "Escape"


def next_case(page: Page, step: str) -> int | None:
    """The number of the case that is open at ``step`` now; None where the list has come to its end."""
    there, over = page.get_by_text(step, exact=True).first, page.get_by_text("No cases to read.")
    expect(there.or_(over).first).to_be_visible()
    if over.is_visible():
        return None
    image_ready(page)  # the keys are bound by then
    return number_of(page.locator("h1").inner_text())


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def read_all(page: Page, word) -> int:  # type: ignore[no-untyped-def]
    """Read whatever waits by keyboard alone, blind and then having seen the AI's opinion; how many cases that were."""
    page.goto("/worklist/")
    press(page, ON)
    done = 0
    while (number := next_case(page, "Submit blind read n")) is not None:
        expect(page.get_by_role("heading", name="AI result")).to_have_count(0)
        press(page, KEYS[word(number)], CERTAIN, ON)
        show_ai_result(page)
        expect(page.locator("[aria-current=step]")).to_have_text("Final read")
        expect(page.get_by_role("heading", name="AI result")).to_be_visible()
        image_ready(page)
        press(page, KEEP)
        if page.get_by_label("Reason for disagreeing with the AI").is_visible():
            press(page, WHY)
            page.keyboard.type("Other")
            press(page, AWAY, COMMENT)
            page.keyboard.type("It is a phantom, whatever the AI says.")
            press(page, AWAY)
        press(page, MAY_TRAIN, ON)
        done += 1
    return done


def settle_all(page: Page) -> int:
    """Settle by keyboard alone whatever two readers disagree on; how many cases that were."""
    page.goto("/worklist/")
    press(page, ON)
    done = 0
    while (number := next_case(page, "Two readers disagree")) is not None:
        press(page, KEYS[truth(number)], CERTAIN, MAY_TRAIN, ON)
        done += 1
    return done


def hand_in(page: Page, number: int) -> str:
    """Hand one more scan in; the address of its page."""
    page.goto("/scans/hand-in/")
    file = {"name": "head.png", "mimeType": "image/png", "buffer": head(number, truth(number) == "tumour")}
    page.get_by_label("choose files").set_input_files(file)
    page.get_by_label("Patient ID (pseudonym)").fill(f"P-{number}")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("1 uploaded, 0 already uploaded, 0 rejected, 0 remaining")).to_be_visible()
    page.get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Analysis")).to_be_visible()
    return page.url


def predicted_by(page: Page, scan: str, model: str) -> None:
    """The page of a scan comes to say by itself what ``model`` makes of it."""
    page.goto(scan)
    expect(page.locator(".opinion--large")).to_contain_text(model, timeout=120_000)


def freeze(page: Page) -> None:
    """Every label is a reader's word, the settled ones told apart."""
    page.goto(f"{ADMIN}/datasetversion/")
    page.get_by_role("link", name="Freeze a dataset version").click()
    expect(page.get_by_text(f"final reads: {SCANS - DISAGREED}")).to_be_visible()
    expect(page.get_by_text(f"adjudicated: {DISAGREED}")).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_text("Dataset v1 is frozen.")).to_be_visible()


def train(page: Page) -> None:
    """Ends on the page of the candidate in the lab."""
    page.get_by_role("link", name="Start training").click()
    page.get_by_label("Maximum number of epochs").fill(str(RECIPE["epochs"]))
    page.get_by_label("Batch size").fill(str(RECIPE["batch_size"]))
    page.get_by_label("Augmentation").select_option(RECIPE["augment"])
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
    expect(page.locator("#progress").get_by_text(re.compile("^(Succeeded|Failed)$"))).to_be_visible(timeout=300_000)
    page.reload()
    page.get_by_role("link", name="The candidate").click()
    page.get_by_role("link", name="Charts and model card").click()


def test_sixty_scans_become_a_model_in_use_and_the_former_comes_back(
    open_page, institution, settings, console, inference_worker, training_worker
):
    settings.SECOND_ADMINISTRATOR = True
    console.allow("status of 400")  # the approval without a written exception
    former = str(box())
    people = cast(institution)
    hand_in_all(people)

    # Read by two, who disagree on some; those are settled.
    assert read_all(open_page(people["anna"]), truth) == SCANS
    assert read_all(open_page(people["bert"]), second_word) == SCANS
    assert settle_all(open_page(people["judge"])) == DISAGREED

    # Frozen, trained, and judged by the gate on a test part that is too small to say much.
    keeper = open_page(people["keeper"])
    freeze(keeper)
    train(keeper)
    candidate, name = keeper.url, keeper.title().split(" · ")[0]
    gate = keeper.get_by_role("region", name="Gate")
    expect(gate).to_contain_text("The test set is too small to decide.")

    # In the shadow: a live case is scored by both, and only the model in use is shown.
    keeper.get_by_role("button", name="Run as challenger").click()
    expect(keeper.get_by_text(f"{name} is now the challenger.")).to_be_visible()
    tech = open_page(people["tech"])
    predicted_by(keeper, hand_in(tech, 700), former)
    tasks.score_in_the_shadow.delay()  # the scheduler does not run here
    wait(ShadowOpinion.objects.exists, 120, "the challenger gave no opinion")
    expect(keeper.get_by_text(name)).to_have_count(0)
    keeper.goto(candidate)
    expect(keeper.get_by_role("region", name="As challenger")).to_contain_text("1 of")

    # Promoted by two: nobody approves alone, and what the gate has not passed needs a written exception.
    ada, ben = open_page(people["ada"]), open_page(people["ben"])
    ada.goto(candidate)
    ada.get_by_label("Reason").fill("A trial.")
    ada.get_by_role("button", name="Propose for promotion").click()
    expect(ada.get_by_text(f"{name} was proposed. Another administrator decides.")).to_be_visible()
    expect(ada.get_by_role("button", name="Approve and promote")).to_have_count(0)
    ben.goto(candidate)
    ben.get_by_role("button", name="Approve and promote").click()
    exception = ben.get_by_label("Written exception, or reason for declining")
    expect(exception).to_have_attribute("aria-invalid", "true")
    exception.fill("Phantoms only; nobody is harmed.")
    ben.get_by_label("Type the model's name").fill(name)
    ben.get_by_role("button", name="Approve and promote").click()
    expect(ben.get_by_text(f"{name} is live. It analyses new scans.")).to_be_visible()
    predicted_by(keeper, hand_in(tech, 701), name)

    # And back.
    ada.goto(f"{ADMIN}/modelversion/")
    ada.get_by_role("link", name=f"Roll back to {former}").click()
    ada.get_by_label("Reason").fill("The trial is over.")
    ada.get_by_role("button", name="Roll back").click()
    expect(ada.get_by_text(f"{former} is live again.")).to_be_visible()
    predicted_by(keeper, hand_in(tech, 702), former)
