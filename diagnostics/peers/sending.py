"""Send stored DICOM files to a peer: one row a file, one association for those that are due for the same peer."""

import io
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AssociationSocket

from .jobs import SENDINGS
from .models import DicomPeer, Sending

# The bytes of a file leave as they are; the library takes this from the whole process.
_config.STORE_SEND_CHUNKED_DATASET = True
log = structlog.get_logger(__name__)

FILES_AT_ONCE = 50  # in one association
MOST_TURNS = 20  # associations of one task; the reconciler asks for the rest
SUCCESS, DUPLICATE_INSTANCE = 0x0000, 0x0111
WARNINGS = range(0xB000, 0xC000)  # stored, with something changed
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


NOTHING_ACCEPTED = "The peer does not accept files of this kind in a transfer syntax in which it can be sent."


class NotAFile(ValueError):
    """What is stored cannot be sent, now or later."""


def send_due() -> int:
    """Send what is due; how many files were. A peer that is away keeps no other waiting."""
    SENDINGS.give_up()
    sent = 0
    tried: set[uuid.UUID] = set()
    for _turn in range(MOST_TURNS):
        due = SENDINGS.due().exclude(peer__in=tried)
        peer = due.values_list("peer", flat=True).first()
        if peer is None:
            break
        tried.add(peer)
        while taken := SENDINGS.claim(due.filter(peer=peer).values_list("pk", flat=True)[:FILES_AT_ONCE]):
            now = _send(*taken)
            sent += now
            if now < len(taken[1]):
                break
    return sent


def _send(fence: uuid.UUID, rows: list[Sending]) -> int:
    """Send these, all for one peer, in one association; how many were taken."""
    peer = DicomPeer.objects.get(pk=rows[0].peer_id)
    if not peer.active or not peer.host:
        return _none(fence, rows, "The peer is inactive, or has no host.")
    files: dict[uuid.UUID, bytes] = {}
    contexts: dict[tuple[str, str], PresentationContext] = {}
    sendable = []
    for row in rows:
        try:
            data, kind, syntax = _read(row)
        except (NotAFile, OSError) as error:
            why = f"The stored file cannot be sent: {error}"
            SENDINGS.failed(fence, row, why, for_good=isinstance(error, NotAFile))
            continue
        files[row.pk] = data
        sendable.append(row)
        for each in (syntax, *PLAIN):
            contexts[kind, each] = build_context(kind, each)
    if not sendable:
        return 0
    association = associate(peer, list(contexts.values()))
    if not association.is_established:
        return _none(fence, sendable, why_not(association))
    taken = 0
    try:
        for row in sendable:
            if not SENDINGS.leases.renew(fence):
                break
            why = _sent(association, files[row.pk]) if association.is_established else "The association broke off."
            if why:
                SENDINGS.failed(fence, row, why)
                log.warning("dicom_not_sent", sending=str(row.pk), peer=str(peer.pk), sentence=why)
            else:
                taken += SENDINGS.done(fence, row)
    finally:
        if association.is_established:
            association.release()
    return taken


def _none(fence: uuid.UUID, rows: list[Sending], why: str) -> int:
    log.warning("dicom_not_sent", peer=str(rows[0].peer_id), files=len(rows), sentence=why)
    for row in rows:
        SENDINGS.failed(fence, row, why)
    return 0


def _read(row: Sending) -> tuple[bytes, str, str]:
    """The file, its SOP class and its transfer syntax.

    Raises
    ------
    NotAFile
    """
    try:
        with default_storage.open(row.original) as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise NotAFile("it is missing in the storage.") from error
    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=["SOPClassUID"])
        meta = header.file_meta
        return data, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError) as error:
        raise NotAFile("it is no DICOM file with a meta header.") from error


class _ClosingSocket(AssociationSocket):
    """A connection that could not be made is closed at once; the library leaves that to the garbage collector."""

    def _shutdown_socket(self) -> None:
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()


class _Entity(AE):
    def _create_socket(self, *args: Any, **kwargs: Any) -> AssociationSocket:
        made: AssociationSocket = super()._create_socket(*args, **kwargs)
        made.__class__ = _ClosingSocket
        return made


def associate(peer: DicomPeer, contexts: list[PresentationContext]) -> Association:
    """Ask the peer for an association; look whether it ``is_established``."""
    entity = _Entity(settings.DICOM_AE_TITLE)
    entity.connection_timeout = 10
    entity.acse_timeout = entity.network_timeout = settings.DICOM_TIMEOUT_SECONDS
    entity.dimse_timeout = 2 * settings.DICOM_TIMEOUT_SECONDS
    return entity.associate(peer.host, peer.port, contexts=contexts[:128], ae_title=peer.ae_title)


def why_not(association: Association) -> str:
    """Why there is no association, as a sentence."""
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"The peer refused the association: {getattr(answer, 'reason_str', '') or 'it gave no reason'}."
    if association.rejected_contexts:
        return NOTHING_ACCEPTED
    return "The peer cannot be reached, or did not answer."


def _sent(association: Association, data: bytes) -> str:
    """Send one file; empty where the peer has taken it, else why not."""
    try:
        answer = _store(association, data)
    except ValueError:
        return NOTHING_ACCEPTED
    except (RuntimeError, AttributeError, OSError) as error:
        return f"The file could not be sent ({type(error).__name__})."
    status = answer.get("Status")
    if status is None:
        return "The peer did not answer in time, or broke off."
    if status in (SUCCESS, DUPLICATE_INSTANCE) or status in WARNINGS:
        return ""
    comment = str(answer.get("ErrorComment", "")).strip()
    return f"The peer refused the file with status {status:04X}. {comment}".strip()


def _store(association: Association, data: bytes) -> Dataset:
    """As it is where the peer accepts its transfer syntax; else in another uncompressed one."""
    try:
        with _file(data) as path:
            return association.send_c_store(path)
    except ValueError:
        return association.send_c_store(dcmread(io.BytesIO(data)))


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        yield file.name
