"""The lab in a real browser: it reads well, changes by itself, and leads from labels to a model in use."""

import pytest
from playwright.sync_api import expect

from diagnostics import pipeline, tasks
from diagnostics.datasets.services import freeze
from diagnostics.models import GateResult, ModelVersion, TrainingRun
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.training import run_state
from diagnostics.training import services as training
from tests.browser.checks import assert_accessible, assert_fits, in_each_look
from tests.browser.conftest import NARROW, WIDE
from tests.diagnostics.model_fixtures import model_folder, report
from tests.diagnostics.test_datasets import enough, own_files, scan  # noqa: F401 - fixture
from tests.diagnostics.test_tested_scans import row_of
from tests.factories import ScanFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NARROWEST = {"width": 320, "height": 700}
TOO_WIDE = """() => [...document.querySelectorAll('.table-wrap')]
  .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth).map((each) => each.textContent)"""
EPOCHS = [{"epoch": n, "loss": 1.2 / n, "val_loss": 1.3 / n, "val_auroc": 0.6 + 0.05 * n} for n in range(1, 6)]


@pytest.fixture(autouse=True)
def own_cache(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"


@pytest.fixture
def keeper(institution):
    return person(Role.DATA_MANAGER, institution, username="keeper")


@pytest.fixture
def run(institution, keeper):
    enough(institution)
    version = freeze(by=keeper, institutions=[institution])
    return training.queue(by=keeper, dataset=version, config={})


@pytest.fixture
def candidate(run, tmp_path):
    """A candidate beside a live model, with everything that its page can show."""
    live = registry.install_bundled_model(model_folder(tmp_path, b"live", name="box"))
    claimed = run_state.claim(run.pk)
    run_state.progress(run_id=run.pk, fence=claimed.fence, step=run_state.Step(0.9, 4, EPOCHS, "epoch 5 of 8"))
    beside = {"number": live.number, "name": live.name, "seen": None, "test": report(0.7)["test"]}
    beside["difference"] = {"auroc": {"value": 0.1, "low": 0.02, "high": 0.2}}
    return run_state.succeed(
        run_id=run.pk,
        fence=claimed.fence,
        folder=model_folder(tmp_path, b"candidate", name="candidate"),
        report=report() | {"compared_with_live": beside},
    )


@pytest.mark.parametrize(("theme", "viewport"), [("dark", WIDE), ("light", NARROW)])
def test_lab_pages_are_accessible_and_fit(page_as, run, candidate, theme, viewport):
    page = page_as(Role.ADMINISTRATOR, theme=theme, viewport=viewport)
    for path in (
        "/lab/",
        "/lab/datasets/freeze/?institutions=north&lineage=other&seed=1&include_imported=on",
        f"/lab/datasets/{run.dataset_id}/",
        f"/lab/runs/{run.pk}/",
        f"/lab/models/{candidate.pk}/",
    ):
        page.goto(path)
        for summary in page.locator("main details:not([open]) > summary").all():
            summary.click()
        assert_accessible(page)
        assert_fits(page)


@pytest.fixture
def judged(candidate, institution):
    """The candidate with a long word of the gate, and subgroups."""
    numbers = {"value": -0.012, "low": -0.034, "high": 0.012, "n": 400, "limit": -0.03, "verdict": "too_few"}
    labels = ("no_tumour", "tumour", "glioma", "meningioma", "pituitary")
    GateResult.objects.create(
        version=candidate,
        live=registry.live(),
        rules=gate.current_rules(),
        verdict="too_few",
        findings=[
            {"rule": rule, "verdict": "too_few", "numbers": [{"name": name, **numbers} for name in names]}
            for rule, names in (
                ("same_test", ["images"]),
                ("test_size", ["images", "groups"]),
                ("accuracy", ["accuracy"]),
                ("auroc", ["auroc"]),
                ("sensitivity", labels),
                ("calibration", ["calibration", "calibration_difference"]),
            )
        ],
        test_sha256="0" * 64,
    )
    for n, truth in enumerate(("tumour", "no_tumour")):
        scan = ScanFactory(institution=institution, seed=n, width=600 if n else 200)
        row_of(candidate, scan, truth, truth, "no_tumour")
    return candidate


def test_candidate_s_tables_need_no_scrolling_sideways_on_the_narrowest_phone(page_as, judged):
    page = page_as(Role.ADMINISTRATOR, viewport=NARROWEST)
    page.goto(f"/lab/models/{judged.pk}/")
    expect(page.get_by_role("heading", name="By subgroup")).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    assert_fits(page)
    assert_accessible(page)


def test_counts_and_difference_of_datasets_need_no_scrolling_sideways_on_the_narrowest_phone(
    page_as, institution, run
):
    scan(institution, "pituitary")
    page = page_as(Role.DATA_MANAGER, viewport=NARROWEST)
    for path in ("/lab/datasets/freeze/", f"/lab/datasets/{run.dataset_id}/"):
        page.goto(path)
        expect(page.get_by_role("heading", name="Contents").or_(page.get_by_text("1 added"))).to_be_visible()
        assert page.evaluate(TOO_WIDE) == []
        assert_fits(page)
    page.goto("/lab/datasets/freeze/")
    added = page.get_by_role("row", name="added")
    expect(added).to_contain_text("Pituitary tumour")
    expect(added).to_contain_text("Imported reference label")


def test_gate_with_many_rules_leaves_no_blank_column_beside_it(page_as, judged):
    page = page_as(Role.ADMINISTRATOR)
    page.goto(f"/lab/models/{judged.pk}/")
    gate_box, figures_box = (page.get_by_role("region", name=name).bounding_box() for name in ("Gate", "Figures"))
    assert gate_box["width"] > 1.3 * figures_box["width"]
    assert gate_box["y"] >= figures_box["y"] + figures_box["height"]
    first, last = page.locator(".rules__item").first.bounding_box(), page.locator(".rules__item").last.bounding_box()
    assert last["x"] > first["x"], "the rules fill more than one column"


def test_run_page_changes_by_itself_until_the_run_has_ended(page_as, run):
    page = page_as(Role.DATA_MANAGER)
    page.goto(f"/lab/runs/{run.pk}/")
    expect(page.get_by_text("waiting for the training worker")).to_be_visible()
    claimed = run_state.claim(run.pk)
    run_state.progress(run_id=run.pk, fence=claimed.fence, step=run_state.Step(0.4, 90, EPOCHS[:2], "epoch 2 of 8"))
    expect(page.get_by_text("about 2 min left")).to_be_visible()
    expect(page.get_by_role("img", name="Loss")).to_be_visible()
    page.get_by_role("button", name="Cancel the training").click()
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    run_state.stopped(run_id=run.pk, fence=claimed.fence)
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
    expect(page.locator("#progress[hx-get]")).to_have_count(0)


def test_from_labels_to_a_model_in_use_by_mouse_alone(page_as, institution, tmp_path, console):
    console.allow("status of 400")  # the promotion without a reason
    enough(institution)
    page = page_as(Role.ADMINISTRATOR)
    page.goto("/lab/")
    page.get_by_role("link", name="See the plan").click()
    page.get_by_role("button", name="Freeze these 16 scans").click()
    expect(page.get_by_role("heading", name="Dataset v1")).to_be_visible()
    page.get_by_label("Maximum number of epochs").fill("2")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", name="Training run 1")).to_be_visible()
    run = TrainingRun.objects.get()
    claimed = run_state.claim(run.pk)
    run_state.succeed(run_id=run.pk, fence=claimed.fence, folder=model_folder(tmp_path), report=report())
    page.get_by_role("link", name="toy v1").click()
    page.get_by_role("button", name="Promote to live").click()
    expect(page.get_by_text("Give a reason for the promotion")).to_be_visible()
    page.get_by_label("Reason").fill("The first one, so nothing to compare it with")
    page.get_by_label("Type the model's name").fill("toy v1")
    page.get_by_role("button", name="Promote to live").click()
    expect(page.get_by_text("This model analyses new scans.")).to_be_visible()
    assert registry.live() == ModelVersion.objects.get()


def test_lab_works_without_scripts(page_as, institution, run):
    page = page_as(Role.DATA_MANAGER, scripts=False)
    page.goto(f"/lab/runs/{run.pk}/")
    page.get_by_role("button", name="Cancel the training").click()
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()


@in_each_look
def test_plan_of_many_scans_is_waited_for_and_then_shown(page_as, institution, settings, monkeypatch, theme, viewport):
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)
    settings.PLAN_AT_ONCE_SCANS = 3
    enough(institution, each=4)
    page = page_as(Role.DATA_MANAGER, theme=theme, viewport=viewport)
    page.goto("/lab/datasets/freeze/")
    expect(page.get_by_text("Comparing all scans.")).to_be_visible()
    assert_accessible(page), assert_fits(page)
    tasks.plan_datasets.run()
    expect(page.get_by_role("button", name="Plan again")).to_be_visible()
    assert_accessible(page), assert_fits(page)
    page.get_by_role("button", name="Freeze these").click()
    expect(page.get_by_text("Freezing the dataset.")).to_be_visible()
    assert_accessible(page), assert_fits(page)
    tasks.plan_datasets.run()
    expect(page.get_by_text("Dataset v1 is frozen.")).to_be_visible()
