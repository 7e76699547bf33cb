"""One association: who calls, what they may, and what their leaving says of the series that they sent."""

from uuid import UUID

import structlog
from django.conf import settings
from django.db import close_old_connections, connections, transaction
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from diagnostics import pipeline
from diagnostics.peers import services as peers
from diagnostics.peers import wanted
from diagnostics.peers.models import DicomPeer
from diagnostics.scans.models import Scan

from .receiving import NOT_AUTHORISED, SUCCESS, Received, Room, too_large_or_empty

log = structlog.get_logger(__name__)

# What asks whether we live: it is no peer, and a refusal is its answer.
PROBE = "OVERREAD-PROBE"
# A-ASSOCIATE-RJ (PS3.8, section 9.3.4): result, source, reason.
UNKNOWN_CALLER = (0x01, 0x01, 0x03)
TRY_LATER = (0x02, 0x01, 0x01)
NO_LONGER = "This peer may not send here any more."


class Session:
    """What is known of one association, for as long as it lasts."""

    def __init__(self, association: Association, room: Room) -> None:
        self.association = association
        self.room = room
        self.ae_title = ""
        self.sent: dict[UUID, Scan] = {}
        self.counts = {"stored": 0, "refused": 0}
        association.bind(evt.EVT_REQUESTED, self.requested)
        association.bind(evt.EVT_C_ECHO, lambda event: SUCCESS)
        association.bind(evt.EVT_C_STORE, self.store)
        run = association.run

        def to_its_end() -> None:
            try:
                run()
            finally:
                self.over()

        association.run = to_its_end

    @property
    def address(self) -> str:
        """Where the caller is."""
        return str(self.association.requestor.address)

    def requested(self, event: evt.Event) -> None:
        """Refuse whoever is no peer. Nothing may be raised: what is raised here would let them in."""
        asked = self.association.requestor.primitive
        self.ae_title = asked.calling_ae_title if isinstance(asked, A_ASSOCIATE) else ""
        try:
            peer = self.peer()
            if peer is not None:
                peers.heard_of(peer)
        except Exception:
            # The edge of the process: without the table of peers nobody is let in, and the caller tries again.
            log.exception("dicom_peers_not_known")
            self.reject(TRY_LATER)
            return
        if peer is None:
            tell = log.debug if self.ae_title == PROBE else log.warning
            tell(
                "dicom_association_refused",
                ae_title=self.ae_title,
                address=self.address,
                sentence="No active DICOM peer has this AE title and this address. An administrator can add it.",
            )
            self.reject(UNKNOWN_CALLER)

    def reject(self, answer: tuple[int, int, int]) -> None:
        """Refuse the association."""
        self.association.acse.send_reject(*answer)
        self.association.kill()

    def peer(self) -> DicomPeer | None:
        """The caller, as the table of peers has it now."""
        found = peers.peer_called(self.ae_title, self.address)
        return found if found is not None and found.may_send else None

    def store(self, event: evt.Event) -> int | Dataset:
        """Store one instance; answered with success only once its row is committed."""
        close_old_connections()  # a database that was restarted meanwhile costs one image at most
        # Asked for each: what an administrator takes away ends at once.
        peer = self.peer()
        if peer is None:
            received = Received(NOT_AUTHORISED, NO_LONGER)
        elif not event.request.DataSet or not event.request.DataSet.getbuffer().nbytes:
            received = too_large_or_empty(peer)
        else:
            received = self.room.take(peer, event.encoded_dataset())
        self.counts["stored" if received.status == SUCCESS else "refused"] += 1
        if peer is not None and received.scan is not None:
            self.note_prior(peer, received.scan, event.request)
        if received.scan is not None and received.scan.series_id is not None:
            self.sent[received.scan.series_id] = received.scan
        if received.status == SUCCESS:
            return SUCCESS
        answer = Dataset()
        answer.Status, answer.ErrorComment = received.status, received.comment
        return answer

    def note_prior(self, peer: DicomPeer, scan: Scan, request: C_STORE) -> None:
        """An image that the peer sends because we requested it belongs to a prior. Before its series can close."""
        named = request.MoveOriginatorApplicationEntityTitle
        if named and named.strip() == settings.DICOM_AE_TITLE and request.MoveOriginatorMessageID:
            search = wanted.search_of(peer, int(request.MoveOriginatorMessageID))
            if search is not None:
                wanted.came_as_prior(search, scan.study)

    def over(self) -> None:
        """The association has ended. One that was released says that all is here; a broken one does not."""
        try:
            if self.association.is_released and self.sent:
                peer = self.peer()
                if peer is not None:
                    with transaction.atomic():
                        pipeline.close_series(
                            by=peer.account,
                            scans_of=list(self.sent.values()),
                            after_seconds=settings.DICOM_LINGER_SECONDS,
                        )
            if not self.association.is_rejected and self.ae_title:
                how = "released" if self.association.is_released else "broken off"
                log.info("dicom_association_over", ae_title=self.ae_title, how=how, **self.counts)
        except Exception:
            # The edge of the thread: the series close by themselves when nothing comes for a while.
            log.exception("dicom_series_not_closed", ae_title=self.ae_title)
        finally:
            connections.close_all()
