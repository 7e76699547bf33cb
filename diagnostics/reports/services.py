"""Give out a case as a document."""

import numpy as np
from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image as PILImage

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.cases.models import Case
from diagnostics.scans.access import Permission, require
from diagnostics.scans.intake import FileRefused, displayed
from diagnostics.scans.looks import looked_at
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image

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
    report = report_for(by, case)
    document = draw(report, [_picture(case.scan, figure.number) for figure in report.figures])
    with transaction.atomic():
        record(
            by=by,
            act="report_exported",
            target=case,
            institution=case.institution,
            with_opinion=report.opinion is not None,
        )
    return document


def _picture(scan: Scan, number: int) -> np.ndarray:
    """An image as the viewer shows it; the small preview of one that was taken when larger images were."""
    image = scan.images.filter(index=number - 1).first() if number else None
    original, preview = (scan.original, scan.preview) if image is None else (image.original, image.preview)
    with default_storage.open(original) as file:
        data = file.read()
    try:
        return displayed(data, PICTURE_SIDE, None if image is None else _frame_in_file(image))
    except FileRefused:
        # Our own picture, made when the scan came.
        with default_storage.open(preview) as file, PILImage.open(file, formats=("PNG",)) as small:
            return np.asarray(small.convert("L"))


def _frame_in_file(image: Image) -> int | None:
    """Which frame of its file an image is; None where the file is one image."""
    return image.frame if Image.objects.filter(original=image.original)[1:2] else None


def frame_of_picture(scan: Scan) -> int | None:
    """Which frame of the stored original stands for the scan; None where the file is one image."""
    if scan.image_count == 1:
        return None
    image = scan.images.filter(index=scan.image_count // 2).first()
    if image is None or scan.images.filter(original=image.original).count() == 1:
        return None
    return image.frame
