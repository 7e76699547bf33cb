"""Scans by how far the work on them has come. What came out of it is asked elsewhere."""

from collections.abc import Iterable, Sequence

from django.db.models import Q, QuerySet

from diagnostics.scans.models import Analysis, Scan

STATUSES = tuple(analysis.value for analysis in Analysis)


def scans_with_status(scans: QuerySet[Scan], status: str) -> QuerySet[Scan]:
    """The scans whose ``status_of`` is ``status``.

    Raises
    ------
    ValueError
        There is no such status.
    """
    wanted = Q(analysis=Analysis(status))
    if status == Analysis.QUEUED:
        wanted |= Q(analysis__isnull=True)
    return scans.filter(wanted)


def parts_with_status(institutions: Iterable[int], status: str = "") -> Sequence[Q]:
    """Conditions of which a scan of these institutions (ids) with this status (any, where empty) meets exactly one.

    In each of them an index gives the scans newest first.
    """
    analyses: list[dict[str, object]] = [{}]
    if status:
        analyses = [{"analysis": status}]
        if status == Analysis.QUEUED:
            analyses.append({"analysis__isnull": True})
    return [Q(institution=place, **analysis) for place in institutions for analysis in analyses]
