"""Queue, claim, finish, fail: the life of a prediction's row.

A claim is a conditional UPDATE that writes a fresh fencing token; only whoever holds the token may finish the row, so
running twice equals running once, and a worker that slept past its lease changes nothing.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from diagnostics.notifications.models import Kind
from diagnostics.notifications.services import notify, over
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.access import Permission, require
from diagnostics.scans.kept_sentences import in_words
from diagnostics.scans.models import Scan
from diagnostics.scans.services import reject

from .models import Prediction, PredictionState
from .standing import WORDS, told

NUDGE_AFTER_SECONDS = 5  # a row that waits longer may have lost its message


class NothingToRetry(Conflict):
    """The scan's newest prediction has not failed."""

    code = "nothing_to_retry"


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

    def check(self) -> None:
        """Raise unless this is publishable.

        Raises
        ------
        NotAResult
        """
        values = [*self.probabilities.values(), self.tumour_probability]
        if not self.probabilities or not all(math.isfinite(value) and -1e-6 <= value <= 1 + 1e-6 for value in values):
            raise NotAResult(_("The model gave numbers that are no probabilities."))
        if abs(sum(self.probabilities.values()) - 1) > 1e-3:
            raise NotAResult(_("The model's probabilities do not add up to one."))
        if self.label not in self.probabilities or self.finding not in ("tumour", "no_tumour"):
            raise NotAResult(_("The model named a label that it does not know."))


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


def queue(*, scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    """Write the row that asks for ``version``'s opinion of ``scan``, in the caller's transaction. Twice is once."""
    with told([scan.pk]):
        return _queue(scan, version, by)


def queue_first(*, scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    """As :func:`queue`, for a scan that this very transaction has stored with ``analysis`` queued: nobody else knows
    of it, so nothing needs to be locked or told."""
    return _queue(scan, version, by)


def _queue(scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    prediction, made = Prediction.objects.get_or_create(scan=scan, model_version=version)
    if made:
        record(
            by=by,
            act="prediction_queued",
            target=prediction,
            institution=scan.institution,
            scan=scan.pk,
            model_version=version.number,
        )
    return prediction


def queue_missing(version: ModelVersion, limit: int = 500) -> int:
    """Queue scans that were stored while no model was live; how many."""
    without = Scan.objects.filter(analysis__isnull=True)
    found = list(without.order_by("created_at").values_list("pk", flat=True)[:limit])
    if not found:
        return 0
    with told(found):
        # Two workers may find the same scan, each with another model in use: the second waits here, and looks again.
        list(Scan.objects.filter(pk__in=found).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        scans = list(without.filter(pk__in=found).select_related("institution").order_by("created_at"))
        for scan in scans:
            _queue(scan, version)
    return len(scans)


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


_QUEUED = Q(state=PredictionState.QUEUED)


def _left(now: Any) -> Q:
    """Begun by a worker that is gone."""
    return Q(state=PredictionState.RUNNING, lease_until__lt=now)


def _claimable(now: Any) -> Q:
    return _QUEUED | _left(now)


def claim_waiting(*, limit: int) -> Batch | None:
    """Claim up to ``limit`` waiting rows of one model version; None when nothing waits.

    Rows tried before come alone: if one of them brings the worker down, it takes no other with it.
    """
    now = timezone.now()
    waiting = Prediction.objects.filter(_claimable(now), attempts__lt=settings.INFERENCE_ATTEMPTS)
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
    fence = uuid.uuid4()
    with told(wanted.values()):
        # One conditional UPDATE: two workers that chose the same rows share them out. What was given to another model
        # meanwhile is no longer of this batch.
        free = list(_lockable(Prediction.objects.filter(pk__in=wanted)).values_list("pk", flat=True))
        Prediction.objects.filter(
            _claimable(now), pk__in=free, model_version=first[0], attempts__lt=settings.INFERENCE_ATTEMPTS
        ).update(
            state=PredictionState.RUNNING,
            fence=fence,
            lease_until=now + timedelta(seconds=settings.INFERENCE_LEASE_SECONDS),
            attempts=F("attempts") + 1,
            started_at=now,
            updated_at=now,
        )
    mine = list(
        Prediction.objects.filter(fence=fence, state=PredictionState.RUNNING)
        .with_model()
        .select_related("scan", "scan__institution")
        .order_by(*order)
    )
    if not mine:
        # Another worker was faster with all of them. Look again only on the next nudge.
        return None
    return Batch(fence=fence, model_version=mine[0].model_version, predictions=mine)


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
    with told(prediction.scan_id for prediction in batch.predictions):
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


def _mine(fence: uuid.UUID, prediction: Prediction) -> Any:
    return Prediction.objects.filter(pk=prediction.pk, fence=fence, state=PredictionState.RUNNING)


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
    taken = _mine(batch.fence, prediction).update(
        state=PredictionState.READY,
        model_version=speaker,
        lease_until=None,
        finished_at=now,
        updated_at=now,
        label=result.label,
        finding=result.finding,
        probabilities={label: float(value) for label, value in result.probabilities.items()},
        tumour_probability=min(1.0, max(0.0, float(result.tumour_probability))),
        warnings=list(result.warnings),
        heatmap=result.heatmap,
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
    return taken


def _fail_one(fence: uuid.UUID, prediction: Prediction, failure: Failure) -> int:
    now = timezone.now()
    taken = _mine(fence, prediction).update(
        state=PredictionState.FAILED,
        lease_until=None,
        finished_at=now,
        updated_at=now,
        failure_code=failure.code,
        failure=failure.sentence,
    )
    if taken:
        Scan.objects.filter(pk=prediction.scan_id).update(updated_at=now)
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
        notify(people=[prediction.scan.uploaded_by_id], kind=Kind.PREDICTION_FAILED, scan=prediction.scan)
    return taken


def give_back(*, batch: Batch) -> None:
    """Put a batch that broke as a whole back into the queue; its rows will be tried one at a time."""
    now = timezone.now()
    with told(prediction.scan_id for prediction in batch.predictions):
        Prediction.objects.filter(fence=batch.fence, state=PredictionState.RUNNING).update(
            state=PredictionState.QUEUED, lease_until=None, updated_at=now
        )


def abandon_exhausted() -> int:
    """Fail the rows that were tried often enough and whose worker is gone; how many."""
    now = timezone.now()
    often = Prediction.objects.filter(attempts__gte=settings.INFERENCE_ATTEMPTS)
    failed = 0
    # One after the other, and nothing joined: of "queued or running" the database would walk through all predictions,
    # and with scans and institutions beside them it would begin with those.
    for prediction in [
        prediction
        for part in (often.filter(_QUEUED), often.filter(_left(now)))
        for prediction in part.prefetch_related("scan__institution").order_by()[:100]
    ]:
        with told([prediction.scan_id]):
            taken = Prediction.objects.filter(
                _claimable(now), pk=prediction.pk, attempts__gte=settings.INFERENCE_ATTEMPTS
            ).update(state=PredictionState.RUNNING, lease_until=now, fence=(fence := uuid.uuid4()))
            if taken:
                failed += _fail_one(
                    fence,
                    prediction,
                    Failure(
                        "gave_up",
                        f"The analysis was tried {settings.INFERENCE_ATTEMPTS} times and did not finish. "
                        "Retry it; if it fails again, tell your administrator.",
                    ),
                )
    return failed


def anything_waiting() -> bool:
    """Whether a row waits whose message may have been lost, or whose worker died."""
    now = timezone.now()
    forgotten = Prediction.objects.filter(_QUEUED, queued_at__lt=now - timedelta(seconds=NUDGE_AFTER_SECONDS))
    return forgotten.exists() or Prediction.objects.filter(_left(now)).exists()


def retry(*, by: Actor, scan: Scan) -> Prediction:
    """Queue the scan's newest prediction again after it failed, in the caller's transaction.

    Raises
    ------
    NothingToRetry, NotAllowed
    """
    require(by, Permission.RETRY_PREDICTION, scan.institution)
    with told([scan.pk]):
        newest = _queued_again(scan)
    over(kinds=[Kind.PREDICTION_FAILED], scan=scan)
    record(by=by, act="prediction_retried", target=newest, institution=scan.institution, scan=scan.pk)
    return newest


def _queued_again(scan: Scan) -> Prediction:
    newest = Prediction.objects.filter(scan=scan).order_by("-created_at", "-id").first()
    now = timezone.now()
    taken = (
        Prediction.objects.filter(pk=newest.pk, state=PredictionState.FAILED).update(
            state=PredictionState.QUEUED,
            attempts=0,
            fence=None,
            failure="",
            failure_code="",
            finished_at=None,
            started_at=None,
            queued_at=now,
            updated_at=now,
        )
        if newest is not None
        else 0
    )
    if newest is None or not taken:
        raise NothingToRetry(gettext_lazy("The analysis of this scan has not failed, so there is nothing to retry."))
    Scan.objects.filter(pk=scan.pk).update(rejected_code="", rejected_reason="", updated_at=now)
    newest.refresh_from_db()
    return newest


def current(scan: Scan) -> Prediction | None:
    """The newest prediction of a scan; of those that ``reviews.visible_scans.scans_for`` has fetched, where it has."""
    newest = getattr(scan, "newest_predictions", None)
    if newest is None:
        newest = list(scan.predictions.with_model().order_by("-created_at", "-id"))
    return newest[0] if newest else None


def status_of(scan: Scan) -> str:
    """``queued | analysing | ready | failed | rejected``."""
    if scan.rejected_code:
        return "rejected"
    prediction = current(scan)
    return WORDS[prediction.state if prediction is not None else None].value


def failure_of(scan: Scan) -> str | None:
    """Why there is no opinion, as a sentence, or None."""
    if scan.rejected_reason:
        return in_words(scan.rejected_reason, scan.rejected_code)
    prediction = current(scan)
    return in_words(prediction.failure) or None if prediction is not None else None
