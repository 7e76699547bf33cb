"""Carry out a training run. Worker only: imported inside a task body, never by the web process."""

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import structlog
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_noop

from diagnostics.datasets.services import ManifestDamaged, manifest
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from mlcore.data.dataset import NotADataset, read_manifest
from mlcore.model.identity import ArtifactDamaged
from mlcore.networks.runtime import NotFinite, surroundings
from mlcore.training.train import BadConfig, Cancelled, NotTrainable, Progress, TrainConfig, train

from . import run_state
from .comparison import Compared, beside_live, with_former
from .judging import keep
from .models import TrainingRun
from .originals import OriginalDamaged, read_original
from .run_state import LostLease, Step

log = structlog.get_logger(__name__)

NICENESS = 10
_WRITE_EVERY = 1.0
_LOOK_EVERY = 0.4


def fit(run_id: Any) -> ModelVersion | None:
    """Claim a run and see it through; the candidate, or None where there was nothing to do or nothing came of it."""
    run = run_state.claim(run_id)
    if run is None or run.fence is None:
        return None
    log.info("training_started", run=run.number, attempt=run.attempts)
    _step_back()
    place = _place(run)
    watch = _Watch(run)
    ended = True
    try:
        with watch.keeping_the_lease():
            folder, report, compared = _train(run, place, watch)
        version = run_state.succeed(
            run_id=run.pk,
            fence=run.fence,
            folder=folder,
            report=report,
            measured=lambda version: keep(version, run.dataset, compared),
        )
        log.info("training_succeeded", run=run.number, model_version=version.number)
        return version
    except Cancelled:
        _unless_lost(watch, lambda fence: run_state.stopped(run_id=run.pk, fence=fence))
    except LostLease:
        # Whoever has the run now may be working in the same folder.
        ended = False
        log.warning("training_lost_its_lease", run=run.number)
    except _EXPECTED as error:
        _failed(watch, run, str(error))
    except NotFinite:
        _failed(
            watch,
            run,
            gettext_noop(
                "The loss became invalid because the learning steps were too large. Lower the learning rate "
                "and try again."
            ),
        )
    except MemoryError:
        _failed(watch, run, gettext_noop("Out of memory. Try the small network or a smaller batch size."))
    except Exception as error:
        # The edge of the task: whatever broke, people must read that it did, and may start another run.
        log.exception("training_broke", run=run.number)
        _failed(
            watch,
            run,
            f"The training broke off ({type(error).__name__}). The worker's log has the details. Try again.",
        )
    finally:
        if ended:
            shutil.rmtree(place, ignore_errors=True)
    return None


_EXPECTED = (NotTrainable, NotADataset, BadConfig, ManifestDamaged, ArtifactDamaged, OriginalDamaged)


def _train(run: TrainingRun, place: Path, watch: "_Watch") -> tuple[Path, Mapping[str, object], Compared]:
    """Everything between the claim and the candidate: gives the model folder, its report, and what the gate said."""
    run_state.record_environment(
        run_id=run.pk, fence=watch.fence, found={**surroundings(), "threads": settings.TRAINING_THREADS}
    )
    # A new try has a folder of its own for what it makes; the state after each epoch lies beside, for the next.
    listed = place / f"manifest-{watch.fence.hex[:12]}.jsonl"
    listed.write_bytes(manifest(run.dataset))
    items = read_manifest(listed)
    watch.say(f"{run.dataset}: {len(items)} scans")
    trained = train(
        items,
        _config(run),
        place / f"model-{run.number}",
        on_progress=watch.on_progress,
        should_cancel=watch.should_cancel,
        read=read_original,
        command=f"training run {run.number}",
    )
    report = {**trained.report, "dataset": {"number": run.dataset.number, "sha256": run.dataset.sha256}}
    live = registry.live()
    watch.say(f"comparing with {live}" if live is not None else "no model is live to compare with")
    tested = [item for item in items if item.split == "test"]
    compared = beside_live(live, trained.folder, tested, watch.check)
    if compared.report is not None:
        report["compared_with_live"] = compared.report
    if run.repeats is not None and run.repeats.produced is not None:
        watch.say(f"comparing with {run.repeats.produced}, which {run.repeats} produced")
        report["repeats"] = with_former(run.repeats, run.repeats.produced, trained.folder, items, watch.check)
    return trained.folder, report, compared


def _place(run: TrainingRun) -> Path:
    """Where a run's work lies until it has ended: a worker that takes up a lost run on this machine goes on from it.

    What runs that have ended left behind (their worker was killed, and another machine took them) goes now.
    """
    root = Path(settings.TRAINING_DIR)
    root.mkdir(parents=True, exist_ok=True)
    for other in root.iterdir():
        if other.name != str(run.pk):
            shutil.rmtree(other, ignore_errors=True)
    place = root / str(run.pk)
    place.mkdir(exist_ok=True)
    return place


def _config(run: TrainingRun) -> TrainConfig:
    recipe = dict(run.config)
    start = recipe.pop("warm_start", None)
    if start:
        recipe["warm_start"] = registry.fetch(ModelVersion.objects.get(pk=start))
    name = f"{recipe.get('architecture', 'model')}-run{run.number}"
    return TrainConfig.from_dict({**recipe, "threads": settings.TRAINING_THREADS, "name": name})


def _step_back() -> None:
    """Let reading and inference go first on this machine."""
    lacking = NICENESS - os.nice(0)
    if lacking > 0:
        os.nice(lacking)


def _failed(watch: "_Watch", run: TrainingRun, sentence: str) -> None:
    log.warning("training_failed", run=run.number)
    _unless_lost(watch, lambda fence: run_state.fail(run_id=run.pk, fence=fence, sentence=sentence))


def _unless_lost(watch: "_Watch", act: Any) -> None:
    try:
        act(watch.fence)
    except LostLease:
        log.warning("training_lost_its_lease", run=str(watch.run_id))


class _Watch:
    """Carries word between the learning core and the row: progress out, the wish to cancel in."""

    def __init__(self, run: TrainingRun) -> None:
        self.run_id, self.fence = run.pk, cast(uuid.UUID, run.fence)
        # What an earlier try had reached; of it the epochs stand from which this one goes on.
        self._epochs: list[dict[str, float | None]] = list(run.epochs)
        self._done = 0
        self._cancel = self._lost = False
        self._written = self._looked = float("-inf")
        self._fraction = 0.0

    def on_progress(self, at: Progress) -> None:
        """Write a row's worth of progress, about once a second and after every epoch."""
        line, epochs = "", None
        if at.epoch > self._done:
            self._done = at.epoch
            row = {"epoch": at.epoch, "loss": at.loss, "val_loss": at.val_loss, "val_auroc": at.val_auroc}
            kept = next((each for each in self._epochs if each["epoch"] == at.epoch and at.loss is None), row)
            self._epochs = [each for each in self._epochs if (each["epoch"] or 0) < at.epoch] + [kept]
            line, epochs = at.line, self._epochs
        elif time.monotonic() - self._written < _WRITE_EVERY:
            return
        # The comparison with the live model and the registration are still to come.
        self._fraction = 0.97 * at.fraction
        self._write(Step(self._fraction, at.seconds_left, epochs, line))

    def say(self, line: str) -> None:
        """Put a line into the run's log."""
        self._write(Step(self._fraction, None, None, line))

    def _write(self, step: Step) -> None:
        self._cancel = run_state.progress(run_id=self.run_id, fence=self.fence, step=step)
        self._written = self._looked = time.monotonic()

    def should_cancel(self) -> bool:
        """Whether to stop: somebody asked for it, or the run is no longer ours."""
        if self._lost:
            raise LostLease(f"Training run {self.run_id} is no longer held.")
        # What takes long writes nothing meanwhile, and who cancels must not wait for it.
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._cancel = run_state.renew(run_id=self.run_id, fence=self.fence)
            self._looked = time.monotonic()
        return self._cancel

    def check(self) -> None:
        """Raise where the work is to stop."""
        if self.should_cancel():
            raise Cancelled("The training was cancelled.")

    @contextlib.contextmanager
    def keeping_the_lease(self) -> Iterator[None]:
        """Renew the lease beside the work, which may be silent for longer than a lease (TensorFlow starting, a large
        test part being measured)."""
        done = threading.Event()
        beat = threading.Thread(target=self._beat, args=(done,), name="training-lease", daemon=True)
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join(timeout=30)

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(settings.TRAINING_LEASE_SECONDS / 4):
            try:
                self._cancel = run_state.renew(run_id=self.run_id, fence=self.fence)
            except LostLease:
                self._lost = True
                return
            except Exception:
                # A database that is away for a moment must not end hours of training; the next beat tries again.
                log.exception("training_lease_not_renewed", run=str(self.run_id))
            finally:
                connection.close()
