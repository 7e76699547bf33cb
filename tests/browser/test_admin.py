"""The learning loop in the Django admin, in a real browser under the real content policy."""

import pytest
from playwright.sync_api import expect

from diagnostics.models import ModelVersion, TrainingRun
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.training import run_state
from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_lab import EPOCHS, candidate, keeper, own_cache, run  # noqa: F401 - fixtures
from tests.diagnostics.model_fixtures import model_folder, report
from tests.diagnostics.test_datasets import enough, own_files  # noqa: F401 - fixture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/admin/diagnostics"


def test_freeze_train_watch_promote_and_roll_back(page_as, institution, tmp_path):
    live = registry.install_bundled_model(model_folder(tmp_path, b"live", name="box"))
    enough(institution)
    page = page_as(Role.ADMINISTRATOR)
    page.goto(f"{HOME}/datasetversion/")
    page.get_by_role("link", name="Freeze a dataset version").click()
    expect(page.get_by_role("heading", name="Preview of the dataset")).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_text("Dataset v1 is frozen.")).to_be_visible()
    page.get_by_role("link", name="Start training").click()
    page.get_by_label("Maximum number of epochs").fill("5")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("waiting for the training worker")).to_be_visible()
    run_row = TrainingRun.objects.get()
    claimed = run_state.claim(run_row.pk)
    run_state.progress(
        run_id=run_row.pk, fence=claimed.fence, step=run_state.Step(0.6, 30, EPOCHS[:3], "epoch 3 of 5")
    )
    expect(page.get_by_text("about 30 s left")).to_be_visible()
    expect(page.get_by_role("img", name="Loss")).to_be_visible()
    made = run_state.succeed(
        run_id=run_row.pk, fence=claimed.fence, folder=model_folder(tmp_path, b"made"), report=report()
    )
    expect(page.get_by_text("Succeeded", exact=True)).to_be_visible()
    page.reload()
    page.get_by_role("link", name="The candidate").click()
    page.get_by_role("link", name="Promote").click()
    page.get_by_label("Reason").fill("Better on every measure")
    page.get_by_label("Type the model's name").fill(str(made))
    page.get_by_role("button", name="Promote to live").click()
    expect(page.get_by_text(f"{made} is live.")).to_be_visible()
    assert registry.live() == made
    page.get_by_role("link", name=f"Roll back to {live}").click()
    page.get_by_label("Reason").fill("It was not")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"{live} is live again.")).to_be_visible()
    assert registry.live() == live
    assert ModelVersion.objects.get(pk=made.pk).state == "previous"


@pytest.mark.parametrize(("theme", "viewport"), [("dark", WIDE), ("light", NARROW)])
def test_pages_of_acts_are_accessible_and_fit(page_as, run, candidate, console, theme, viewport):  # noqa: F811
    # axe itself copies imported sheets into the page; that the pages obey the policy, the test above shows.
    console.allow("Applying inline style")
    console.allow("style-src")
    console.allow("preload assets")
    page = page_as(Role.ADMINISTRATOR, theme=theme, viewport=viewport)
    for path in (
        f"{HOME}/datasetversion/freeze/",
        f"{HOME}/datasetversion/{run.dataset_id}/train/",
        f"{HOME}/trainingrun/{run.pk}/change/",
        f"{HOME}/modelversion/{candidate.pk}/change/",
        f"{HOME}/modelversion/{candidate.pk}/promote/",
    ):
        page.goto(path)
        assert_accessible(page)
        assert_fits(page)
