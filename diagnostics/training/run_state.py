"""What workers do to a run's row: take it, keep it, say where it stands, and end it in exactly one way."""

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.jobs.leases import Leases
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType

from .models import TrainingRun, TrainingState

ATTEMPTS = 2
NUDGE_AFTER_SECONDS = 30  # a run that waits longer may have lost its message
_LOG_KEPT = 20_000

LEASES = Leases(
    TrainingRun,
    waiting=TrainingState.QUEUED,
    running=TrainingState.RUNNING,
    seconds=lambda: settings.TRAINING_LEASE_SECONDS,
    attempts=lambda: ATTEMPTS,
)


class LostLease(RuntimeError):
    """The run is no longer this worker's: somebody else may have claimed it."""


@dataclass(frozen=True)
class Step:
    """What a worker says about where it stands."""

    fraction: float
    seconds_left: float | None = None
    epochs: Sequence[Mapping[str, float | None]] | None = None
    line: str = ""


def claim(run_id: Any) -> TrainingRun | None:
    """Take a waiting run, or one whose worker is gone; None where there is nothing to take.

    Whoever gets the row holds its ``fence``; every later word must carry it.
    """
    now = timezone.now()
    wanted = TrainingRun.objects.filter(pk=run_id, cancel_requested_at=None)
    fence = LEASES.claim(wanted, started_at=now, progress=0.0, seconds_left=None, updated_at=now)
    if fence is None:
        return None
    rows = TrainingRun.objects.select_related("dataset", "created_by", "repeats__produced")
    return rows.get(pk=run_id)


def record_environment(*, run_id: Any, fence: uuid.UUID, found: Mapping[str, object]) -> None:
    """Write down by what the run is carried out: versions, code, threads.

    Raises
    ------
    LostLease
        The run is no longer this worker's.
    """
    if not _held(run_id, fence).update(environment=dict(found)):
        raise LostLease(f"Training run {run_id} is no longer held.")


def renew(*, run_id: Any, fence: uuid.UUID) -> bool:
    """Keep the lease; whether the run is to be cancelled.

    Raises
    ------
    LostLease
        The run is no longer this worker's.
    """
    if not LEASES.renew(fence):
        raise LostLease(f"Training run {run_id} is no longer held.")
    return _held(run_id, fence).filter(cancel_requested_at__isnull=False).exists()


def progress(*, run_id: Any, fence: uuid.UUID, step: Step) -> bool:
    """Write down where the run stands and keep the lease; whether it is to be cancelled.

    Raises
    ------
    LostLease
        The run is no longer this worker's, and nothing was written.
    """
    now = timezone.now()
    with transaction.atomic():
        held = _held(run_id, fence).select_for_update()
        row = held.values("log", "cancel_requested_at").first()
        if row is None:
            raise LostLease(f"Training run {run_id} is no longer held.")
        changes: dict[str, object] = {
            "progress": min(max(step.fraction, 0.0), 1.0),
            "seconds_left": None if step.seconds_left is None else max(0, round(step.seconds_left)),
            "updated_at": now,
        }
        if step.epochs is not None:
            changes["epochs"] = [{name: _finite(value) for name, value in row.items()} for row in step.epochs]
        if step.line:
            changes["log"] = _longer(row["log"], step.line, now)
        LEASES.renew(fence, **changes)
    return row["cancel_requested_at"] is not None


def succeed(
    *,
    run_id: Any,
    fence: uuid.UUID,
    folder: Path,
    report: Mapping[str, object],
    measured: Callable[[ModelVersion], None] = lambda version: None,
) -> ModelVersion:
    """Enter the model as a candidate and end the run, both or neither.

    ``measured`` keeps what was found out about it, in the same transaction.

    Raises
    ------
    LostLease
        The run is no longer this worker's; no model is entered.
    ArtifactDamaged
        The storage did not keep the model as it was.
    """
    kept = registry.keep(folder)
    with transaction.atomic():
        run = _held(run_id, fence).select_for_update().first()
        if run is None:
            raise LostLease(f"Training run {run_id} is no longer held.")
        version = registry.register(by=run.created_by, folder=folder, report=report, kept_as=kept)
        measured(version)
        now = timezone.now()
        LEASES.finish(
            fence,
            state=TrainingState.SUCCEEDED,
            **ended(now),
            produced=version,
            progress=1.0,
            log=_longer(run.log, f"done: {version} is a candidate", now),
        )
        note(run, "training_succeeded", model_version=version.pk)
    return version


def fail(*, run_id: Any, fence: uuid.UUID, sentence: str) -> None:
    """End a run without a model, with the reason that people will read.

    Raises
    ------
    LostLease
        The run is no longer this worker's.
    """
    _end(run_id, fence, TrainingState.FAILED, sentence)


def stopped(*, run_id: Any, fence: uuid.UUID) -> None:
    """End a run that was asked to stop.

    Raises
    ------
    LostLease
        The run is no longer this worker's.
    """
    _end(run_id, fence, TrainingState.CANCELLED, "")


def due() -> list[uuid.UUID]:
    """Put right what dead workers left behind; gives the runs of which a worker must be told.

    A run whose worker is gone is queued again, to go on after its last whole epoch where the next worker finds the
    state that was kept; the second time it is failed with a reason. A run whose message may be lost is given again.
    """
    now = timezone.now()
    for run in TrainingRun.objects.filter(LEASES.lost(now)):
        with transaction.atomic():
            _put_right(run, now)
    waiting = TrainingRun.objects.filter(
        state=TrainingState.QUEUED, updated_at__lt=now - timedelta(seconds=NUDGE_AFTER_SECONDS)
    )
    found = list(waiting.values_list("pk", flat=True))
    # Without this a busy worker would find one message for every beat of the clock.
    TrainingRun.objects.filter(pk__in=found, state=TrainingState.QUEUED).update(updated_at=now)
    return found


def _put_right(run: TrainingRun, now: datetime) -> None:
    """Stop, give up or queue again a run whose worker is gone, unless somebody has done so."""
    seen = LEASES.as_seen(run)
    if run.cancel_requested_at is not None:
        if LEASES.abandon(seen, state=TrainingState.CANCELLED, **ended(now)):
            note(run, "training_stopped")
    elif run.attempts >= ATTEMPTS:
        reason = gettext_noop(
            "The worker was lost again during this run, so the run was abandoned. The machine may have run out "
            "of memory: try the small network or a smaller batch size."
        )
        if LEASES.abandon(seen, state=TrainingState.FAILED, **ended(now), failure=reason):
            note(run, "training_failed")
    else:
        LEASES.requeue(
            seen,
            seconds_left=None,
            progress=0.0,
            log=_longer(run.log, "the worker was lost; another goes on after the last whole epoch", now),
            # So that it counts as waiting long enough for a message of its own.
            updated_at=now - timedelta(seconds=NUDGE_AFTER_SECONDS + 1),
        )


def _held(run_id: Any, fence: uuid.UUID) -> "QuerySet[TrainingRun]":
    return LEASES.held(fence, only=[run_id])


def ended(now: datetime) -> dict[str, Any]:
    """What a row says once it is over, beside its state."""
    return {"active": None, "seconds_left": None, "finished_at": now, "updated_at": now}


def _end(run_id: Any, fence: uuid.UUID, state: TrainingState, sentence: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        run = _held(run_id, fence).select_for_update().first()
        if run is None:
            raise LostLease(f"Training run {run_id} is no longer held.")
        line = f"failed: {sentence}" if sentence else "cancelled"
        LEASES.finish(fence, state=state, **ended(now), failure=sentence, log=_longer(run.log, line, now))
        note(run, "training_failed" if sentence else "training_stopped")


_OUTCOMES = {"training_succeeded": "succeeded", "training_failed": "failed", "training_stopped": "cancelled"}


def note(run: TrainingRun, act: str, *, by: Actor | None = None, **detail: Any) -> None:
    """Record an act on a run in each institution of its dataset."""
    institutions: list[Any] = list(run.dataset.institutions.all())
    for institution in institutions or [None]:
        record(by=by, act=act, target=run, institution=institution, number=run.number, **detail)
        if act in _OUTCOMES and institution is not None:
            events.tell(
                EventType.RUN_ENDED,
                subject=f"run:{run.pk}",
                institution=institution.pk,
                data={"run": run.pk, "number": run.number, "outcome": _OUTCOMES[act], **detail},
            )


def _longer(log: str, line: str, now: datetime) -> str:
    """The log with one line more; its beginning goes when it gets long."""
    longer = f"{log}{now:%H:%M:%S}  {line}\n"
    return longer if len(longer) <= _LOG_KEPT else longer[-_LOG_KEPT:].split("\n", 1)[1]


def _finite(value: Any) -> Any:
    """JSON knows no NaN; PostgreSQL refuses it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
