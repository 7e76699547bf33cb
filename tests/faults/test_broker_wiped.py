"""The broker forgets everything while scans wait and are in work: the rows bring every one of them back."""

import os
import time
from collections import Counter

import pytest
from django.conf import settings
from django.db import close_old_connections

from diagnostics import pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.tasks import reconcile
from tests import processes
from tests.factories import InstitutionFactory, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
UPLOADS = int(os.environ.get("OVERREAD_TEST_UPLOADS", "100"))


def test_broker_wiped_with_work_queued_and_running_loses_nothing(broker, capsys):
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution = by.memberships.get().institution
    for seed in range(UPLOADS):
        data = phantom.as_png(phantom.draw(seed, side=96))
        pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{seed:04}")
    processes.empty(broker)
    with processes.Worker("inference", OVERREAD_INFERENCE_LEASE_SECONDS="4", OVERREAD_INFERENCE_BATCH="4"):
        time.sleep(3)
        close_old_connections()
        assert not Prediction.objects.exclude(state=PredictionState.QUEUED).exists(), "no message was left"
        reconcile.delay()  # the scheduler's first period …
        until = time.monotonic() + 60
        while time.monotonic() < until and not Prediction.objects.filter(state=PredictionState.READY).exists():
            time.sleep(0.02)
            close_old_connections()
        processes.empty(broker)  # … and again, with rows in work
        while time.monotonic() < until + 60 and waiting():
            reconcile.delay()
            time.sleep(1)
    close_old_connections()
    states = Counter(Prediction.objects.values_list("state", flat=True))
    with capsys.disabled():
        print(f"\nbroker wiped twice with {UPLOADS} scans: {dict(states)}")
    assert states == {PredictionState.READY: UPLOADS}
    ready = AuditEvent.objects.filter(act="prediction_ready").values_list("target_id", flat=True)
    assert len(ready) == len(set(ready)) == UPLOADS, "one event each"


def waiting() -> bool:
    close_old_connections()
    return Prediction.objects.exclude(state__in=[PredictionState.READY, PredictionState.FAILED]).exists()
