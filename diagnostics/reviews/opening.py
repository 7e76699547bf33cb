"""Open a case: a scan becomes work."""

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.cases.models import Case, CaseState
from diagnostics.predictions.services import status_of
from diagnostics.scans.models import Scan

from .controls import want_one
from .worklist import place_of


def open_case(*, by: Actor | None, scan: Scan) -> Case:
    """Make the scan work for a reader, in the caller's transaction. Twice is once."""
    case, made = Case.objects.get_or_create(
        scan=scan,
        state=CaseState.OPEN,
        defaults={
            "institution": scan.institution,
            "study": scan.study if scan.series_id else None,
            "priority": scan.priority,
            "analysis": status_of(scan),
            **place_of(scan.institution, scan.priority),
        },
    )
    if made:
        record(by=by, act="case_opened", target=case, institution=scan.institution, scan=scan.pk)
        want_one(case)
    return case
