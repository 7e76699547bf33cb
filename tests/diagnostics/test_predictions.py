"""A prediction's row decides who may finish it, whatever happens to messages and workers."""

import math
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from diagnostics.predictions import run_state, services
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.run_state import Failure, Result
from diagnostics.predictions.services import NothingToRetry
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import Priority, Scan
from tests.factories import InstitutionFactory, ModelVersionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db

GOOD = Result("glioma", "tumour", {"no_tumour": 0.1, "glioma": 0.9}, 0.9, ["uncertain"], "heatmaps/x.png")
FROM = {"weights_sha256": "ab", "preprocess_version": "1", "code_revision": "c0de"}


def outlive_lease(prediction):
    Prediction.objects.filter(pk=prediction.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_finish_stores_the_opinion_and_its_provenance():
    waiting = PredictionFactory(queued=True)
    batch = run_state.claim_waiting(limit=8)
    assert run_state.finish(batch=batch, outcomes={waiting.pk: GOOD}, provenance=FROM) == 1
    waiting.refresh_from_db()
    assert (waiting.state, waiting.label, waiting.tumour_probability) == ("ready", "glioma", 0.9)
    assert waiting.probabilities == {"no_tumour": 0.1, "glioma": 0.9}
    assert (waiting.weights_sha256, waiting.code_revision, waiting.warnings) == ("ab", "c0de", ["uncertain"])
    assert services.status_of(Scan.objects.get(pk=waiting.scan_id)) == "ready"


def test_claim_twice_gives_each_row_once():
    rows = {PredictionFactory(queued=True).pk for _ in range(5)}
    first, second = run_state.claim_waiting(limit=3), run_state.claim_waiting(limit=3)
    taken = [row.pk for batch in (first, second) for row in batch.predictions]
    assert len(taken) == 5 and set(taken) == rows
    assert run_state.claim_waiting(limit=3) is None


def test_claim_takes_stat_first_and_imports_last():
    imported = PredictionFactory(queued=True, scan=ScanFactory(source=Scan.Source.IMPORT))
    routine = PredictionFactory(queued=True)
    stat = PredictionFactory(queued=True, scan=ScanFactory(priority=Priority.STAT))
    order = [run_state.claim_waiting(limit=1).predictions[0].pk for _ in range(3)]
    assert order == [stat.pk, routine.pk, imported.pk]


def test_claim_batches_one_model_version_only():
    a = PredictionFactory(queued=True)
    b = PredictionFactory(queued=True, model_version=ModelVersionFactory())
    batches = [run_state.claim_waiting(limit=9), run_state.claim_waiting(limit=9)]
    assert [len(batch.predictions) for batch in batches] == [1, 1]
    assert {batch.model_version.pk for batch in batches} == {a.model_version_id, b.model_version_id}


def test_finish_after_the_lease_was_taken_by_another_is_refused():
    waiting = PredictionFactory(queued=True)
    late = run_state.claim_waiting(limit=1)
    outlive_lease(waiting)
    newer = run_state.claim_waiting(limit=1)
    assert newer.predictions[0].pk == waiting.pk
    assert run_state.finish(batch=late, outcomes={waiting.pk: GOOD}, provenance=FROM) == 0
    waiting.refresh_from_db()
    assert waiting.state == PredictionState.RUNNING and waiting.fence == newer.fence
    assert run_state.finish(batch=newer, outcomes={waiting.pk: GOOD}, provenance=FROM) == 1


def test_finish_twice_changes_nothing_the_second_time():
    waiting = PredictionFactory(queued=True)
    batch = run_state.claim_waiting(limit=1)
    run_state.finish(batch=batch, outcomes={waiting.pk: GOOD}, provenance=FROM)
    assert run_state.finish(batch=batch, outcomes={waiting.pk: Failure("x", "No.")}, provenance=FROM) == 0
    waiting.refresh_from_db()
    assert waiting.state == PredictionState.READY


def test_row_tried_before_is_claimed_alone():
    poison = PredictionFactory(queued=True, attempts=1)
    fresh = [PredictionFactory(queued=True) for _ in range(3)]
    first = run_state.claim_waiting(limit=9)
    assert {row.pk for row in first.predictions} == {row.pk for row in fresh}
    assert [row.pk for row in run_state.claim_waiting(limit=9).predictions] == [poison.pk]


def test_row_that_brings_its_worker_down_fails_after_three_attempts(settings):
    poison = PredictionFactory(queued=True)
    for _ in range(settings.INFERENCE_ATTEMPTS):
        assert run_state.claim_waiting(limit=9) is not None
        outlive_lease(poison)
    assert run_state.claim_waiting(limit=9) is None
    assert run_state.abandon_exhausted() == 1
    poison.refresh_from_db()
    assert poison.state == PredictionState.FAILED and "3 times" in poison.failure
    assert run_state.abandon_exhausted() == 0


def test_rejected_image_rejects_the_scan_with_its_reason():
    waiting = PredictionFactory(queued=True)
    batch = run_state.claim_waiting(limit=1)
    refusal = Failure("blank", "The image is blank. An MR slice of a head is needed.", rejects=True)
    run_state.finish(batch=batch, outcomes={waiting.pk: refusal}, provenance={})
    scan = Scan.objects.get(pk=waiting.scan_id)
    assert services.status_of(scan) == "rejected"
    assert services.failure_of(scan) == refusal.sentence


@pytest.mark.parametrize(
    "bad",
    [
        Result("glioma", "tumour", {"glioma": math.nan, "no_tumour": 0.5}, 0.5),
        Result("glioma", "tumour", {"glioma": math.inf, "no_tumour": 0.0}, 1.0),
        Result("glioma", "tumour", {"glioma": 0.9, "no_tumour": 0.9}, 0.9),
        Result("glioma", "tumour", {"glioma": 1.4, "no_tumour": -0.4}, 1.0),
        Result("lemon", "tumour", {"glioma": 0.5, "no_tumour": 0.5}, 0.5),
        Result("glioma", "tumour", {}, 0.5),
        Result("glioma", "tumour", {"glioma": 1.0}, math.nan),
        Result("glioma", "perhaps", {"glioma": 1.0}, 1.0),
    ],
)
def test_what_is_no_opinion_is_never_published(bad):
    waiting = PredictionFactory(queued=True)
    batch = run_state.claim_waiting(limit=1)
    with pytest.raises(run_state.NotAResult):
        run_state.finish(batch=batch, outcomes={waiting.pk: bad}, provenance=FROM)
    waiting.refresh_from_db()
    assert waiting.state == PredictionState.RUNNING and waiting.probabilities is None


def test_retry_of_a_failed_one_queues_it_again():
    failed = PredictionFactory(failed=True, attempts=3)
    by = person(Role.TECHNOLOGIST, failed.scan.institution)
    again = services.retry(by=by, scan=failed.scan)
    assert (again.pk, again.state, again.attempts, again.failure) == (failed.pk, "queued", 0, "")
    assert run_state.claim_waiting(limit=1).predictions[0].pk == failed.pk


def test_retry_of_a_ready_one_is_refused_with_a_sentence():
    ready = PredictionFactory()
    with pytest.raises(NothingToRetry, match="nothing to retry"):
        services.retry(by=person(Role.TECHNOLOGIST, ready.scan.institution), scan=ready.scan)


def test_retry_by_a_stranger_is_refused():
    failed = PredictionFactory(failed=True)
    with pytest.raises(NotAllowed):
        services.retry(by=person(Role.TECHNOLOGIST, InstitutionFactory()), scan=failed.scan)


def test_waiting_row_whose_message_was_lost_is_noticed():
    row = PredictionFactory(queued=True)
    assert not run_state.anything_waiting(), "a fresh row has its own message under way"
    Prediction.objects.filter(pk=row.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    assert run_state.anything_waiting()


def test_batch_that_broke_goes_back_and_is_tried_singly():
    rows = {PredictionFactory(queued=True).pk for _ in range(3)}
    run_state.give_back(batch=run_state.claim_waiting(limit=3))
    sizes, seen = [], set()
    while (batch := run_state.claim_waiting(limit=3)) is not None:
        sizes.append(len(batch.predictions))
        seen |= {row.pk for row in batch.predictions}
    assert sizes == [1, 1, 1] and seen == rows


def test_finish_ignores_rows_without_an_outcome():
    waiting = PredictionFactory(queued=True)
    batch = run_state.claim_waiting(limit=1)
    assert run_state.finish(batch=batch, outcomes={uuid.uuid4(): GOOD}, provenance=FROM) == 0
    waiting.refresh_from_db()
    assert waiting.state == PredictionState.RUNNING
