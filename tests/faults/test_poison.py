"""A scan that crashes, hangs or exhausts the worker that takes it: it ends FAILED, and every other is analysed."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import close_old_connections

from diagnostics import pipeline
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.tasks import reconcile
from tests import processes
from tests.factories import InstitutionFactory, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
OTHERS = int(os.environ.get("OVERREAD_TEST_UPLOADS", "40"))


@pytest.mark.parametrize("harm", ["crash", "hang", "memory"])
def test_poison_scan_fails_with_a_reason_and_harms_no_other(broker, capsys, harm):
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution = by.memberships.get().institution
    images = [phantom.as_png(phantom.draw(seed, side=96)) for seed in range(OTHERS + 1)]
    poison = hashlib.sha256(images[OTHERS // 2]).hexdigest()
    for number, data in enumerate(images):
        pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{number}")
    with processes.Worker(
        "inference",
        PYTHONPATH=str(Path(__file__).parent / "poison"),
        OVERREAD_TEST_POISON=f"{poison}:{harm}",
        OVERREAD_INFERENCE_LEASE_SECONDS="4",
    ):
        until = time.monotonic() + 200
        while time.monotonic() < until and waiting():
            reconcile.delay()  # what the scheduler does every ten seconds
            time.sleep(1)
    close_old_connections()
    failed = Prediction.objects.get(scan__sha256=poison)
    ready = Prediction.objects.filter(state=PredictionState.READY)
    with capsys.disabled():
        print(f"\n{harm}: {ready.count()} of {OTHERS} others analysed, the poison tried {failed.attempts} times")
    assert ready.count() == OTHERS
    assert (failed.state, failed.failure_code, failed.attempts) == ("failed", "gave_up", settings.INFERENCE_ATTEMPTS)
    assert failed.failure.startswith("The analysis was tried 3 times")
    assert failed.probabilities is None


def waiting() -> bool:
    close_old_connections()
    return Prediction.objects.exclude(state__in=[PredictionState.READY, PredictionState.FAILED]).exists()
