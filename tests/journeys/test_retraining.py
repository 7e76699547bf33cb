"""From labels to a dataset, a training by a real worker, a promotion, and a scan that the new model predicts."""

import pytest

from diagnostics import pipeline
from diagnostics.datasets.services import freeze
from diagnostics.models import Scan
from diagnostics.scans.access import Role
from diagnostics.training import services as training
from tests import processes
from tests.diagnostics.model_fixtures import put_into_use
from tests.diagnostics.test_datasets import look
from tests.factories import InstitutionFactory, ScanFactory, person

from .bulk_data import head

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def boss(transactional_db):
    return person(Role.ADMINISTRATOR, InstitutionFactory(code="north"))


@pytest.fixture
def dataset(boss):
    north = boss.memberships.get().institution
    for number in range(24):
        ScanFactory(
            institution=north,
            data=head(number, number % 2 == 0),
            # Phantoms look alike; as far as the split is concerned these do not.
            fingerprint=look(number),
            source=Scan.Source.IMPORT,
            reference_label="tumour" if number % 2 == 0 else "no_tumour",
        )
    return freeze(by=boss, institutions=[north])


def ended(run) -> bool:
    run.refresh_from_db()
    return run.active is None


def test_retrain_promote_and_predict_with_the_new_model(boss, dataset, training_worker, inference_worker):
    run = pipeline.start_training(by=boss, dataset=dataset, config={"epochs": 2, "batch_size": 8, "augment": "none"})
    processes.wait(lambda: ended(run), 240, "the training did not end")
    assert run.state == "succeeded", run.failure or training_worker.output()
    put_into_use(boss, run.produced)
    scan = pipeline.submit_scan(
        by=boss, institution=dataset.institutions.get(), data=head(777, True), patient="P-1"
    ).scan
    prediction = scan.predictions.get()
    processes.wait(lambda: _ready(prediction), 120, "the new model gave no opinion")
    assert prediction.model_version == run.produced
    assert prediction.weights_sha256 == run.produced.sha256


def _ready(prediction) -> bool:
    prediction.refresh_from_db()
    return prediction.state in ("ready", "failed")


def test_a_training_whose_worker_is_killed_starts_over_and_ends(boss, dataset, broker, settings):
    run = training.queue(by=boss, dataset=dataset, config={"epochs": 30, "patience": 30, "batch_size": 8})
    with processes.Worker("training", OVERREAD_TRAINING_LEASE_SECONDS="5") as worker:
        pipeline.nudge(pipeline.tasks.train, str(run.pk))
        processes.wait(lambda: _running(run), 120, "the training did not begin")
        worker.kill()
    processes.wait(lambda: _due(run), 30, "the dead worker's run was not found")
    run.refresh_from_db()
    assert (run.state, run.attempts) == ("queued", 1)
    run.config = {**run.config, "epochs": 1}
    run.save(update_fields=["config"])
    with processes.Worker("training", OVERREAD_TRAINING_LEASE_SECONDS="5"):
        pipeline.nudge(pipeline.tasks.train, str(run.pk))
        processes.wait(lambda: ended(run), 240, "the training did not end")
    assert (run.state, run.attempts) == ("succeeded", 2)


def _running(run) -> bool:
    run.refresh_from_db()
    return bool(run.epochs)


def _due(run) -> bool:
    return run.pk in training.due()
