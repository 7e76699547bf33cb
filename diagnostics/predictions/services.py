"""Ask for predictions, ask again, and say how far they are. What workers do to the rows stands in ``run_state``."""

from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from diagnostics.notifications.models import Kind
from diagnostics.notifications.services import over
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Analysis, Arrival, Scan
from diagnostics.scans.stored_messages import in_words

from .analysis_status import WORDS, sync
from .models import Prediction, PredictionState
from .run_state import LEASES


class NothingToRetry(Conflict):
    """The scan's newest prediction has not failed."""

    code = "nothing_to_retry"


def queue(*, scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    """Write the row that asks for ``version``'s opinion of ``scan``, in the caller's transaction. Twice is once."""
    with sync([scan.pk]):
        return _queue(scan, version, by)


def queue_first(*, scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    """As :func:`queue`, for a scan that this very transaction has stored with ``analysis`` queued: nobody else knows
    of it, so nothing needs to be locked or told."""
    return _queue(scan, version, by)


def _queue(scan: Scan, version: ModelVersion, by: Actor | None = None) -> Prediction:
    prediction, made = Prediction.objects.get_or_create(scan=scan, model_version=version, scan_revision=scan.revision)
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
    with sync(found):
        # Two workers may find the same scan, each with another model in use: the second waits here, and looks again.
        list(Scan.objects.filter(pk__in=found).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        scans = list(without.filter(pk__in=found).select_related("institution").order_by("created_at"))
        for scan in scans:
            _queue(scan, version)
    return len(scans)


def retry(*, by: Actor, scan: Scan) -> Prediction:
    """Queue the scan's newest prediction again after it failed, in the caller's transaction.

    Raises
    ------
    NothingToRetry, NotAllowed
    """
    require(by, Permission.RETRY_PREDICTION, scan.institution)
    with sync([scan.pk]):
        newest = _queued_again(scan)
    over(kinds=[Kind.PREDICTION_FAILED], scan=scan)
    record(by=by, act="prediction_retried", target=newest, institution=scan.institution, scan=scan.pk)
    return newest


def _queued_again(scan: Scan) -> Prediction:
    newest = Prediction.objects.filter(scan=scan).order_by("-created_at", "-id").first()
    now = timezone.now()
    failed = Prediction.objects.filter(pk__in=[newest.pk] if newest else [], state=PredictionState.FAILED)
    taken = LEASES.restart(
        failed, failure="", failure_code="", finished_at=None, started_at=None, queued_at=now, updated_at=now
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
    """``arriving | queued | analysing | ready | failed | rejected | not_analysed``."""
    if scan.not_analysed:
        return Analysis.NONE.value
    if scan.arrival == Arrival.ARRIVING:
        return Analysis.ARRIVING.value
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
