"""Kill -9 of the whole worker group while scans are handed in: every scan is analysed, exactly once."""

import os
import random
import time
from collections import Counter

import pytest
from django.conf import settings
from django.db import close_old_connections, connection

from diagnostics import pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.tasks import reconcile
from tests import processes
from tests.factories import InstitutionFactory, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
UPLOADS = int(os.environ.get("OVERREAD_TEST_UPLOADS", "100"))
KILLS = int(os.environ.get("OVERREAD_TEST_KILLS", "5"))
LEASE = "4"  # seconds: what a killed worker held is free again after that


def hand_in(by, institution, seed):
    data = phantom.as_png(phantom.draw(seed, side=96))
    pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{seed:04}")


def test_worker_killed_at_random_points_loses_nothing(broker, capsys):
    seed = int(os.environ.get("OVERREAD_TEST_SEED", "7"))
    chance = random.Random(seed)
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution = by.memberships.get().institution
    kill_at = set(chance.sample(range(10, UPLOADS), KILLS))
    worker = start()
    try:
        for number in range(UPLOADS):
            hand_in(by, institution, number)
            if number in kill_at:
                # Wait until something is in work, so that the kill hits a claim as often as it can.
                until = time.monotonic() + 20
                while time.monotonic() < until and not running():
                    time.sleep(0.02)
                worker.kill()
                worker.log.close()
                worker = start()
        until = time.monotonic() + 240
        while time.monotonic() < until and not all_done():
            reconcile.delay()  # what the scheduler does every ten seconds
            time.sleep(1)
    finally:
        worker.__exit__(None, None, None)
    close_old_connections()
    states = Counter(Prediction.objects.values_list("state", flat=True))
    ready = AuditEvent.objects.filter(act="prediction_ready")
    with capsys.disabled():
        attempts = Counter(Prediction.objects.values_list("attempts", flat=True))
        print(
            f"\n{connection.vendor}, seed {seed}: {UPLOADS} uploads, {KILLS} kills -9: {dict(states)}, "
            f"attempts {dict(attempts)}"
        )
    assert states == {PredictionState.READY: UPLOADS}
    assert Scan.objects.count() == Case.objects.count() == UPLOADS
    assert ready.count() == len(set(ready.values_list("target_id", flat=True))) == UPLOADS, "one event each"


def start():
    return processes.Worker("inference", OVERREAD_INFERENCE_LEASE_SECONDS=LEASE).__enter__()


def running():
    close_old_connections()
    return Prediction.objects.filter(state=PredictionState.RUNNING).exists()


def all_done():
    close_old_connections()
    return not Prediction.objects.exclude(state__in=[PredictionState.READY, PredictionState.FAILED]).exists()
