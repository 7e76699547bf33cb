"""A training beside reading against none: what a scan waits for its opinion, and a reader for the worklist."""

import os
from collections.abc import Iterator

import numpy as np
from django.test import Client

from benchmarks.background_load import BackgroundLoad
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.shadow import WATCHED, p95
from benchmarks.world import World
from diagnostics import pipeline
from diagnostics.datasets.services import freeze
from diagnostics.models import Prediction, Scan
from diagnostics.scans.access import Role
from diagnostics.scans.models import Membership
from portal.accounts.models import User

PAGES = 30
# What the training worker does with a run, rows of progress included; more epochs than the measure lasts.
_TRAIN = """
import django; django.setup()
from diagnostics.training import fitting, run_state
from diagnostics.training.models import TrainingRun
told = run_state.progress
def progress(**said):
    if said["step"].epochs:
        print("ready", flush=True)
    return told(**said)
run_state.progress = progress
fitting.fit(TrainingRun.objects.get().pk)
"""


def ratios(world: World) -> Iterator[Ratio]:
    """Ratio 14, both halves; nothing where the measure itself was started with nice."""
    if os.nice(0) > 0:
        # A training steps back to a niceness of 10: beside a measure that has done so itself it would not.
        print("Not measured beside a training: run without nice, for that is about who goes first.", flush=True)
        return
    _queue(world)
    reader = Client()
    reader.force_login(world.by)
    with BackgroundLoad(_TRAIN) as training:
        yield compare(
            "14",
            f"p95 from queued to opinion of {WATCHED} scans, one at a time: a training beside ↔ none",
            at_most=1.5,
            ours=lambda: training.awake(lambda: p95(world)),
            theirs=lambda: p95(world),
            unit="ms a scan",
            rounds=5,
        )
        yield compare(
            "14",
            f"p95 of {PAGES} first pages of the worklist, {len(world.scans)} scans: a training beside ↔ none",
            at_most=1.2,
            ours=lambda: training.awake(lambda: _pages(reader)),
            theirs=lambda: _pages(reader),
            unit="ms a page",
            rounds=5,
        )


def _queue(world: World) -> None:
    """Label the scans any way (nobody looks at what comes of it), freeze them, and queue a run of many epochs."""
    Prediction.objects.all().delete()
    for number, scan in enumerate(world.scans):
        label = "glioma" if number % 2 else "no_tumour"
        Scan.objects.filter(pk=scan.pk).update(
            source=Scan.Source.IMPORT,
            reference_label=label,
            # Each a group of its own: what looks alike must not lack in a part.
            fingerprint=np.random.default_rng(number).integers(0, 256, 1024, dtype=np.uint8).tobytes(),
        )
    keeper = User.objects.create_user(username="keeper")
    Membership.objects.create(user=keeper, institution=world.institution, role=Role.DATA_MANAGER)
    dataset = freeze(by=keeper, institutions=[world.institution])
    recipe = {"architecture": "residual", "epochs": 200, "patience": 200}
    pipeline.start_training(by=keeper, dataset=dataset, config=recipe)


def _pages(reader: Client) -> float:
    """The 95th percentile of the seconds that a page takes."""

    def page() -> None:
        assert reader.get("/worklist/").status_code == 200

    return float(np.percentile([seconds(page) for _ in range(PAGES)], 95))
