"""Scans by how far the work on them has come. What came out of it is asked elsewhere."""

from django.db.models import OuterRef, Q, QuerySet, Subquery

from diagnostics.scans.models import Scan

from .models import Prediction, PredictionState

STATUSES = ("queued", "analysing", "ready", "failed", "rejected")


def scans_with_status(scans: QuerySet[Scan], status: str) -> QuerySet[Scan]:
    """The scans whose ``status_of`` is ``status``.

    Raises
    ------
    KeyError
        There is no such status.
    """
    newest = Prediction.objects.filter(scan=OuterRef("pk")).order_by("-created_at", "-id").values("state")[:1]
    wanted = {
        "queued": Q(analysis=PredictionState.QUEUED) | Q(analysis__isnull=True),
        "analysing": Q(analysis=PredictionState.RUNNING),
        "ready": Q(analysis=PredictionState.READY),
        "failed": Q(analysis=PredictionState.FAILED),
    }
    if status == "rejected":
        return scans.exclude(rejected_code="")
    return scans.filter(rejected_code="").annotate(analysis=Subquery(newest)).filter(wanted[status])
