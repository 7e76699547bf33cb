"""What a case repeats of its scan's analysis is what the predictions say, through every act that changes either."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics.cases.models import Analysis, Case
from diagnostics.predictions import run_state, services
from diagnostics.predictions.analysis_status import differing, differing_scans, put_right
from diagnostics.predictions.models import Prediction
from diagnostics.predictions.run_state import Failure, Result
from diagnostics.reviews.opening import open_case
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.upkeep import integrity
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    ModelVersionFactory,
    PredictionFactory,
    ScanFactory,
    person,
)

pytestmark = pytest.mark.django_db
GOOD = Result("tumour", "tumour", {"tumour": 0.9, "no_tumour": 0.1}, 0.9)
FROM = {"weights_sha256": "ab", "preprocess_version": "1", "code_revision": "c0de"}


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def by(place):
    return person(Role.TECHNOLOGIST, place)


@pytest.fixture
def case(place, by):
    return open_case(by=by, scan=ScanFactory(institution=place))


def says(case):
    """What the case repeats, once it is sure that it is what the scan itself would say."""
    said = Case.objects.get(pk=case.pk).analysis
    scan = Scan.objects.get(pk=case.scan_id)
    assert said == services.status_of(scan) == (scan.analysis or "queued")
    assert not differing().exists() and not differing_scans().exists()
    return said


def finished(outcome):
    batch = run_state.claim_waiting(limit=1)
    (prediction,) = batch.predictions
    assert run_state.finish(batch=batch, outcomes={prediction.pk: outcome}, provenance=FROM) == 1
    return prediction


def test_case_says_what_the_analysis_is_through_every_act(case, by):
    assert says(case) == "queued", "no model was live"
    assert services.queue_missing(ModelVersionFactory()) == 1
    assert says(case) == "queued"
    batch = run_state.claim_waiting(limit=1)
    assert says(case) == "analysing"
    run_state.give_back(batch=batch)
    assert says(case) == "queued"
    finished(Failure("broken", "It broke off."))
    assert says(case) == "failed"
    services.retry(by=by, scan=case.scan)
    assert says(case) == "queued"
    finished(Failure("blank", "The image is blank.", rejects=True))
    assert says(case) == "rejected"
    services.retry(by=by, scan=Scan.objects.get(pk=case.scan_id))
    assert says(case) == "queued"
    finished(GOOD)
    assert says(case) == "ready"
    services.queue(scan=case.scan, version=ModelVersionFactory())
    assert says(case) == "queued", "a newer model speaks of it"
    run_state.follow(ModelVersionFactory())
    assert says(case) == "queued"


def test_case_of_an_analysis_that_was_given_up_says_so(case, settings):
    prediction = services.queue(scan=case.scan, version=ModelVersionFactory())
    run_state.claim_waiting(limit=1)
    Prediction.objects.filter(pk=prediction.pk).update(
        attempts=settings.INFERENCE_ATTEMPTS, lease_until=timezone.now() - timedelta(seconds=1)
    )
    assert run_state.abandon_exhausted() == 1
    assert says(case) == "failed"


def test_case_says_what_the_newest_prediction_says_whatever_becomes_of_an_older_one(case):
    services.queue(scan=case.scan, version=ModelVersionFactory())
    older = run_state.claim_waiting(limit=1)
    services.queue(scan=case.scan, version=ModelVersionFactory())
    finished(GOOD)
    assert says(case) == "ready"
    failed = {older.predictions[0].pk: Failure("broken", "It broke off.")}
    assert run_state.finish(batch=older, outcomes=failed, provenance=FROM) == 1
    assert says(case) == "ready"


def test_case_opened_after_the_analysis_says_how_far_it_is(place, by):
    scan = ScanFactory(institution=place)
    PredictionFactory(scan=scan)
    assert says(open_case(by=by, scan=scan)) == "ready"


def test_done_and_open_case_of_one_scan_say_the_same(case):
    done = CaseFactory(scan=case.scan, done=True)
    services.queue(scan=case.scan, version=ModelVersionFactory())
    finished(GOOD)
    assert (says(case), says(done)) == ("ready", "ready")


def test_claim_that_fails_leaves_the_case_as_it_was(case):
    services.queue(scan=case.scan, version=ModelVersionFactory())
    with pytest.raises(RuntimeError), transaction.atomic():
        run_state.claim_waiting(limit=1)
        raise RuntimeError
    assert says(case) == "queued"


def test_claim_asks_as_much_for_one_case_as_for_eight(place):
    version = ModelVersionFactory()

    def questions(number):
        for _ in range(number):
            services.queue(scan=CaseFactory(scan=ScanFactory(institution=place)).scan, version=version)
        with CaptureQueriesContext(connection) as asked:
            assert len(run_state.claim_waiting(limit=8).predictions) == number
        return len(asked)

    assert questions(1) == questions(8)


def test_case_knows_no_other_word():
    with pytest.raises(IntegrityError), transaction.atomic():
        CaseFactory(analysis="glioma")


def drifted(number=3):
    """Cases of which somebody has written past the services, one in each wrong way."""
    made = [CaseFactory() for _ in range(number)]
    PredictionFactory(scan=made[0].scan)
    for case, wrong in zip(made, (Analysis.QUEUED, Analysis.READY, Analysis.REJECTED), strict=True):
        Case.objects.filter(pk=case.pk).update(analysis=wrong)
    return made


def test_case_that_differs_is_found_and_put_right():
    made = drifted()
    assert {pk: should_be for pk, _says, should_be in differing()} == {
        made[0].pk: "ready",
        made[1].pk: "queued",
        made[2].pk: "queued",
    }
    put_right([made[0].pk])
    assert set(differing().values_list("pk", flat=True)) == {made[1].pk, made[2].pk}


def test_fsck_names_cases_that_differ_and_repairs_them_once():
    def found(repair):
        return {fault.whose: fault for fault in integrity.faults(repair=repair) if fault.what == "analysis"}

    made = drifted()
    named = found(False)
    assert set(named) == {f"case {case.pk}" for case in made}
    assert str(named[f"case {made[1].pk}"]).startswith("differs  analysis database:ready, not queued")
    assert {fault.repaired for fault in named.values()} == {""}
    assert {fault.repaired for fault in found(True).values()} == {"brought up to date"}
    assert not differing().exists() and found(True) == {}


def test_fsck_names_scans_that_differ_and_repairs_them_once():
    def found(repair):
        return {fault.whose: fault for fault in integrity.faults(repair=repair) if fault.what == "analysis"}

    ready, bare = ScanFactory(), ScanFactory()
    PredictionFactory(scan=ready)
    Scan.objects.filter(pk=ready.pk).update(analysis=None)
    Scan.objects.filter(pk=bare.pk).update(analysis=Analysis.READY)
    named = found(False)
    assert set(named) == {f"scan {ready.pk}", f"scan {bare.pk}"}
    assert "nothing, not ready" in str(named[f"scan {ready.pk}"])
    assert {fault.repaired for fault in found(True).values()} == {"brought up to date"}
    assert not differing_scans().exists() and found(True) == {}
    assert services.queue_missing(ModelVersionFactory()) == 1, "a scan of which no model has spoken is queued"


def test_migration_tells_the_scans_that_there_are_already(monkeypatch):
    migration = importlib.import_module("diagnostics.migrations.0019_scans_say_how_far_the_analysis_is")
    monkeypatch.setattr(migration, "BATCH", 2)
    bare = ScanFactory()
    rejected = ScanFactory(rejected_code="blank", rejected_reason="It is blank.")
    ready, running, failed = (ScanFactory() for _ in range(3))
    PredictionFactory(scan=ready)
    PredictionFactory(scan=running, running=True)
    PredictionFactory(scan=failed, failed=True)
    Scan.objects.update(analysis=Analysis.QUEUED)
    migration.repeat_what_the_predictions_say(apps, None)
    found = [Scan.objects.get(pk=scan.pk).analysis for scan in (bare, rejected, ready, running, failed)]
    assert found == [None, "rejected", "ready", "analysing", "failed"]


def test_migration_tells_the_cases_that_there_are_already(monkeypatch):
    migration = importlib.import_module("diagnostics.migrations.0017_how_far_the_analysis_is")
    monkeypatch.setattr(migration, "BATCH", 2)
    cases = [CaseFactory() for _ in range(3)]
    rejected = CaseFactory(scan=ScanFactory(rejected_code="blank", rejected_reason="It is blank."))
    PredictionFactory(scan=rejected.scan, failed=True)
    for case, how in zip(cases, ({}, {"running": True}, {"failed": True}), strict=True):
        PredictionFactory(scan=case.scan, **how)
    Case.objects.update(analysis=Analysis.QUEUED)
    migration.repeat_what_the_predictions_say(apps, None)
    found = [Case.objects.get(pk=case.pk).analysis for case in (*cases, rejected)]
    assert found == ["ready", "analysing", "failed", "rejected"]
