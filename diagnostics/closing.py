"""A series closes: its images are put in order, its stacks become work for the model and for readers.

Called by the scheduler when no image has come for a while, and by a door that says that all are there. Twice is once:
what is done is found in the rows, and the row of the series is the lock.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState
from diagnostics.peers import wanted
from diagnostics.predictions import analysis_status
from diagnostics.predictions import services as predictions
from diagnostics.registry import services as registry
from diagnostics.reviews import opening
from diagnostics.scans import frames, ordering
from diagnostics.scans.models import Arrival, Scan
from diagnostics.scans.series import Series

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 50
AGAIN = timedelta(minutes=5)


def anything_due() -> bool:
    """Whether a series waits to be put in order."""
    return _due().exists()


def close_due(limit: int = MOST_AT_ONCE) -> int:
    """Close the series that are due; how many. For a worker: frames of large files are taken out first.

    One that fails keeps no other waiting: it is tried again after ``AGAIN``, and its error is raised at the end.
    """
    closed = 0
    failed: list[Exception] = []
    for pk in list(_due().order_by("close_at").values_list("pk", flat=True)[:limit]):
        try:
            frames.take_out(pk)
            closed += close(pk)
        except Exception as error:
            # The edge of the task: whatever is wrong with this series, the others' images are whole.
            log.exception("series_not_closed", series=str(pk))
            failed.append(error)
            Series.objects.filter(pk=pk, arrival=Arrival.ARRIVING).update(close_at=timezone.now() + AGAIN)
    if failed:
        raise failed[0] if len(failed) == 1 else ExceptionGroup("Several series were not closed.", failed)
    return closed


def _due() -> QuerySet[Series]:
    return Series.objects.filter(arrival=Arrival.ARRIVING, close_at__lte=timezone.now())


def close(pk: UUID) -> bool:
    """Put a series in order that is due, queue its stacks for analysis, and open their cases; whether it was due."""
    with transaction.atomic():
        # Whoever files another image of it waits here, and opens it again afterwards.
        series = Series.objects.select_for_update(no_key=True).filter(pk=pk).first()
        if series is None or series.arrival != Arrival.ARRIVING or series.close_at > timezone.now():
            return False
        is_prior = wanted.is_prior(series.study)
        if not is_prior:
            wanted.want_priors(series.study)
        # A reader's act takes the case before the scan; so must this, or the two could wait for each other for ever.
        with analysis_status.sync(series.scans.values_list("pk", flat=True)):
            for scan in ordering.put_in_order(series):
                if not scan.not_analysed:
                    _becomes_work(scan, to_read=not is_prior)
        record(by=None, act="series_closed", target=series, institution=series.institution, arrival=series.arrival)
    return True


def _becomes_work(scan: Scan, *, to_read: bool) -> None:
    """A stack is read once; what comes after a read was final makes another case of it. A prior is not read anew."""
    live = registry.live()
    if live is not None:
        predictions.queue(scan=scan, version=live)
    else:
        analysis_status.put_scans_right([scan.pk])
    if to_read and not Case.objects.filter(scan=scan, state=CaseState.OPEN).exists():
        opening.open_case(by=None, scan=scan)
