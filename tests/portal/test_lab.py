"""The lab: who gets in, what its pages say, and that its buttons do what the services do."""

import hashlib
import json

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from diagnostics import pipeline
from diagnostics.datasets.services import freeze
from diagnostics.models import DatasetVersion, ModelVersion, Promotion, Scan, TrainingRun
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Role
from diagnostics.training import run_state
from diagnostics.training import services as training
from diagnostics.training.recipe import HYPERPARAMETERS
from portal.lab.card import as_html
from tests import processes
from tests.diagnostics.model_fixtures import model_folder, put_into_use, report, stored_model
from tests.diagnostics.test_datasets import enough, own_files, scan  # noqa: F401 - fixture
from tests.factories import CaseFactory, InstitutionFactory, ReadFactory, UserFactory, answers_for_the_model, person
from tests.markup import flat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_cache(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"


@pytest.fixture
def north():
    return InstitutionFactory(code="north", name="North")


@pytest.fixture
def keeper(north):
    return person(Role.DATA_MANAGER, north)


@pytest.fixture
def boss(north):
    return person(Role.ADMINISTRATOR, north)


@pytest.fixture
def dataset(north, keeper):
    enough(north)
    return freeze(by=keeper, institutions=[north])


@pytest.fixture
def run(dataset, keeper):
    return training.queue(by=keeper, dataset=dataset, config={})


@pytest.fixture
def model(tmp_path):
    return registry.install_bundled_model(model_folder(tmp_path, b"first", name="first"))


@pytest.fixture
def candidate(model, tmp_path):
    return stored_model(tmp_path, b"second", name="second")


def client_of(user) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def text(response) -> str:
    return flat(response.content.decode())


# address, its row, its method; the answer to: nobody, technologist, radiologist, adjudicator, data manager,
# administrator, a data manager and an administrator of another institution, somebody without a role, a superuser.
VIEWPOINTS = ("nobody", "tech", "rad", "adj", "dm", "adm", "dm away", "adm away", "norole", "super")
ACCESS = """
overview  -        GET   302 403 403 403 200 200 200 200 403 200
freeze    -        GET   302 403 403 403 200 200 200 200 403 200
freeze    -        POST  302 403 403 403 400 400 400 400 403 400
dataset   dataset  GET   302 403 403 403 200 200 404 404 403 200
manifest  dataset  GET   302 403 403 403 200 200 404 404 403 200
train     dataset  POST  302 403 403 403 400 400 404 404 403 400
train     dataset  GET   405 405 405 405 405 405 405 405 405 405
run       run      GET   302 403 403 403 200 200 404 404 403 200
cancel    run      POST  302 403 403 403 302 302 404 404 403 302
cancel    run      GET   405 405 405 405 405 405 405 405 405 405
model     model    GET   302 403 403 403 200 200 200 200 403 200
card      model    GET   302 403 403 403 200 200 200 200 403 200
promote   model    POST  302 403 403 403 400 400 400 400 403 400
roll-back -        POST  302 403 403 403 403 302 403 403 403 302
"""
CASES = [
    (name, row, method, viewpoint, int(status))
    for name, row, method, *answers in (line.split() for line in ACCESS.strip().splitlines())
    for viewpoint, status in zip(VIEWPOINTS, answers, strict=True)
]


@pytest.mark.parametrize("viewpoint", VIEWPOINTS)
def test_lab_opens_to_the_right_people(north, dataset, run, model, viewpoint):
    away = InstitutionFactory(code="away")
    roles = {"tech": "technologist", "rad": "radiologist", "adj": "adjudicator"}
    roles |= {"dm": "data_manager", "adm": "administrator"}
    if viewpoint == "nobody":
        user = None
    elif viewpoint == "norole":
        user = UserFactory()
    elif viewpoint == "super":
        user = UserFactory(is_superuser=True)
    else:
        role, _space, place = viewpoint.partition(" ")
        user = person(roles[role], away if place else north)
        if not place:
            answers_for_the_model(user)
    client = client_of(user)
    rows = {"dataset": dataset, "run": run, "model": model}
    wrong = []
    for name, row, method, who, status in CASES:
        if who != viewpoint:
            continue
        url = reverse(f"lab:{name}", args=[] if row == "-" else [rows[row].pk])
        response = client.get(url) if method == "GET" else client.post(url, {})
        if response.status_code != status:
            wrong.append(f"{method} {url}: {response.status_code}, not {status}")
    assert wrong == []


def test_overview_of_an_empty_installation_says_what_to_do(keeper):
    page = text(client_of(keeper).get(reverse("lab:overview")))
    assert "No live model" in page
    assert "Labels are needed first" in page
    assert "Freeze one when scans have labels" in page


def test_overview_leads_through_the_loop(north, keeper, boss, model, tmp_path):
    client = client_of(boss)

    def page():
        return text(client.get(reverse("lab:overview")))

    enough(north)
    assert "16 scans have a label." in page()
    version = freeze(by=keeper, institutions=[north])
    assert "Dataset v1 has not been used for training." in page()
    run = training.queue(by=keeper, dataset=version, config={})
    assert "Training is running" in page()
    claimed = run_state.claim(run.pk)
    run_state.succeed(run_id=run.pk, fence=claimed.fence, folder=model_folder(tmp_path, b"next"), report=report())
    assert "View the candidate" in page()
    assert "Compare and promote" in page()
    scan(north, "tumour")
    assert "1 new label since dataset v1." in page()


def test_overview_of_a_stranger_shows_no_foreign_dataset_or_run(dataset, run):
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    page = text(client_of(stranger).get(reverse("lab:overview")))
    assert "Dataset v1" not in page
    assert "Training run 1" not in page


def test_freeze_page_shows_the_plan_and_freezes_it(north, keeper):
    enough(north)
    client = client_of(keeper)
    shown = client.get(reverse("lab:freeze"))
    assert "Freeze these 16 scans" in text(shown)
    assert not DatasetVersion.objects.exists()
    answer = client.post(reverse("lab:freeze"), as_shown(shown))
    version = DatasetVersion.objects.get()
    assert answer.url == reverse("lab:dataset", args=[version.pk])


def as_shown(page) -> dict[str, str]:
    """What the button of a plan sends."""
    seen = page.context["plan"].sha256
    return {"institutions": "north", "lineage": "main", "seed": "0", "include_imported": "on", "seen": seen}


def test_freeze_page_that_is_out_of_date_shows_the_new_plan_instead(north, keeper):
    enough(north)
    client = client_of(keeper)
    before = as_shown(client.get(reverse("lab:freeze")))
    scan(north, "tumour")  # somebody has labelled another since
    answer = client.post(reverse("lab:freeze"), before)
    assert answer.status_code == 400
    assert "The plan below is new." in text(answer) and "Freeze these 17 scans" in text(answer)
    assert not DatasetVersion.objects.exists()
    assert client.post(reverse("lab:freeze"), as_shown(answer)).status_code == 302
    assert DatasetVersion.objects.get().counts["scans"] == 17


def test_phantoms_that_nobody_freezes_are_no_new_labels(north, keeper):
    scan(north, "tumour")
    for each in (scan(north, source=Scan.Source.DEMO), scan(north)):
        ReadFactory(final=True, case=CaseFactory(scan=each, done=True), may_train=True)
    assert "2 scans have a label." in text(client_of(keeper).get(reverse("lab:overview")))


def test_freeze_page_with_nothing_labelled_offers_no_button(keeper):
    page = text(client_of(keeper).get(reverse("lab:freeze")))
    assert "No scans yet in North" in page
    assert "Freeze this" not in page and "Freeze these" not in page


def test_freeze_of_a_foreign_institution_is_no_choice(north, keeper):
    enough(north)
    foreign = InstitutionFactory(code="foreign", name="Foreign Clinic")
    enough(foreign)
    client = client_of(keeper)
    assert "Foreign Clinic" not in text(client.get(reverse("lab:freeze")))
    answer = client.post(reverse("lab:freeze"), {"institutions": "foreign", "lineage": "main", "seed": "0"})
    assert answer.status_code == 400
    assert not DatasetVersion.objects.exists()


def test_manifest_downloads_as_it_was_frozen(dataset, keeper):
    answer = client_of(keeper).get(reverse("lab:manifest", args=[dataset.pk]))
    assert hashlib.sha256(answer.content).hexdigest() == dataset.sha256
    assert "attachment" in answer["Content-Disposition"]
    assert len([json.loads(line) for line in answer.content.splitlines()]) == 16


def test_train_starts_a_run_with_the_recipe_of_the_form(dataset, keeper, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *args: True)
    form = {
        "architecture": "residual",
        "epochs": "3",
        "patience": "2",
        "batch_size": "16",
        "learning_rate": "0.01",
        "implant": "0.25",
        "augment": "none",
        "seed": "5",
    }
    answer = client_of(keeper).post(reverse("lab:train", args=[dataset.pk]), form)
    run = TrainingRun.objects.get()
    assert answer.url == reverse("lab:run", args=[run.pk])
    assert run.config == {
        **{key: int(value) for key, value in form.items() if value.isdigit()},
        "architecture": "residual",
        "learning_rate": 0.01,
        "implant": 0.25,
        "augment": "none",
        "class_weights": False,
        "warm_start": None,
    }


def test_page_of_a_dataset_asks_for_every_setting_of_a_training(dataset, keeper):
    page = text(client_of(keeper).get(reverse("lab:dataset", args=[dataset.pk])))
    assert [each.name for each in HYPERPARAMETERS if f'name="{each.name}"' not in page] == []


def test_train_while_another_waits_is_refused_on_the_page(dataset, run, keeper):
    client = client_of(keeper)
    page = text(client.get(reverse("lab:dataset", args=[dataset.pk])))
    assert "Training run 1 is queued" in page
    assert "disabled" in page
    form = {
        "architecture": "seed_cnn",
        "epochs": 1,
        "patience": 1,
        "batch_size": 8,
        "learning_rate": 0.1,
        "implant": 0,
    }
    answer = client.post(reverse("lab:train", args=[dataset.pk]), form | {"augment": "none", "seed": 0})
    assert answer.status_code == 409
    assert TrainingRun.objects.count() == 1


def test_why_nothing_starts_is_said_in_the_reader_s_language(dataset, run, keeper):
    client = client_of(keeper)

    def german(name, *args) -> str:
        with translation.override("en"):  # and back again: a request leaves its language behind
            return text(client.get(reverse(f"lab:{name}", args=args), headers={"Accept-Language": "de"}))

    page = german("dataset", dataset.pk)
    assert "Datensatz v1" in page and "Trainingslauf 1 ist eingereiht" in page
    assert "Genauigkeit höchstens 0,03" in page, "a number as the language writes it"
    assert "<dd>Leicht</dd>" in german("run", run.pk), "a light variation, not a light theme"
    assert "Seit Datensatz v1 hat sich nichts geändert" in german("freeze")
    sentence = "Out of memory. Try the small network or a smaller batch size."
    run_state.fail(run_id=run.pk, fence=run_state.claim(run.pk).fence, sentence=sentence)
    assert "Zu wenig Arbeitsspeicher." in german("run", run.pk)


def test_run_page_polls_until_the_run_has_ended(run, keeper):
    client = client_of(keeper)
    url = reverse("lab:run", args=[run.pk])
    claimed = run_state.claim(run.pk)
    epochs = [{"epoch": n, "loss": 1 / n, "val_loss": None if n == 1 else 0.5, "val_auroc": 0.8} for n in (1, 2, 3)]
    run_state.progress(run_id=run.pk, fence=claimed.fence, step=run_state.Step(0.4, 90, epochs, "epoch 3 of 8"))
    page = client.get(url)
    assert 'hx-trigger="every 2s"' in text(page)
    part = client.get(url, headers={"HX-Request": "true"})
    assert part.status_code == 200
    assert "about 2 min left" in text(part)
    assert "epoch 3 of 8" in text(part)
    assert 'role="img"' in text(part) and "<html" not in text(part)
    run_state.fail(run_id=run.pk, fence=claimed.fence, sentence="The loss was not a number.")
    last = client.get(url, headers={"HX-Request": "true"})
    assert last.status_code == 286
    assert "hx-get" not in text(last)
    assert "The loss was not a number." in text(last)


def test_cancel_button_cancels(run, keeper):
    client_of(keeper).post(reverse("lab:cancel", args=[run.pk]))
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_model_page_shows_figures_beside_dummy_and_live(model, candidate, boss):
    beside = {"number": 1, "name": "first", "version": str(model.pk), "seen": None, "test": report(0.7)["test"]}
    beside["difference"] = {
        "auroc": {"value": 0.1, "low": 0.02, "high": 0.2},
        "brier": {"value": 0.1, "low": 0.02, "high": 0.2},
        "ece": {"value": 0.0, "low": -0.1, "high": 0.1},
    }
    ModelVersion.objects.filter(pk=candidate.pk).update(report=report(0.8) | {"compared_with_live": beside})
    page = text(client_of(boss).get(reverse("lab:model", args=[candidate.pk])))
    assert "Measured on 40 unseen scans in 31 groups" in page
    assert "0.750 to 0.850" in page
    assert "Live model at the time (v1)" in page
    assert page.count(">better<") == 1
    assert page.count(">worse<") == 1
    assert "may have seen some of these scans" in page
    assert "Confusion matrix" in page and "Tumour called No tumour: 4 of 24" in page
    assert page.count('role="img"') == 3


def test_model_page_without_a_report_says_so(model, keeper):
    ModelVersion.objects.update(report={"test": None})
    page = text(client_of(keeper).get(reverse("lab:model", args=[model.pk])))
    assert "Nothing was measured" in page
    assert 'class="chart__plot' not in page


def test_model_page_says_what_a_report_of_an_earlier_version_lacks(model, keeper):
    here = reverse("lab:model", args=[model.pk])
    old = report()
    ModelVersion.objects.update(report=old)
    page = text(client_of(keeper).get(here))
    assert "Not available: the band about the ROC curve, the decision curve" in page
    whole = old["test"] | {"roc_band": [[0.5, 0.6, 0.9]], "decision": [[0.1, 0.3, 0.2], [0.5, 0.2, 0.0]]}
    ModelVersion.objects.update(report=old | {"test": whole})
    page = text(client_of(keeper).get(here))
    assert "Not drawn" not in page and "Decision curve" in page


def test_model_page_names_no_foreign_institution_and_keeps_its_card_back(north, run, tmp_path):
    mine, theirs = InstitutionFactory(name="Mine"), north
    claimed = run_state.claim(run.pk)
    measured = report()
    measured["test"]["by_source"] = {
        f"site-{mine.pk}": measured["test"] | {"n": 11},
        f"site-{theirs.pk}": measured["test"] | {"n": 29},
        "nickparvar": measured["test"] | {"n": 7},
    }
    version = run_state.succeed(
        run_id=run.pk, fence=claimed.fence, folder=model_folder(tmp_path, b"theirs"), report=measured
    )
    client = client_of(person(Role.DATA_MANAGER, mine))
    page = text(client.get(reverse("lab:model", args=[version.pk])))
    assert "Mine" in page and "nickparvar" in page
    assert theirs.name not in page and f"site-{theirs.pk}" not in page and ">29<" not in page
    assert "A toy" not in page
    assert client.get(reverse("lab:card", args=[version.pk])).status_code == 404


def test_promote_needs_a_reason_and_then_changes_the_model_in_use(model, candidate, boss):
    client = client_of(boss)
    url = reverse("lab:promote", args=[candidate.pk])
    refused = client.post(url, {"reason": " "})
    assert refused.status_code == 400
    assert "Give a reason for the promotion" in text(refused)
    assert registry.live() == model
    client.post(url, {"reason": "Better AUROC, by eye.", "name": str(candidate)})
    assert registry.live() == candidate
    assert Promotion.objects.first().reason == "Better AUROC, by eye."
    away = {"reason": "it was not", "to": str(model.pk)}
    client.post(reverse("lab:roll-back"), away)
    assert registry.live() == model
    again = client.post(reverse("lab:roll-back"), away, follow=True)
    assert registry.live() == model, "whoever rolls back from an old page does not bring the new model back"
    assert "has just changed" in text(again)


def test_promote_is_offered_to_those_who_may_only(model, candidate, keeper, boss):
    url = reverse("lab:model", args=[candidate.pk])
    assert "Promote to live" in text(client_of(boss).get(url))
    assert "Promote to live" not in text(client_of(keeper).get(url))
    live = reverse("lab:model", args=[model.pk])
    assert "Promote to live" not in text(client_of(boss).get(live))


def test_new_scans_are_predicted_by_the_promoted_model(model, candidate, boss, north, monkeypatch):
    from tests.factories import phantom

    monkeypatch.setattr(pipeline, "nudge", lambda *args: True)
    before = pipeline.submit_scan(by=boss, institution=north, data=phantom(901), patient="P-1").scan
    put_into_use(boss, candidate)
    after = pipeline.submit_scan(by=boss, institution=north, data=phantom(902), patient="P-1").scan
    assert before.predictions.get().model_version == model
    assert after.predictions.get().model_version == candidate
    assert ModelVersion.objects.get(pk=model.pk).state == ModelState.PREVIOUS


def test_card_brings_no_markup_of_its_own():
    page = as_html(
        "# Title <script>x</script>\n\n| a | b |\n|---|---:|\n| `1` | <b>2</b> |\n\n"
        "- one\n- **two**\n\n```\nrun\n\nit\n```\n\n[here](javascript:alert(1)) ![x](http://elsewhere/x.png) "
        "<http://elsewhere/>\n\n<img src=x onerror=alert(1)>\n"
    )
    assert "<script>" not in page and "<b>" not in page and "<img" not in page and "<a" not in page
    assert "style=" not in page and "elsewhere" in page
    assert "<h2>Title &lt;script&gt;" in page
    assert '<td class="num">&lt;b&gt;2&lt;/b&gt;</td>' in page and '<th class="num">b</th>' in page
    assert "<td><code>1</code></td>" in page and '<div class="table-wrap" tabindex="0"><table class="table">' in page
    assert "<li>one</li>\n<li><strong>two</strong></li>" in page
    assert "<pre><code>run\n\nit\n</code></pre>" in page


def test_card_of_the_bundled_model_is_shown_whole():
    card = next(processes.ROOT.glob("mlcore/**/card.md")).read_text()
    page = as_html(card)
    assert page.count("<tr>") == sum(line.startswith("|") for line in card.splitlines()) - card.count("\n|---")
    assert page.count("<h2>") + page.count("<h3>") + page.count("<h4>") == sum(
        line.startswith("#") for line in card.splitlines()
    )
