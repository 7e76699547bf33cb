"""Give out a case as a document."""

import numpy as np
from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.cases.models import Case
from diagnostics.scans.access import Permission, require
from diagnostics.scans.intake import FileRefused, displayed
from diagnostics.scans.looks import looked_at
from diagnostics.scans.models import Scan

from .content import Report, report_for
from .images import pictures_of
from .pdf import draw

PICTURE_SIDE = 1600  # pixels; finer than paper shows at this size


def export_report(*, by: Actor, case: Case) -> bytes:
    """A PDF of what ``by`` may see of a case, in the language of the moment; that it was taken is kept.

    Of a stack whose files are missing it says so in place of the image.

    Raises
    ------
    NotAllowed
    FileNotFoundError
        The stored original of a scan of one image is missing.
    DecodingUnavailable
        Its original cannot be decoded at the moment.
    """
    require(by, Permission.SEE_SCANS, case.institution)
    looked_at(by=by, scan_id=case.scan_id)
    # Drawn before the transaction: a large image takes a while, and others want to write meanwhile.
    report = report_for(by, case)
    document = draw(report, _pictures(report))
    with transaction.atomic():
        record(
            by=by,
            act="report_exported",
            target=case,
            institution=case.institution,
            with_opinion=report.opinion is not None,
        )
    return document


def _pictures(report: Report) -> dict[int | None, np.ndarray]:
    if report.images is None:
        return {None: _picture(report.case.scan)}
    return dict(pictures_of([each.image for each in report.images.shown]).items())


def _picture(scan: Scan) -> np.ndarray:
    """The scan of one image as the viewer shows it; the small preview of one that was taken when larger were."""
    with default_storage.open(scan.original) as file:
        original = file.read()
    try:
        return displayed(original, PICTURE_SIDE)
    except FileRefused:
        # Our own picture, made when the scan came.
        with default_storage.open(scan.preview) as file, Image.open(file, formats=("PNG",)) as preview:
            return np.asarray(preview.convert("L"))
