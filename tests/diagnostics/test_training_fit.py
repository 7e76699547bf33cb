"""A training run from its row to a candidate, with a real network on phantoms."""

import hashlib
import io
import math
import threading

import numpy as np
import pytest
from django.core.files.storage import default_storage
from PIL import Image

from diagnostics.datasets.services import freeze
from diagnostics.models import ModelVersion, Scan
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.training import run_state, services
from mlcore.data.dataset import Item
from mlcore.networks.artifact import marks_of
from tests.diagnostics.model_fixtures import put_into_use
from tests.diagnostics.test_datasets import look, own_files  # noqa: F401 - fixture
from tests.diagnostics.test_registry import at_once
from tests.factories import InstitutionFactory, ScanFactory, person, phantom

fitting = pytest.importorskip("diagnostics.training.fitting")
comparison = pytest.importorskip("diagnostics.training.comparison")


@pytest.fixture(autouse=True)
def own_cache(settings, tmp_path):
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    settings.TRAINING_DIR = tmp_path / "training"
    settings.TRAINING_THREADS = 1


def head(seed: int, tumour: bool) -> bytes:
    """A phantom, with a large bright mass where there is a tumour."""
    image = np.asarray(Image.open(io.BytesIO(phantom(seed)))).copy()
    if tumour:
        image[20:34, 34:48] = 250
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture
def keeper(db):
    return person(Role.DATA_MANAGER, InstitutionFactory(code="north", name="North"))


@pytest.fixture
def dataset(keeper):
    north = keeper.memberships.get().institution
    for number in range(24):
        ScanFactory(
            institution=north,
            data=head(number, number % 2 == 0),
            fingerprint=look(number),
            source=Scan.Source.IMPORT,
            reference_label="tumour" if number % 2 == 0 else "no_tumour",
        )
    return freeze(by=keeper, institutions=[north])


def queued(keeper, dataset, **config):
    recipe = {"epochs": 2, "batch_size": 8, "augment": "none", **config}
    return services.queue(by=keeper, dataset=dataset, config=recipe, anyway=True)


@pytest.mark.django_db(transaction=True)
def test_fit_turns_a_run_into_a_candidate_and_compares_it_with_the_live_model(keeper, dataset):
    first = queued(keeper, dataset)
    version = fitting.fit(first.pk)
    first.refresh_from_db()
    assert (first.state, first.produced) == ("succeeded", version), first.failure
    assert [row["epoch"] for row in first.epochs] == [1, 2]
    assert all(math.isfinite(row["loss"]) for row in first.epochs)
    assert "epoch 2 of 2" in first.log
    assert version.report["test"]["n"] == dataset.counts["by_split"]["test"]
    assert set(version.report["test"]["metrics"]["auroc"]) == {"value", "low", "high"}
    assert version.report["dataset"]["sha256"] == dataset.sha256
    assert "compared_with_live" not in version.report
    assert "run1" in version.name
    assert registry.fetch(version).is_dir()

    put_into_use(person(Role.ADMINISTRATOR, dataset.institutions.get()), version)
    second = queued(keeper, dataset, warm_start=True, seed=2)
    candidate = fitting.fit(second.pk)
    beside = candidate.report["compared_with_live"]
    assert (beside["number"], beside["sha256"], beside["seen"]) == (version.number, version.sha256, 0)
    assert beside["test"]["metrics"]["accuracy"] == version.report["test"]["metrics"]["accuracy"]
    apart = candidate.report["test"]["metrics"]["accuracy"]["value"] - beside["test"]["metrics"]["accuracy"]["value"]
    assert beside["difference"]["accuracy"]["value"] == pytest.approx(apart, abs=1e-5)


def test_a_live_model_from_elsewhere_says_itself_which_test_scans_it_has_seen(monkeypatch, tmp_path):
    hashes = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]
    np.savez(tmp_path / "weights.npz", **{"training/seen": marks_of(hashes[:3])})
    monkeypatch.setattr(comparison.registry, "fetch", lambda version: tmp_path)
    items = [Item("", each, "tumour", split="test") for each in hashes[1:]]
    assert comparison._seen(ModelVersion(), items) == 2


@pytest.mark.slow  # three whole fits; tests/faults kills the process of one as well
@pytest.mark.django_db(transaction=True)
def test_fit_goes_on_after_the_last_whole_epoch_where_its_worker_died(keeper, dataset, monkeypatch):
    whole = fitting.fit(queued(keeper, dataset, epochs=3).pk)
    run = queued(keeper, dataset, epochs=3)

    class Killed(BaseException):
        """As if the process had gone: nothing of ours may tidy up."""

    real = run_state.progress

    def dying(**given):
        answer = real(**given)
        if given["step"].epochs and given["step"].epochs[-1]["epoch"] == 3:
            raise Killed
        return answer

    monkeypatch.setattr(run_state, "progress", dying)
    monkeypatch.setattr(fitting.shutil, "rmtree", lambda *args, **kwargs: None)
    with pytest.raises(Killed):
        fitting.fit(run.pk)
    monkeypatch.undo()
    run.__class__.objects.filter(pk=run.pk).update(lease_until="2001-01-01T00:00Z")
    assert run_state.due() == [run.pk]
    seen = []

    def watched(**given):
        seen.append(given["step"].epochs and given["step"].epochs[-1]["epoch"])
        return real(**given)

    monkeypatch.setattr(run_state, "progress", watched)
    version = fitting.fit(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts) == ("succeeded", 2)
    assert 1 not in seen, "it began anew"
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3]
    assert "taken up again" in run.log
    # And nothing was lost by it: the same numbers as of a training that nobody broke off.
    assert version.report["test"]["metrics"] == whole.report["test"]["metrics"]


@pytest.mark.django_db(transaction=True)
def test_fit_again_says_how_far_the_two_models_are_apart(keeper, dataset):
    first = queued(keeper, dataset, epochs=1)
    fitting.fit(first.pk)
    first.refresh_from_db()
    assert first.environment["packages"]["keras"]
    assert first.environment["threads"] == 1
    second = services.rerun(by=keeper, run=first)
    assert (second.config, second.repeats) == (first.config, first)
    version = fitting.fit(second.pk)
    found = version.report["repeats"]
    assert (found["run"], found["same_weights"], found["largest_probability"]) == (first.number, True, 0.0)
    assert found["n"] == dataset.counts["by_split"]["test"]


@pytest.mark.django_db(transaction=True)
def test_fit_twice_at_once_trains_once(keeper, dataset):
    run = queued(keeper, dataset, epochs=1)
    answers = at_once(*[lambda: fitting.fit(run.pk)] * 2)
    assert sorted(type(each).__name__ for each in answers) == ["ModelVersion", "NoneType"], answers
    assert ModelVersion.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_fit_that_is_cancelled_stops_and_keeps_nothing(keeper, dataset, monkeypatch, tmp_path):
    run = queued(keeper, dataset, epochs=200, patience=200)
    began = threading.Event()
    real = run_state.progress

    def watched(**given):
        if given["step"].epochs:
            began.set()
        return real(**given)

    monkeypatch.setattr(run_state, "progress", watched)

    def cancel():
        assert began.wait(120)
        return services.cancel(by=keeper, run=run)

    answers = at_once(lambda: fitting.fit(run.pk), cancel)
    run.refresh_from_db()
    assert run.state == "cancelled", answers
    assert len(run.epochs) < 200
    assert not ModelVersion.objects.exists()
    assert not list((tmp_path / "training").iterdir())


@pytest.mark.django_db(transaction=True)
def test_fit_that_diverges_fails_with_a_sentence(keeper, dataset, monkeypatch):
    from mlcore.networks.runtime import NotFinite

    def diverging(*args, on_progress, **kwargs):
        from mlcore.training.progress import Progress

        on_progress(Progress(1, 2, 0.5, math.nan, math.nan, math.nan, 3.0, "epoch 1 of 2 · loss nan"))
        raise NotFinite("no number")

    monkeypatch.setattr(fitting, "train", diverging)
    run = queued(keeper, dataset)
    assert fitting.fit(run.pk) is None
    run.refresh_from_db()
    assert run.state == "failed"
    assert "Lower the learning rate" in run.failure
    assert run.epochs == [{"epoch": 1, "loss": None, "val_loss": None, "val_auroc": None}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["gone", "altered"])
def test_fit_with_an_image_that_is_not_what_was_frozen_fails_with_a_sentence(keeper, dataset, fault):
    original = dataset.items.first().scan.original
    default_storage.delete(original)
    if fault == "altered":
        from django.core.files.base import ContentFile

        default_storage.save(original, ContentFile(head(999, True)))
    run = queued(keeper, dataset)
    assert fitting.fit(run.pk) is None
    run.refresh_from_db()
    assert run.state == "failed"
    assert {"gone": "is missing in the storage", "altered": "changed after freezing"}[fault] in run.failure


@pytest.mark.django_db(transaction=True)
def test_fit_that_breaks_off_unexpectedly_fails_with_a_sentence_and_no_secrets(keeper, dataset, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("patient P-0001")

    monkeypatch.setattr(fitting, "train", broken)
    run = queued(keeper, dataset)
    fitting.fit(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "broke off (RuntimeError)" in run.failure
    assert "P-0001" not in run.failure + run.log


@pytest.mark.django_db(transaction=True)
def test_fit_hears_of_a_cancelling_while_it_writes_nothing(keeper, dataset, monkeypatch):
    run = queued(keeper, dataset)
    monkeypatch.setattr(fitting, "_LOOK_EVERY", 0.0)

    def silent(*args, should_cancel, **kwargs):
        assert not should_cancel()
        services.cancel(by=keeper, run=run)
        assert should_cancel()
        raise fitting.Cancelled

    monkeypatch.setattr(fitting, "train", silent)
    assert fitting.fit(run.pk) is None
    run.refresh_from_db()
    assert run.state == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_fit_that_lost_its_lease_leaves_the_run_to_the_other_worker(keeper, dataset, monkeypatch, tmp_path):
    run = queued(keeper, dataset)

    def overtaken(*args, **kwargs):
        run.__class__.objects.filter(pk=run.pk).update(fence=hashlib.md5(b"other").hexdigest())
        kwargs["should_cancel"]()
        return fitting.run_state.progress(run_id=run.pk, fence=run.pk, step=run_state.Step(0.5))

    monkeypatch.setattr(fitting, "train", overtaken)
    assert fitting.fit(run.pk) is None
    run.refresh_from_db()
    assert (run.state, run.failure) == ("running", "")
