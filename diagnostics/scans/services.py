"""Store a scan where it belongs, once."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor, wait

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record

from .access import Permission, require
from .filing import Filing, InvalidEntry, study_for
from .intake import IngestedImage
from .models import Analysis, Institution, Priority, Scan
from .series import Image
from .storage import Ahead

_WRITERS = ThreadPoolExecutor(max_workers=12, thread_name_prefix="keep")


def note_ended_file(*, by: Actor, institution: Institution, data: bytes, code: str) -> None:
    """Keep who uploaded a file whose decoding had to be ended: its hash and size, nothing of what it says."""
    with transaction.atomic():
        record(
            by=by,
            act="file_ended",
            target=institution,
            institution=institution,
            code=code,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
        )


def existing(institution: Institution, sha256: str) -> Scan | None:
    """The scan with this content in the institution, if there is one."""
    image = (
        Image.objects.filter(institution=institution, sha256=sha256).select_related("scan").order_by("frame").first()
    )
    return image.scan if image is not None else None


def keys_of(institution: Institution, image: IngestedImage) -> dict[str, str]:
    """Where the files of a scan lie, or would lie."""
    folder = f"{institution.pk}/{image.sha256[:2]}/{image.sha256}"
    return {name: f"{folder}/{name}" for name in ("original", "pixels", "preview")}


def keep_files(institution: Institution, image: IngestedImage) -> dict[str, str]:
    """Write original, pixels and preview; return their storage keys.

    Keys follow from the content, so writing twice is writing once, and a file whose row was never committed is
    overwritten by the next try. Called before the transaction: no database lock is held while bytes travel.

    Nothing under these keys is ever removed here, also where the rows cannot be written afterwards: another request
    with the same bytes may be about to commit a row that names them. What no row names in the end, ``fsck`` finds.
    """
    contents = {"original": image.original, "pixels": image.pixels, "preview": image.preview}
    keys = keys_of(institution, image)
    # Side by side: each waits for the disk or the store, and they need not wait for one another.
    written = [_WRITERS.submit(_write, keys[name], content) for name, content in contents.items()]
    wait(written)  # all of them, so that none is still at work where one fails
    failed = [each for each in written if each.exception() is not None]
    for each in written:
        ahead = None if each in failed else each.result()
        if ahead is not None:
            # Where there was no room for one of the three, none of them gets its name.
            ahead.drop() if failed else ahead.put()
    for each in failed:
        each.result()
    return keys


def _write(key: str, content: bytes) -> Ahead | None:
    """Under its name at once where a store knows no other way."""
    write_ahead = getattr(default_storage, "write_ahead", None)
    if write_ahead is None:
        default_storage.save(key, ContentFile(content))
        return None
    ahead: Ahead = write_ahead(key, ContentFile(content))
    return ahead


def store(
    *,
    by: Actor,
    institution: Institution,
    image: IngestedImage,
    keys: dict[str, str],
    place: Filing,
    queued: bool = False,
    priority: Priority = Priority.ROUTINE,
    source: Scan.Source = Scan.Source.PORTAL,
    reference_label: str = "",
) -> tuple[Scan, bool]:
    """Write the rows of one scan inside the caller's transaction; (scan, whether it is new).

    The same content in the same institution leads to the existing scan, also when two arrive at the same instant.
    ``queued``: whether the caller queues its analysis in the same transaction.
    """
    require(by, Permission.SUBMIT_SCAN, institution)
    try:
        with transaction.atomic():
            study = study_for(institution, place, image.study_date)
            scan = Scan.objects.create(
                institution=institution,
                patient=study.patient,
                study=study,
                sha256=image.sha256,
                size_bytes=len(image.original),
                format=image.format,
                width=image.width,
                height=image.height,
                bits=image.bits,
                frames=image.frames,
                original=keys["original"],
                pixels=keys["pixels"],
                preview=keys["preview"],
                fingerprint=image.fingerprint,
                priority=priority,
                source=source,
                reference_label=reference_label,
                uploaded_by=account_of(by),
                analysis=Analysis.QUEUED if queued else None,
            )
            add_only_image(scan)
    except IntegrityError:
        found = existing(institution, image.sha256)
        if found is None:
            raise
        return found, False
    record(by=by, act="scan_stored", target=scan, institution=institution, source=source, sha256=image.sha256)
    return scan, True


def add_only_image(scan: Scan, *, sop_uid: str = "") -> Image:
    """The row of the image of a scan that consists of one, in the caller's transaction."""
    return Image.objects.create(
        institution_id=scan.institution_id,
        scan=scan,
        index=0,
        sop_uid=sop_uid,
        sha256=scan.sha256,
        size_bytes=scan.size_bytes,
        original=scan.original,
        pixels=scan.pixels,
        preview=scan.preview,
        width=scan.width,
        height=scan.height,
        bits=scan.bits,
    )


def give_reference_label(*, by: Actor, scan: Scan, label: str) -> None:
    """Add the reference label that an imported folder gives to a scan that has none yet.

    Raises
    ------
    InvalidEntry
        The scan already carries a different one.
    """
    if scan.reference_label == label:
        return
    if scan.reference_label:
        raise InvalidEntry(
            "reference_label",
            _("This scan already has the label %(reference_label)s, not %(label)s."),
            {"reference_label": scan.reference_label, "label": label},
        )
    with transaction.atomic():
        require(by, Permission.SUBMIT_SCAN, scan.institution)
        Scan.objects.filter(pk=scan.pk, reference_label="").update(reference_label=label, updated_at=timezone.now())
        record(by=by, act="reference_label_given", target=scan, institution=scan.institution, label=label)


def reject(*, scan_id: uuid.UUID, code: str, sentence: str) -> None:
    """The quality gate found that the scan cannot be read; called inside the transaction that ends its prediction."""
    scan = Scan.objects.select_related("institution").get(pk=scan_id)
    Scan.objects.filter(pk=scan_id, rejected_code="").update(
        rejected_code=code, rejected_reason=sentence, updated_at=timezone.now()
    )
    record(by=None, act="scan_rejected", target=scan, institution=scan.institution, code=code)
