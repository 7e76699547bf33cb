"""One C-STORE: the file goes the way of every upload, and its outcome becomes a status."""

import threading
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import Error

from diagnostics import pipeline
from diagnostics.disk import StorageFull
from diagnostics.errors import Conflict, Denied, DomainError, Invalid, Unavailable
from diagnostics.peers.models import DicomPeer
from diagnostics.scans.arrival import SameInstanceOtherContent
from diagnostics.scans.models import Scan

log = structlog.get_logger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
CONTRADICTS = 0xC001
LONGEST_COMMENT = 64  # PS3.7, annex C.4: ErrorComment is a long string

# The first that fits; the order is that of the tree of errors, from its leaves.
_STATUSES: tuple[tuple[type[DomainError], int], ...] = (
    (SameInstanceOtherContent, DUPLICATE_INSTANCE),
    (Unavailable, OUT_OF_RESOURCES),
    (Denied, NOT_AUTHORISED),
    (Conflict, CONTRADICTS),
    (Invalid, CANNOT_UNDERSTAND),
)

BUSY = "Too many images are being received at the moment. Send this one again later."
FAULT = "Nothing was stored, by a fault of this program; its log says more."
EMPTY = "The data set is empty, or larger than %s MB."


@dataclass(frozen=True)
class Received:
    """The status to answer with, why in words where nothing was stored, and the scan where there is one."""

    status: int
    sentence: str = ""
    scan: Scan | None = None

    @property
    def comment(self) -> str:
        """The sentence as the answer can carry it."""
        return self.sentence.encode("ascii", "replace").decode()[:LONGEST_COMMENT]


class Room:
    """How many instances are worked on at once; who finds no room in time is told to come again."""

    def __init__(self, places: int, seconds: float) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._seconds = seconds

    def take(self, peer: DicomPeer, data: bytes) -> Received:
        """Store a file in the name of ``peer``; nothing is raised."""
        if not self._places.acquire(timeout=self._seconds):
            log.warning("dicom_refused", peer=str(peer.pk), status=f"{OUT_OF_RESOURCES:04X}", sentence=BUSY)
            return Received(OUT_OF_RESOURCES, BUSY)
        try:
            return _stored(peer, data)
        finally:
            self._places.release()


def _stored(peer: DicomPeer, data: bytes) -> Received:
    try:
        submitted = pipeline.submit_scan(
            by=peer.account, institution=peer.institution, data=data, patient=None, source=Scan.Source.DIMSE
        )
    except DomainError as refusal:
        status = next(status for kind, status in _STATUSES if isinstance(refusal, kind))
        tell = log.error if isinstance(refusal, StorageFull) else log.warning
        tell("dicom_refused", peer=str(peer.pk), status=f"{status:04X}", code=refusal.code, sentence=refusal.sentence)
        return Received(status, refusal.sentence)
    except Error:
        # The database is away or overloaded: the sender keeps the image and tries again.
        log.exception("dicom_not_stored", peer=str(peer.pk))
        return Received(OUT_OF_RESOURCES, FAULT)
    except Exception:
        # The edge of the process: one image must not end the association of the others.
        log.exception("dicom_not_stored", peer=str(peer.pk))
        return Received(PROCESSING_FAILURE, FAULT)
    return Received(SUCCESS, scan=submitted.scan if isinstance(submitted, pipeline.Submitted) else None)


def too_large_or_empty(peer: DicomPeer) -> Received:
    """The answer to a data set of which nothing was kept."""
    sentence = EMPTY % (settings.MAX_UPLOAD_BYTES // 1024**2)
    log.warning("dicom_refused", peer=str(peer.pk), status=f"{CANNOT_UNDERSTAND:04X}", sentence=sentence)
    return Received(CANNOT_UNDERSTAND, sentence)
