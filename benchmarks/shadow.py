"""A challenger that scores live cases in the shadow against none: what a reader's scan waits for its opinion."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType

import numpy as np
from django.utils import timezone

from benchmarks.turns import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics.predictions import inference
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState, ModelVersion

WATCHED = 40  # scans, one after another
# What the training worker does when the scheduler's beat comes, over and over; it never runs out of cases.
_LOOP = """
import django; django.setup()
from diagnostics.shadow import scoring
from diagnostics.shadow.models import ShadowOpinion
print("ready", flush=True)
while True:
    if not scoring.score_waiting() and not scoring.services.anything_due():
        ShadowOpinion.objects.all().delete()
"""


def ratios(world: World) -> Iterator[Ratio]:
    """The promise of issue 5: p95 at most 1.1 times."""
    with Challenger(world) as challenger:
        yield compare(
            "S",
            f"p95 from queued to opinion of {WATCHED} scans, one at a time: a challenger scoring beside ↔ none",
            at_most=1.1,
            ours=lambda: challenger.beside(lambda: p95(world)),
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
    return float(np.percentile(took, 95))


class Challenger:
    """A process that scores in the shadow, stopped and let go by signals."""

    def __init__(self, world: World) -> None:
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

    def __enter__(self) -> "Challenger":
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LOOP], env=dict(os.environ), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"
        self._tell(signal.SIGSTOP)
        return self

    def beside(self, measured):  # type: ignore[no-untyped-def]
        """What ``measured`` gives while the challenger scores."""
        self._tell(signal.SIGCONT)
        time.sleep(0.5)
        try:
            return measured()
        finally:
            self._tell(signal.SIGSTOP)

    def _tell(self, word: signal.Signals) -> None:
        os.kill(self.process.pid, word)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
