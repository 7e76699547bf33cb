"""Images of a series arrive one by one, in any order and more than once; each finds the stack that it belongs to.

Every file has its own short transaction. The row of the series is the lock: two images of one series are filed one
after the other, so both find the stack that the first of them has made. A stack is put in order when its series closes
(:mod:`.ordering`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.errors import Conflict
from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.instance import Instance

from .access import Permission, require
from .filing import Filing, study_for
from .instances import facts_of
from .intake import IngestedImage
from .models import Analysis, Arrival, Institution, Priority, Scan
from .series import Image, QuarantinedFile, Series
from .stacks import parted, stack_among


class SameInstanceOtherContent(Conflict):
    """A file names an instance that is here with other content; it is kept apart until a person has looked at it."""

    code = "same_uid_other_content"
    message = _(
        "Another file with the same SOP Instance UID and other content is already here. This file was put into "
        "quarantine; a person must decide which of the two is right."
    )


class SeriesElsewhere(Conflict):
    """The series of a file belongs to another study."""

    code = "series_of_another_study"
    message = _("The series of this file already belongs to another study. Check the UIDs that the sender assigns.")


@dataclass(frozen=True)
class Arrived:
    """The scan that an image has joined, and whether the image is new."""

    scan: Scan
    created: bool


def belongs_to_a_series(image: IngestedImage) -> bool:
    """Whether other images may follow that this one is to be read with."""
    said = image.instance
    return said is not None and None not in (said.study_uid, said.series_uid, said.sop_uid)


def here_already(institution: Institution, instance: Instance | None) -> Image | None:
    """The image whose SOP Instance UID a file names, if it is here."""
    if instance is None or instance.sop_uid is None:
        return None
    found = Image.objects.filter(institution=institution, sop_uid=instance.sop_uid)
    return found.select_related("scan", "scan__study", "scan__patient").order_by("frame").first()


def refuse_other_content(*, by: Actor, institution: Institution, image: IngestedImage, twin: Image) -> None:
    """Refuse a file that names the instance of ``twin`` unless it shows the same; it is then kept in quarantine.

    An archive may send an instance again with other bytes (another transfer syntax, a corrected header): what counts
    is its pixels.

    Raises
    ------
    SameInstanceOtherContent
    """
    with default_storage.open(twin.pixels) as file:
        if file.read() == image.pixels:
            return
    key = f"{institution.pk}/quarantine/{image.sha256}"
    default_storage.save(key, ContentFile(image.original))
    quarantine(by=by, institution=institution, image=image, key=key)
    raise SameInstanceOtherContent


def quarantine(*, by: Actor, institution: Institution, image: IngestedImage, key: str) -> QuarantinedFile:
    """Keep a file apart that contradicts an instance which is here. Twice is once."""
    assert image.instance is not None
    with transaction.atomic():
        row, made = QuarantinedFile.objects.get_or_create(
            institution=institution,
            sha256=image.sha256,
            defaults={
                "sop_uid": image.instance.sop_uid or "",
                "size_bytes": len(image.original),
                "original": key,
                "uploaded_by": account_of(by),
            },
        )
        if made:
            record(by=by, act="file_quarantined", target=row, institution=institution, sha256=image.sha256)
    return row


def join(
    *,
    by: Actor,
    institution: Institution,
    image: IngestedImage,
    keys: dict[str, str],
    place: Filing,
    priority: Priority = Priority.ROUTINE,
    source: Scan.Source = Scan.Source.PORTAL,
) -> Arrived:
    """File each frame of a DICOM file in the stack that it belongs to, in one transaction.

    ``scan`` of the answer is that of the first frame.

    Raises
    ------
    NotAllowed, StudyElsewhere, SeriesElsewhere
    """
    require(by, Permission.SUBMIT_SCAN, institution)
    instance = image.instance
    assert instance is not None
    try:
        with transaction.atomic():
            series = _series(institution, instance, place, image)
            scans = list(series.scans.order_by("created_at", "id"))
            joined: list[Scan] = []
            for frames in parted(instance):
                scan = stack_among(scans, instance, frames[0])
                if scan is None:
                    scan = _new_stack(by, series, image, keys, instance, frames, priority, source)
                    scans.append(scan)
                elif scan.arrival == Arrival.ARRIVING:
                    # Not counted anew: an image must cost the same however many are here. The series is locked.
                    Scan.objects.filter(pk=scan.pk).update(
                        image_count=F("image_count") + len(frames), updated_at=timezone.now()
                    )
                _add_images(scan, image, keys, instance, frames)
                joined.append(scan)
    except IntegrityError:
        # The same file at the same instant.
        twin = here_already(institution, instance)
        if twin is None:
            raise
        return Arrived(twin.scan, False)
    joined[0].refresh_from_db()
    return Arrived(joined[0], True)


def _series(institution: Institution, instance: Instance, place: Filing, image: IngestedImage) -> Series:
    """The series of a file, locked; it goes on waiting for what else may come."""
    study = study_for(institution, place, image.study_date, uid=instance.study_uid or "")
    now = timezone.now()
    series, _made = Series.objects.get_or_create(
        institution=institution,
        uid=instance.series_uid,
        defaults={
            "study": study,
            "number": instance.series_number if (instance.series_number or 0) > 0 else None,
            "modality": instance.modality[:16],
            "sequence": instance.sequence,
            "plane": instance.plane,
            "frame_of_reference": instance.frame_of_reference or "",
            "close_at": now,
        },
    )
    series = Series.objects.select_for_update(no_key=True).get(pk=series.pk)
    if series.study_id != study.pk:
        raise SeriesElsewhere
    series.arrival = Arrival.ARRIVING
    # A sender that never pauses must not keep a patient's images from their reader for ever: what is here by then is
    # closed, and what comes later is another revision.
    began = max(series.created_at, series.closed_at or series.created_at)
    latest = began + timedelta(seconds=settings.SERIES_LONGEST_SECONDS)
    series.close_at = min(now + timedelta(seconds=settings.SERIES_QUIET_SECONDS), latest)
    series.save(update_fields=["arrival", "close_at"])
    return series


def _new_stack(
    by: Actor,
    series: Series,
    image: IngestedImage,
    keys: dict[str, str],
    instance: Instance,
    frames: Sequence[Frame],
    priority: Priority,
    source: Scan.Source,
) -> Scan:
    scan = Scan.objects.create(
        institution=series.institution,
        patient=series.study.patient,
        study=series.study,
        series=series,
        arrival=Arrival.ARRIVING,
        analysis=Analysis.NONE if _not_analysed(instance) else Analysis.ARRIVING,
        not_analysed=_not_analysed(instance),
        geometry=facts_of(instance, frames[0]),
        image_count=len(frames),
        sha256=image.sha256,
        size_bytes=len(image.original),
        format=image.format,
        width=image.width,
        height=image.height,
        bits=image.bits,
        frames=image.frames,
        fingerprint=image.fingerprint,
        priority=priority,
        source=source,
        uploaded_by=account_of(by),
        **keys,
    )
    record(by=by, act="scan_stored", target=scan, institution=scan.institution, source=source, sha256=image.sha256)
    return scan


def _not_analysed(instance: Instance) -> str:
    """Why no model is asked; a mosaic that cannot be parted is the quality gate's to reject, as several heads."""
    return "" if instance.not_predicted == "mosaic_without_header" else instance.not_predicted


def _add_images(
    scan: Scan, image: IngestedImage, keys: dict[str, str], instance: Instance, frames: Sequence[Frame]
) -> None:
    closed_before = scan.arrival != Arrival.ARRIVING
    Image.objects.bulk_create(
        Image(
            institution_id=scan.institution_id,
            scan=scan,
            revision=scan.revision + closed_before,
            sop_uid=instance.sop_uid or "",
            frame=frame.index,
            instance_number=instance.instance_number,
            position=frame.along,
            facts=facts_of(instance, frame),
            sha256=image.sha256,
            size_bytes=len(image.original),
            original=keys["original"],
            # Only the first frame was decoded at the door.
            pixels=keys["pixels"] if frame.index == 0 else "",
            preview=keys["preview"] if frame.index == 0 else "",
            width=image.width,
            height=image.height,
            bits=image.bits,
        )
        for frame in frames
    )


def all_are_here(series: Series, *, after: timedelta = timedelta(0)) -> None:
    """Let the series close at the next opportunity ``after`` this time, in the caller's transaction."""
    soon = timezone.now() + after
    Series.objects.filter(pk=series.pk, arrival=Arrival.ARRIVING, close_at__gt=soon).update(close_at=soon)
