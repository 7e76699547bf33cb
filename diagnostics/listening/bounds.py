"""Limits on what a sender may do to us before, and while, it says what it wants.

pynetdicom reads as many bytes as a length field names, waits for them for ever, and queues every message that comes.
"""

import io
import socket
import time
from collections.abc import Callable
from typing import cast

import structlog
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

log = structlog.get_logger(__name__)

# A request for an association lists what is proposed and may be larger than what we accept of data.
LONGEST_PDU = 256 * 1024
COMMAND_BYTES = 64 * 1024
QUEUED_MESSAGES = 2
PIECE = 64 * 1024
SPARE_CONNECTIONS = 10  # beyond the associations: those that are about to be refused politely
MOST_STRANGERS = 5  # connections from addresses that no peer has: they must not take the places of those that have one

__all__ = ["MODE_ACCEPTOR", "BoundedHandler", "BoundedServer"]


class BoundedSocket(AssociationSocket):
    """A connection whose PDUs have a largest size and a time in which each must be complete."""

    seconds: float = 30.0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes; fewer where the sender has gone.

        Raises
        ------
        OSError
            They are too many, or did not come in time.
        """
        if nr_bytes > LONGEST_PDU:
            log.warning("dicom_pdu_refused", bytes=nr_bytes, most=LONGEST_PDU)
            raise OSError("The length of a PDU is beyond what is accepted.")
        connection = cast(socket.socket, self.socket)
        until = time.monotonic() + self.seconds
        read = bytearray()
        try:
            while len(read) < nr_bytes:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(left)
                piece = connection.recv(min(PIECE, nr_bytes - len(read)))
                if not piece:
                    break
                read += piece
        except TimeoutError:
            log.warning("dicom_pdu_too_slow", bytes=len(read), of=nr_bytes, seconds=self.seconds)
            raise
        finally:
            connection.settimeout(self.seconds)
        return read

    def _shutdown_socket(self) -> None:
        """Close the connection."""
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()  # the library leaves it open where the other side was faster


class BoundedMessages(DIMSEServiceProvider):
    """Messages of at most so many bytes, a few of them waiting; what is beyond of one is dropped, not kept.

    The data set of one that was too large is empty in the end.
    """

    largest: int = 0
    _bytes: int = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add a piece to the message that is being received."""
        while self.msg_queue.qsize() >= QUEUED_MESSAGES and self.assoc.is_alive() and not self.assoc._kill:
            time.sleep(0.005)  # whoever sends ahead of our answers waits in the network
        pieces = primitive.presentation_data_value_list
        if any(len(data) < 2 for _, data in pieces) or not self._fits(pieces):
            self._refuse()
            return
        try:
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001  whatever a stranger's bytes do to the parser ends this association
            log.warning("dicom_message_refused", error=type(error).__name__)
            self._refuse()

    def _fits(self, pieces: list[tuple[int, bytes]]) -> bool:
        """Count the message's bytes, and empty the pieces that are beyond; False where its command is too large."""
        message = self.message
        if message is None:
            self._bytes = 0
        elif message.encoded_command_set.tell() > COMMAND_BYTES:
            return False
        for place, (context, data) in enumerate(pieces):
            if data[0] & 1:
                continue
            self._bytes += len(data) - 1
            if self._bytes > self.largest:
                pieces[place] = (context, data[:1])
                if message is not None:
                    message.data_set = io.BytesIO()
        return True

    def _refuse(self) -> None:
        self.message = None
        self.dul.event_queue.put("Evt19")  # "unrecognised or invalid PDU": the association is aborted


class BoundedServer(ThreadedAssociationServer):
    """Refuses connections beyond what is bearable, and gives each ``prepare``."""

    daemon_threads = True
    request_queue_size = 64
    seconds: float = 30.0
    largest: int = 0
    prepare: Callable[[Association], None]
    is_known: Callable[[str], bool]

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: tuple[str, int] | str
    ) -> None:
        """Take a connection, or close it at once."""
        active = self.ae.active_associations
        strangers = [each for each in active if not self.is_known(str(each.requestor.address))]
        too_strange = len(strangers) >= MOST_STRANGERS and not self.is_known(client_address[0])
        if too_strange or len(active) >= self.ae.maximum_associations + SPARE_CONNECTIONS:
            log.warning("dicom_connection_refused", address=client_address[0], because="too many connections")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)


class BoundedHandler(RequestHandler):
    """Makes associations that keep the limits."""

    def _create_association(self) -> Association:
        server = cast(BoundedServer, self.server)
        made = super()._create_association()
        connection = cast(AssociationSocket, made.dul.socket)
        # Its making has told the association that somebody is there, which may be told only once.
        connection.__class__ = BoundedSocket
        cast(BoundedSocket, connection).seconds = server.seconds
        self.request.settimeout(server.seconds)
        messages = BoundedMessages(made)
        messages.largest = server.largest
        made.dimse = messages
        _let_end_quietly(made)
        server.prepare(made)
        return made


def _let_end_quietly(association: Association) -> None:
    """Bytes in an order that the library's states do not foresee end the association, not with a trace."""
    run = association.dul.run

    def to_its_end() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001  whatever a stranger's bytes do ends this association alone
            log.warning("dicom_message_refused", error=type(error).__name__)
            association._kill = True
            connection = association.dul.socket
            if connection is not None:
                connection._shutdown_socket()
        finally:
            # Nothing can come any more: whoever waits for a first request need not wait for its whole time.
            association.dul.to_user_queue.put(None)

    association.dul.run = to_its_end
