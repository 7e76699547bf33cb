"""What workers do to a prediction's row: claim it, finish it, fail it, give it back.

A worker that slept past its lease changes nothing: see :mod:`diagnostics.jobs.leases`.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.audit.services import record
from diagnostics.jobs.leases import Leases
from diagnostics.notifications.models import Kind
from diagnostics.notifications.services import notify
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan
from diagnostics.scans.services import reject
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType

from .analysis_status import sync
from .models import Prediction, PredictionState

NUDGE_AFTER_SECONDS = 5  # a row that waits longer may have lost its message

LEASES = Leases(
    Prediction,
    waiting=PredictionState.QUEUED,
    running=PredictionState.RUNNING,
    seconds=lambda: settings.INFERENCE_LEASE_SECONDS,
    attempts=lambda: settings.INFERENCE_ATTEMPTS,
)


def renew(batch: "Batch") -> bool:
    """Keep the claim of a batch that is still at work; whether any of it is still held."""
    return LEASES.renew(batch.fence) > 0


class NotAResult(ValueError):
    """What the model gave is no opinion: not finite, out of range, or not adding up to 1."""


@dataclass(frozen=True)
class Result:
    """A model's opinion as it will be stored."""

    label: str
    finding: str
    probabilities: dict[str, float]
    tumour_probability: float
    warnings: Sequence[str] = ()
    heatmap: str = ""
    profile: Sequence[float | None] | None = None
    peak: int | None = None

    def check(self) -> None:
        """Raise unless this is publishable.

        Raises
        ------
        NotAResult
        """
        values = [*self.probabilities.values(), self.tumour_probability]
        if not self.probabilities or not all(math.isfinite(value) and -1e-6 <= value <= 1 + 1e-6 for value in values):
            raise NotAResult(_("The model returned invalid probabilities."))
        if abs(sum(self.probabilities.values()) - 1) > 1e-3:
            raise NotAResult(_("The model's probabilities do not add up to one."))
        if self.label not in self.probabilities or self.finding not in ("tumour", "no_tumour"):
            raise NotAResult(_("The model returned an unknown label."))


@dataclass(frozen=True)
class Failure:
    """Why there is no opinion. ``rejects`` says that the image itself cannot be read."""

    code: str
    sentence: str
    rejects: bool = False


@dataclass(frozen=True)
class Batch:
    """Rows claimed together: one model version, one fencing token."""

    fence: uuid.UUID
    model_version: ModelVersion
    predictions: list[Prediction] = field(default_factory=list)


def follow(live: ModelVersion) -> int:
    """Let the model in use speak of what still waits for another one: a roll-back must not wait for a queue.

    Rows that a worker has begun stay as they are, and so do those of scans of which ``live`` has a row already.
    """
    spoken = Prediction.objects.filter(scan=OuterRef("scan"), model_version=live)
    others = (
        Prediction.objects.filter(state=PredictionState.QUEUED).exclude(model_version=live).filter(~Exists(spoken))
    )
    with transaction.atomic():
        return Prediction.objects.filter(pk__in=_lockable(others).values("pk")).update(
            model_version=live, updated_at=timezone.now()
        )


def _lockable(rows: QuerySet[Prediction]) -> QuerySet[Prediction]:
    """Those rows that nobody else holds, locked once they are asked for.

    What another worker holds at this instant it is claiming or giving to another model, so it is left to that worker:
    two that waited for each other's rows would be a deadlock. On SQLite the transaction itself is the lock.
    """
    return rows.select_for_update(skip_locked=True, of=("self",))


def claim_waiting(*, limit: int) -> Batch | None:
    """Claim up to ``limit`` waiting rows of one model version; None when nothing waits.

    Rows tried before come alone: if one of them brings the worker down, it takes no other with it.
    """
    now = timezone.now()
    waiting = Prediction.objects.filter(LEASES.free(now))
    # An imported folder of thousands must not keep a patient's scan waiting.
    bulk = When(scan__source=Scan.Source.IMPORT, then=Value(1))
    order = ("scan__priority", Case(bulk, default=Value(0)), "queued_at", "pk")
    first = waiting.filter(attempts=0).order_by(*order).values_list("model_version", "pk").first()
    if first is not None:
        same = waiting.filter(attempts=0, model_version=first[0])
        wanted = dict(same.order_by(*order).values_list("pk", "scan")[:limit])
    else:
        alone = waiting.order_by("attempts", *order).values_list("model_version", "pk", "scan").first()
        if alone is None:
            return None
        first, wanted = alone[:2], dict([alone[1:]])
    with sync(wanted.values()):
        # Two workers that chose the same rows share them out. What was given to another model meanwhile is no longer
        # of this batch.
        unlocked = list(_lockable(Prediction.objects.filter(pk__in=wanted)).values_list("pk", flat=True))
        chosen = Prediction.objects.filter(pk__in=unlocked, model_version=first[0])
        fence = LEASES.claim(chosen, started_at=now, updated_at=now)
    if fence is None:
        # Another worker was faster with all of them. Look again only on the next nudge.
        return None
    rows = Prediction.objects.with_model().select_related("scan", "scan__institution")
    mine = list(rows.filter(pk__in=LEASES.held(fence).values("pk")).order_by(*order))
    return Batch(fence=fence, model_version=mine[0].model_version, predictions=mine) if mine else None


def finish(
    *,
    batch: Batch,
    outcomes: dict[uuid.UUID, Result | Failure],
    provenance: dict[str, str],
    speaker: ModelVersion | None = None,
) -> int:
    """Write the outcomes of a batch and their audit events in one transaction; how many rows took them.

    A row whose claim was lost meanwhile stays as it is: whoever holds the newer token finishes it.
    ``provenance``: ``weights_sha256``, ``preprocess_version``, ``code_revision``. ``speaker``: the version that really
    spoke, where another stood in; of a scan that it has spoken of before, that opinion stands and no other is written.
    """
    written = 0
    speaker = speaker or batch.model_version
    with sync(prediction.scan_id for prediction in batch.predictions):
        for prediction in batch.predictions:
            outcome = outcomes.get(prediction.pk)
            if outcome is None:
                continue
            if isinstance(outcome, Result):
                outcome.check()
                written += _finish_one(batch, speaker, prediction, outcome, provenance)
            else:
                written += _fail_one(batch.fence, prediction, outcome)
    return written


def _finish_one(
    batch: Batch, speaker: ModelVersion, prediction: Prediction, result: Result, provenance: dict[str, str]
) -> int:
    now = timezone.now()
    others = Prediction.objects.filter(scan=prediction.scan_id, model_version=speaker).exclude(pk=prediction.pk)
    if speaker.pk != batch.model_version.pk and others.exists():
        return _fail_one(
            batch.fence,
            prediction,
            Failure(
                "model_damaged",
                f"The model's files are damaged. {speaker} stands in for it and has given its opinion of this scan "
                "before. Retry when the files are whole again.",
            ),
        )
    taken = LEASES.finish(
        batch.fence,
        state=PredictionState.READY,
        only=[prediction.pk],
        model_version=speaker,
        finished_at=now,
        updated_at=now,
        label=result.label,
        finding=result.finding,
        probabilities={label: float(value) for label, value in result.probabilities.items()},
        tumour_probability=min(1.0, max(0.0, float(result.tumour_probability))),
        warnings=list(result.warnings),
        heatmap=result.heatmap,
        profile=None if result.profile is None else list(result.profile),
        peak=result.peak,
        **provenance,
    )
    if taken:
        Scan.objects.filter(pk=prediction.scan_id).update(updated_at=now)
        # The opinion itself stays out of the audit: readers' blinding must not hang on who may read it.
        record(
            by=None,
            act="prediction_ready",
            target=prediction,
            institution=prediction.scan.institution,
            scan=prediction.scan_id,
            model_version=speaker.number,
        )
        _tell_programs(EventType.SCAN_READY, prediction, model_version=speaker.number)
    return taken


def _fail_one(fence: uuid.UUID, prediction: Prediction, failure: Failure) -> int:
    taken = LEASES.finish(fence, state=PredictionState.FAILED, only=[prediction.pk], **_failed(failure))
    if taken:
        _tell_of_failure(prediction, failure)
    return taken


def _failed(failure: Failure) -> dict[str, object]:
    now = timezone.now()
    return {"finished_at": now, "updated_at": now, "failure_code": failure.code, "failure": failure.sentence}


def _tell_of_failure(prediction: Prediction, failure: Failure) -> None:
    Scan.objects.filter(pk=prediction.scan_id).update(updated_at=timezone.now())
    if failure.rejects:
        reject(scan_id=prediction.scan_id, code=failure.code, sentence=failure.sentence)
    record(
        by=None,
        act="prediction_failed",
        target=prediction,
        institution=prediction.scan.institution,
        scan=prediction.scan_id,
        code=failure.code,
    )
    _tell_programs(EventType.PREDICTION_FAILED, prediction, code=failure.code)
    notify(people=[prediction.scan.uploaded_by_id], kind=Kind.PREDICTION_FAILED, scan=prediction.scan)


def _tell_programs(event: EventType, prediction: Prediction, **said: object) -> None:
    """Tell webhooks how the analysis ended, and nothing of what the AI thinks."""
    scan = prediction.scan
    told = {"scan": scan.pk, "study": scan.study_id, "prediction": prediction.pk, **said}
    events.tell(event, subject=f"scan:{scan.pk}", institution=scan.institution_id, data=told, scan=scan)


def give_back(*, batch: Batch) -> None:
    """Put a batch that broke as a whole back into the queue; its rows will be tried one at a time."""
    with sync(prediction.scan_id for prediction in batch.predictions):
        LEASES.give_back(batch.fence, updated_at=timezone.now())


def abandon_exhausted() -> int:
    """Fail the rows that were tried often enough and whose worker is gone; how many."""
    failure = Failure(
        "gave_up",
        f"The analysis was tried {settings.INFERENCE_ATTEMPTS} times and did not finish. "
        "Retry it; if it fails again, tell your administrator.",
    )
    failed = 0
    for rows in LEASES.exhausted():
        # Nothing joined: with scans and institutions beside them the database would begin with those.
        for prediction in rows.prefetch_related("scan__institution").order_by()[:100]:
            with sync([prediction.scan_id]):
                row = LEASES.as_seen(prediction)
                if LEASES.abandon(row, state=PredictionState.FAILED, **_failed(failure)):
                    _tell_of_failure(prediction, failure)
                    failed += 1
    return failed


def anything_waiting() -> bool:
    """Whether a row waits whose message may have been lost, or whose worker died."""
    return LEASES.forgotten(Q(queued_at__lt=timezone.now() - timedelta(seconds=NUDGE_AFTER_SECONDS)))
