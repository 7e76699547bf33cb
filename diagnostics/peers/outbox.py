"""What is to be sent to peers: queued here, sent by :mod:`.sending`. Nothing of DICOM is loaded."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.errors import Conflict, Invalid
from diagnostics.scans.access import Permission, require
from diagnostics.scans.models import Study
from diagnostics.scans.series import Image, KeptInstance

from .jobs import SENDINGS
from .models import DicomPeer, Sending


class NotSendable(Invalid):
    """Nothing can be sent there, or nothing of that."""

    code = "not_sendable"


class SentByNobody(Conflict):
    """A control case must not leave the installation."""

    code = "control_not_sent"
    message = _("This study belongs to a control case. It is not sent anywhere.")


def send_study(*, by: Actor, study: Study, peer: DicomPeer) -> int:
    """Queue every stored DICOM file of a study for a peer; how many. What was sent before is sent again.

    Raises
    ------
    NotAllowed, NotSendable, SentByNobody
    """
    images = Image.objects.filter(scan__study=study, scan__format="dicom").values_list("original", "sha256")
    kept = KeptInstance.objects.filter(study=study).values_list("original", "sha256")
    files = sorted({*images, *kept})
    if not files:
        raise NotSendable(_("This study has no DICOM files. Only they can be sent."))
    with transaction.atomic():
        for original, sha256 in files:
            send_file(by=by, study=study, peer=peer, original=original, sha256=sha256)
        record(by=by, act="study_sent", target=study, institution=study.institution, files=len(files))
    return len(files)


def send_file(*, by: Actor | None, study: Study, peer: DicomPeer, original: str, sha256: str) -> Sending:
    """Queue one file for a peer, in the caller's transaction. ``by=None``: the system itself sends it.

    Parameters
    ----------
    original : str
        Storage key of a DICOM file: an image, or anything that was made of one (a report, a segmentation).

    Raises
    ------
    NotAllowed, NotSendable, SentByNobody
    """
    if by is not None:
        require(by, Permission.ADMINISTER, study.institution)
    if peer.institution_id != study.institution_id or not peer.active or not peer.host:
        raise NotSendable(_("This peer accepts nothing: it has no host, is inactive, or belongs elsewhere."))
    if study.patient.is_synthetic:
        raise SentByNobody
    row, made = Sending.objects.get_or_create(
        peer=peer,
        sha256=sha256,
        defaults={
            "institution": study.institution,
            "study": study,
            "original": original,
            "requested_by": account_of(by),
        },
    )
    if not made:
        SENDINGS.try_again(Sending.objects.filter(pk=row.pk))
    return row


def send_again(*, by: Actor, row: Sending) -> None:
    """Try a row again that was given up or sent.

    Raises
    ------
    NotAllowed
    """
    require(by, Permission.ADMINISTER, row.institution)
    with transaction.atomic():
        SENDINGS.try_again(Sending.objects.filter(pk=row.pk))
        record(by=by, act="sent_again", target=row, institution=row.institution)


def sendings_for(rows: QuerySet[Sending]) -> QuerySet[Sending]:
    """The rows with what their page shows."""
    return rows.select_related("peer", "institution", "study", "requested_by")
