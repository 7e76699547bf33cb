"""A challenger that scores live cases in the shadow against none: what a reader's scan waits for its opinion."""

import json
import shutil
import time
from collections.abc import Iterator

import numpy as np
from django.utils import timezone

from benchmarks.background_load import BackgroundLoad
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics.predictions import inference
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState, ModelVersion

WATCHED = 80  # scans, one after another
PAUSE = 0.05  # seconds between two scans, in which a challenger begins
# What the training worker does when the scheduler's beat comes, only that it asks anew after PAUSE and not after the
# beat of some seconds; it never runs out of cases.
_LOOP = f"""
import time
import django; django.setup()
from diagnostics.shadow import scoring
from diagnostics.shadow.models import ShadowOpinion
print("ready", flush=True)
while True:
    scoring.score_waiting()
    if not scoring.services.anything_due():
        ShadowOpinion.objects.all().delete()
    time.sleep({PAUSE})
"""


def ratios(world: World) -> Iterator[Ratio]:
    """The promise of issue 5: p95 at most 1.1 times."""
    challenge(world)
    with BackgroundLoad(_LOOP) as challenger:
        yield compare(
            "S",
            f"p95 from queued to opinion of {WATCHED} scans, one at a time: a challenger scoring beside ↔ none",
            at_most=1.1,
            ours=lambda: challenger.awake(lambda: p95(world)),
            theirs=lambda: p95(world),
            unit="ms a scan",
            rounds=9,
        )


def p95(world: World) -> float:
    """The 95th percentile of the seconds from a scan's row to its opinion."""
    took = []
    for scan in world.scans[:WATCHED]:
        Prediction.objects.filter(scan=scan).delete()
        Prediction.objects.create(scan=scan, model_version=world.version)
        took.append(seconds(inference.run_waiting))
        time.sleep(PAUSE)
    return float(np.percentile(took, 95))


def challenge(world: World) -> None:
    """Enter a challenger, and live opinions for it to stand beside."""
    folder = world.model.with_name("challenger")
    shutil.copytree(world.model, folder)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | {"name": "challenger"}))
    version = registry.register(by=None, folder=folder)
    now = timezone.now()
    ModelVersion.objects.filter(pk=version.pk).update(state=ModelState.CHALLENGER, challenged_at=now)
    Prediction.objects.all().delete()
    Prediction.objects.bulk_create(
        Prediction(
            scan=scan,
            model_version=world.version,
            state=PredictionState.READY,
            finished_at=now,
            label="no_tumour",
            finding="no_tumour",
            probabilities={"no_tumour": 1.0},
            tumour_probability=0.0,
        )
        for scan in world.scans[WATCHED:]
    )
