"""Scans handed in here, analysed by a real worker process over a real broker."""

import pytest
from django.conf import settings
from django.db import close_old_connections

from diagnostics import pipeline
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from tests import processes
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db(transaction=True)


def hand_in(count, first=0):
    by = person(Role.TECHNOLOGIST, InstitutionFactory())
    institution = by.memberships.get().institution
    for seed in range(first, first + count):
        data = phantom.as_png(phantom.draw(seed, side=128))
        pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{seed}")


def ready():
    close_old_connections()
    return Prediction.objects.filter(state=PredictionState.READY).count()


def test_scans_handed_in_are_analysed_within_seconds(inference_worker):
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    hand_in(10)
    processes.wait(lambda: ready() == 10, 90, "ten scans were not analysed")
    assert set(Prediction.objects.values_list("attempts", flat=True)) == {1}


def test_wiped_broker_loses_no_scan(broker, broker_server):
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    hand_in(12)
    processes.empty(broker_server)
    Prediction.objects.update(queued_at="2020-01-01T00:00Z")
    with processes.Worker("inference"):
        from diagnostics.tasks import reconcile

        reconcile.delay()
        processes.wait(lambda: ready() == 12, 90, "the scans of the wiped broker were not analysed")
    assert Prediction.objects.count() == 12
