"""The DICOM listener: accepts associations of known peers, and takes in what they store."""

import threading
import time

import structlog
from django.conf import settings
from django.db import Error, close_old_connections, connections
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from diagnostics.peers.models import Network, lies_in
from diagnostics.peers.services import addresses_of_peers

from .bounds import BoundedHandler, BoundedServer
from .receiving import Room
from .sessions import Session

log = structlog.get_logger(__name__)

MAXIMUM_PDU = 128 * 1024
KNOWN_SECONDS = 5.0
PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
COMPRESSED = [
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
]
IMAGES = (
    MRImageStorage,
    EnhancedMRImageStorage,
    EnhancedMRColorImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
KEPT = (
    BasicTextSRStorage,
    EnhancedSRStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    EncapsulatedPDFStorage,
)


def _known_by_a_session(association: Association, room: Room) -> None:
    Session(association, room)


class Known:
    """The addresses of peers, as they were some seconds ago: asked for at each connection, also in a flood of them."""

    def __init__(self) -> None:
        self._asked_at = 0.0
        self._networks: list[Network] = []

    def has(self, address: str) -> bool:
        """Whether a peer may come from there."""
        if time.monotonic() - self._asked_at > KNOWN_SECONDS:
            try:
                close_old_connections()
                self._networks = addresses_of_peers()
            except Error:
                log.exception("dicom_peers_not_known")  # those that were known before are known still
            self._asked_at = time.monotonic()
        return lies_in(address, self._networks)


class Listener:
    """The server of one process: ``start`` it, and ``stop`` it so that images in progress are finished."""

    def __init__(self, address: str, port: int) -> None:
        entity = AE(settings.DICOM_AE_TITLE)
        entity.require_called_aet = True
        entity.maximum_associations = settings.DICOM_ASSOCIATIONS
        entity.maximum_pdu_size = MAXIMUM_PDU
        entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = settings.DICOM_TIMEOUT_SECONDS
        entity.add_supported_context(Verification, PLAIN[:2])
        for kind in IMAGES:
            entity.add_supported_context(kind, PLAIN + COMPRESSED)
        for kind in KEPT:
            entity.add_supported_context(kind, PLAIN)
        room = Room(settings.DICOM_AT_ONCE, settings.DICOM_WAIT_SECONDS)
        server = entity.make_server((address, port), server_class=BoundedServer, request_handler=BoundedHandler)
        server.seconds = settings.DICOM_TIMEOUT_SECONDS
        server.largest = settings.MAX_UPLOAD_BYTES
        server.is_known = Known().has
        server.prepare = lambda association: _known_by_a_session(association, room)
        entity._servers.append(server)
        self.entity, self.server = entity, server
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        try:
            self.server.serve_forever(poll_interval=0.2)
        finally:
            # Who may call was asked of the database from this thread.
            connections.close_all()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.server_address[1])

    def start(self) -> None:
        """Accept associations from now on."""
        self._thread.start()
        log.info("dicom_listener_started", port=self.port, ae_title=settings.DICOM_AE_TITLE)

    def stop(self, seconds: float = 8.0) -> None:
        """Accept none any more; let senders end for so long, then break off what is left. Nothing stored is lost."""
        if self.server in self.entity._servers:
            self.server.shutdown()
        until = time.monotonic() + seconds
        while self.entity.active_associations and time.monotonic() < until:
            time.sleep(0.05)
        for association in self.entity.active_associations:
            association.abort(block=False)
        log.info("dicom_listener_stopped")
