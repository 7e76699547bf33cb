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

from .content import report_for
from .pdf import draw

PICTURE_SIDE = 1600  # pixels; finer than paper shows at this size


def export_report(*, by: Actor, case: Case) -> bytes:
    """A PDF of what ``by`` may see of a case, in the language of the moment; that it was taken is kept.

    Raises
    ------
    NotAllowed
    FileNotFoundError
        The scan's stored original is missing.
    DecodingUnavailable
        Its original cannot be decoded at the moment.
    """
    require(by, Permission.SEE_SCANS, case.institution)
    looked_at(by=by, scan_id=case.scan_id)
    # Drawn before the transaction: a large image takes a while, and others want to write meanwhile.
    picture = _picture(case.scan)
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


def _picture(scan: Scan) -> np.ndarray:
    """The scan as the viewer shows it; the small preview of one that was taken when larger images were."""
    with default_storage.open(scan.original) as file:
        original = file.read()
    try:
        return displayed(original, PICTURE_SIDE, frame_of_picture(scan))
    except FileRefused:
        # Our own picture, made when the scan came.
        with default_storage.open(scan.preview) as file, Image.open(file, formats=("PNG",)) as preview:
            return np.asarray(preview.convert("L"))


def frame_of_picture(scan: Scan) -> int | None:
    """Which frame of the stored original stands for the scan; None where the file is one image."""
    if scan.image_count == 1:
        return None
    image = scan.images.filter(index=scan.image_count // 2).first()
    if image is None or scan.images.filter(original=image.original).count() == 1:
        return None
    return image.frame
