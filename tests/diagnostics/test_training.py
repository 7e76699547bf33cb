"""A training run is one at a time, belongs to one worker at a time, and ends in exactly one way."""

import math
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.models import AuditEvent, ModelVersion, TrainingRun
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.training import run_state, services
from diagnostics.training.models import TrainingState
from diagnostics.training.run_state import LostLease, Step
from tests.diagnostics.model_fixtures import model_folder, stored_model
from tests.diagnostics.test_datasets import enough, own_files  # noqa: F401 - fixture
from tests.diagnostics.test_registry import at_once
from tests.factories import DatasetVersionFactory, InstitutionFactory, TrainingRunFactory, person


@pytest.fixture
def dataset(north, keeper):
    from diagnostics.datasets.services import freeze

    enough(north)
    return freeze(by=keeper, institutions=[north])


@pytest.fixture
def run(dataset, keeper):
    return services.queue(by=keeper, dataset=dataset, config={})


@pytest.fixture
def claimed(run):
    return run_state.claim(run.pk)


def state(run) -> str:
    run.refresh_from_db()
    return run.state


@pytest.mark.django_db
def test_queue_stores_the_whole_recipe_and_its_audit_event(dataset, keeper):
    run = services.queue(by=keeper, dataset=dataset, config={"epochs": 3})
    assert (run.number, run.state, run.active, run.created_by) == (1, "queued", True, keeper)
    assert (run.config["epochs"], run.config["architecture"], run.config["seed"]) == (3, "seed_cnn", 1)
    event = AuditEvent.objects.get(act="training_queued")
    assert (event.actor, event.target_id) == (keeper, str(run.pk))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"epochs": 0}, "between 1 and 200"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"epochs": "8"}, "whole number"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": 5}, "between"),
        ({"architecture": "resnet152"}, "seed_cnn, residual, lite0"),
        ({"architecture": "vgg16"}, "seed_cnn, residual, lite0"),
        ({"augment": "wild"}, "none, light, strong"),
        ({"class_weights": "yes"}, "true or false"),
        ({"warm_start": "/etc/passwd"}, "true or false"),
        ({"threads": 64}, "unknown"),
        ({"warm_start": True}, "no live model to start from"),
    ],
)
def test_queue_with_a_wrong_setting_is_refused_by_a_sentence(dataset, keeper, config, sentence):
    with pytest.raises(services.NotTrainable, match=sentence):
        services.queue(by=keeper, dataset=dataset, config=config)
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db
def test_queue_from_the_live_model_names_it(dataset, keeper, tmp_path):
    live = stored_model(tmp_path)
    ModelVersion.objects.update(state=ModelState.LIVE)
    run = services.queue(by=keeper, dataset=dataset, config={"warm_start": True})
    assert run.config["warm_start"] == str(live.pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"architecture": "residual"}, "residual"),
        ({"leaves": ["no_tumour", "glioma", "meningioma", "pituitary"]}, "other labels"),
    ],
)
def test_queue_from_a_live_model_of_another_kind_is_refused(dataset, keeper, tmp_path, spec, sentence):
    stored_model(tmp_path, **spec)
    ModelVersion.objects.update(state=ModelState.LIVE)
    with pytest.raises(services.NotTrainable, match=sentence):
        services.queue(by=keeper, dataset=dataset, config={"warm_start": True})


@pytest.mark.django_db
def test_queue_on_a_dataset_without_scans_is_refused(north, keeper):
    with pytest.raises(services.NotTrainable, match="has no labelled scans"):
        services.queue(by=keeper, dataset=DatasetVersionFactory(institution=north), config={})


@pytest.mark.django_db
def test_queue_on_one_class_is_refused(dataset, keeper):
    dataset.items.filter(label="no_tumour").delete()
    with pytest.raises(services.NotTrainable, match="no training scan without a tumour"):
        services.queue(by=keeper, dataset=dataset, config={})


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR])
def test_queue_and_cancel_need_the_permission(run, dataset, north, role):
    somebody = person(role, north)
    with pytest.raises(NotAllowed):
        services.queue(by=somebody, dataset=dataset, config={})
    with pytest.raises(NotAllowed):
        services.cancel(by=somebody, run=run)
    assert state(run) == "queued"


@pytest.mark.django_db
def test_queue_while_another_waits_is_refused_and_names_it(run, dataset, keeper):
    with pytest.raises(services.AnotherRunning, match="Training run 1 is queued"):
        services.queue(by=keeper, dataset=dataset, config={})
    assert "Training run 1" in services.blocking_reason(by=keeper, dataset=dataset)
    assert TrainingRun.objects.count() == 1


@pytest.mark.django_db
def test_queue_while_a_foreign_run_is_under_way_tells_nothing_of_it(dataset, keeper):
    TrainingRunFactory(number=77, dataset=DatasetVersionFactory(institution=InstitutionFactory()))
    with pytest.raises(services.AnotherRunning) as refused:
        services.queue(by=keeper, dataset=dataset, config={})
    assert "77" not in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_queue_at_once_gives_one_run(dataset, keeper):
    answers = at_once(*[lambda: services.queue(by=keeper, dataset=dataset, config={})] * 4)
    assert sorted(type(each).__name__ for each in answers) == ["AnotherRunning"] * 3 + ["TrainingRun"], answers


@pytest.mark.django_db
def test_start_training_sends_the_id_only_when_the_row_is_there(
    dataset,
    keeper,
    monkeypatch,
    django_capture_on_commit_callbacks,
):
    sent = []
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: sent.append((task.name, *args)))
    with django_capture_on_commit_callbacks(execute=True):
        run = pipeline.start_training(by=keeper, dataset=dataset, config={})
        assert sent == []
    assert sent == [("diagnostics.tasks.train", str(run.pk))]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "broken",
    [
        {"state": "succeeded", "active": None},
        {"state": "failed", "active": None, "failure": ""},
        {"state": "running", "active": None},
        {"state": "cancelled", "active": True},
        {"progress": 1.5},
    ],
)
def test_database_refuses_a_run_that_contradicts_itself(run, broken):
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.filter(pk=run.pk).update(**broken)


@pytest.mark.django_db
def test_database_refuses_two_runs_at_a_time(run):
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRunFactory(dataset=run.dataset)


# --- workers ---


@pytest.mark.django_db
def test_claim_takes_a_run_once(run):
    mine = run_state.claim(run.pk)
    assert (mine.state, mine.attempts) == ("running", 1)
    assert mine.lease_until > timezone.now()
    assert run_state.claim(run.pk) is None


@pytest.mark.django_db
def test_claim_of_a_cancelled_or_unknown_run_takes_nothing(run, keeper):
    services.cancel(by=keeper, run=run)
    assert run_state.claim(run.pk) is None
    assert run_state.claim(uuid.uuid4()) is None


@pytest.mark.django_db(transaction=True)
def test_claim_at_once_gives_it_to_one(run):
    answers = at_once(*[lambda: run_state.claim(run.pk)] * 4)
    assert sum(each is not None for each in answers) == 1, answers


@pytest.mark.django_db
def test_progress_is_kept_and_numbers_that_are_none_become_empty(claimed):
    step = Step(0.5, 12.4, [{"epoch": 1, "loss": math.nan, "val_loss": 0.5, "val_auroc": math.inf}], "epoch 1")
    assert run_state.progress(run_id=claimed.pk, fence=claimed.fence, step=step) is False
    claimed.refresh_from_db()
    assert (claimed.progress, claimed.seconds_left) == (0.5, 12)
    assert claimed.epochs == [{"epoch": 1, "loss": None, "val_loss": 0.5, "val_auroc": None}]
    assert claimed.log.endswith("epoch 1\n")


@pytest.mark.django_db
def test_log_stays_short_however_much_is_said(claimed):
    for number in range(400):
        run_state.progress(run_id=claimed.pk, fence=claimed.fence, step=Step(0.1, line=f"{number} " + "x" * 100))
    claimed.refresh_from_db()
    assert len(claimed.log) <= 20_000
    assert "399 xxx" in claimed.log


@pytest.mark.django_db
@pytest.mark.parametrize(
    "act",
    [
        lambda run, fence, folder: run_state.progress(run_id=run.pk, fence=fence, step=Step(0.9)),
        lambda run, fence, folder: run_state.renew(run_id=run.pk, fence=fence),
        lambda run, fence, folder: run_state.fail(run_id=run.pk, fence=fence, sentence="late"),
        lambda run, fence, folder: run_state.stopped(run_id=run.pk, fence=fence),
        lambda run, fence, folder: run_state.succeed(run_id=run.pk, fence=fence, folder=folder, report={}),
    ],
)
def test_a_worker_that_slept_past_its_lease_changes_nothing(claimed, tmp_path, act):
    stale = claimed.fence
    TrainingRun.objects.filter(pk=claimed.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    now = run_state.claim(claimed.pk)
    before = TrainingRun.objects.filter(pk=claimed.pk).values().get()
    with pytest.raises(LostLease):
        act(claimed, stale, model_folder(tmp_path))
    assert TrainingRun.objects.filter(pk=claimed.pk).values().get() == before
    assert now.fence != stale
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_succeed_enters_the_candidate_and_ends_the_run(claimed, tmp_path):
    version = run_state.succeed(
        run_id=claimed.pk, fence=claimed.fence, folder=model_folder(tmp_path), report={"test": None}
    )
    claimed.refresh_from_db()
    assert (claimed.state, claimed.active, claimed.produced, claimed.progress) == ("succeeded", None, version, 1.0)
    assert (version.state, version.report) == (ModelState.CANDIDATE, {"test": None})
    assert AuditEvent.objects.filter(act="training_succeeded").exists()


@pytest.mark.django_db
def test_succeed_that_breaks_leaves_neither_model_nor_end(claimed, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("lights out")

    monkeypatch.setattr(run_state, "note", broken)
    with pytest.raises(RuntimeError):
        run_state.succeed(run_id=claimed.pk, fence=claimed.fence, folder=model_folder(tmp_path), report={})
    assert state(claimed) == "running"
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_fail_frees_the_place_for_the_next_run(claimed, dataset, keeper):
    run_state.fail(run_id=claimed.pk, fence=claimed.fence, sentence="The disk was full.")
    claimed.refresh_from_db()
    assert (claimed.state, claimed.failure) == ("failed", "The disk was full.")
    assert services.queue(by=keeper, dataset=dataset, config={}).number == 2


@pytest.mark.django_db
def test_cancel_of_a_waiting_run_ends_it_at_once(run, keeper):
    services.cancel(by=keeper, run=run)
    assert (run.state, run.active) == ("cancelled", None)


@pytest.mark.django_db
def test_cancel_of_a_running_run_is_told_to_its_worker(claimed, keeper):
    services.cancel(by=keeper, run=claimed)
    assert claimed.state == "running"
    assert run_state.renew(run_id=claimed.pk, fence=claimed.fence) is True
    assert run_state.progress(run_id=claimed.pk, fence=claimed.fence, step=Step(0.2)) is True
    run_state.stopped(run_id=claimed.pk, fence=claimed.fence)
    assert state(claimed) == "cancelled"


@pytest.mark.django_db
def test_cancel_of_an_ended_run_is_refused(claimed, keeper):
    run_state.fail(run_id=claimed.pk, fence=claimed.fence, sentence="It broke.")
    with pytest.raises(services.NothingToCancel, match="has already failed"):
        services.cancel(by=keeper, run=claimed)


# --- what dead workers leave behind ---


def age(run, **ago: int) -> None:
    moment = timezone.now() - timedelta(**ago)
    TrainingRun.objects.filter(pk=run.pk).update(updated_at=moment)
    TrainingRun.objects.filter(pk=run.pk, state=TrainingState.RUNNING).update(lease_until=moment)


@pytest.mark.django_db
def test_due_gives_a_waiting_run_again_now_and_then(run):
    assert run_state.due() == []
    age(run, minutes=2)
    assert run_state.due() == [run.pk]
    assert run_state.due() == []


@pytest.mark.django_db
def test_due_queues_the_run_of_a_dead_worker_again_once(claimed):
    assert run_state.due() == []
    age(claimed, minutes=5)
    assert run_state.due() == [claimed.pk]
    assert state(claimed) == "queued"
    assert "goes on after the last whole epoch" in claimed.log
    again = run_state.claim(claimed.pk)
    assert (again.attempts, again.epochs, again.progress) == (2, [], 0.0)
    age(claimed, minutes=5)
    assert run_state.due() == []
    assert state(claimed) == "failed"
    assert "lost again" in claimed.failure


@pytest.mark.django_db
def test_due_ends_a_cancelled_run_whose_worker_is_dead(claimed, keeper):
    services.cancel(by=keeper, run=claimed)
    age(claimed, minutes=5)
    assert run_state.due() == []
    assert state(claimed) == "cancelled"


@pytest.mark.django_db
def test_runs_on_a_foreign_dataset_are_invisible(run):
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    assert not TrainingRun.objects.visible_to(stranger).exists()
    assert TrainingRun.objects.visible_to(run.created_by).get() == run
