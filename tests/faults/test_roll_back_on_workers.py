"""A roll-back with two workers at work: within seconds each of them speaks by the former model, and by no other."""

import os
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.tasks import infer
from tests import processes
from tests.diagnostics.model_fixtures import put_into_use
from tests.diagnostics.test_stand_in import another
from tests.factories import InstitutionFactory, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
UPLOADS = int(os.environ.get("OVERREAD_TEST_UPLOADS", "60"))
GOAL = 5.0  # seconds


def test_roll_back_is_effective_within_five_seconds_on_two_workers(broker, tmp_path, capsys):
    boss = person(Role.ADMINISTRATOR, InstitutionFactory())
    place = boss.memberships.get().institution
    former = registry.install_bundled_model(settings.BUNDLED_MODEL)
    newer = another(tmp_path, "newer")
    put_into_use(boss, newer)

    def hand_in(seed: int) -> None:
        data = phantom.as_png(phantom.draw(seed, side=96))
        pipeline.submit_scan(by=boss, institution=place, data=data, patient=f"P-{seed:04}")

    # Small batches, so that both workers have work before and after.
    small = {"OVERREAD_INFERENCE_BATCH": "2"}
    with processes.Worker("inference", **small) as one, processes.Worker("inference", **small) as two:
        for seed in range(UPLOADS):
            hand_in(seed)
            if seed % 5 == 0:
                infer.delay()
        processes.wait(lambda: ready() >= UPLOADS // 4, 120, "nothing was analysed")
        registry.roll_back(by=boss, reason="worse")
        at = timezone.now()
        for seed in range(UPLOADS, UPLOADS + 10):
            hand_in(seed)
        processes.wait(lambda: ready() == UPLOADS + 10, 240, "not all were analysed")
        workers = sum("model_loaded" in each.output() for each in (one, two))
    close_old_connections()
    rows = Prediction.objects.filter(state=PredictionState.READY)
    last = rows.filter(model_version=newer).order_by("-finished_at").values_list("finished_at", flat=True).first()
    late = (last - at).total_seconds() if last else 0.0
    after = rows.filter(started_at__gt=at)
    with capsys.disabled():
        counts = [rows.filter(model_version=version).count() for version in (newer, former)]
        print(
            f"\n{connection.vendor}: {workers} workers, {counts[0]} by the newer model, {counts[1]} by the former; "
            f"the newer one's last word came {late:.2f} s after the roll-back"
        )
    assert workers == 2, "both took part"
    assert late <= GOAL
    assert (
        after.exists() and not after.filter(model_version=newer, started_at__gt=at + timedelta(seconds=GOAL)).exists()
    )
    assert not rows.filter(model_version=newer).exclude(weights_sha256=newer.sha256).exists()
    assert not rows.filter(model_version=former).exclude(weights_sha256=former.sha256).exists()
    assert rows.values("scan").distinct().count() == rows.count() == UPLOADS + 10


def ready() -> int:
    close_old_connections()
    time.sleep(0.2)
    return Prediction.objects.filter(state=PredictionState.READY).count()
