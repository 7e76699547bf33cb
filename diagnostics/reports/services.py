"""Give out a case as a document."""

from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction

from diagnostics.audit.services import record
from diagnostics.cases.models import Case
from diagnostics.scans.access import Permission, require
from diagnostics.scans.intake import displayed

from .content import report_for
from .pdf import draw

PICTURE_SIDE = 1600  # pixels; finer than paper shows at this size


def export_report(*, by: Any, case: Case) -> bytes:
    """A PDF of what ``by`` may see of a case, in the language of the moment; that it was taken is kept.

    Raises
    ------
    NotAllowed
    FileNotFoundError
        The scan's stored original is missing.
    """
    require(by, Permission.SEE_SCANS, case.institution)
    # Drawn before the transaction: a large image takes a while, and others want to write meanwhile.
    with default_storage.open(case.scan.original) as file:
        picture = displayed(file.read(), PICTURE_SIDE)
    report = report_for(by, case)
    document = draw(report, picture)
    with transaction.atomic():
        record(
            by=by,
            act="report_exported",
            target=case,
            institution=case.institution,
            with_opinion=report.opinion is not None,
        )
    return document
