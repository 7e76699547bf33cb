"""The web server's worker: gunicorn's threads, which get to see a request only when all of it has arrived.

In gunicorn's own worker a thread waits for its client, so a few clients that send slowly hold up everybody. Here one
loop gathers what comes, on as many connections as there is room for, and a thread answers what is whole. Slow ones are
sent away. Where there is no room for one more connection, the one that has kept its place longest without asking
anything makes some; where bodies take too much of the disk, the one that has held much of it longest without going on.
"""

import contextlib
import errno
import json
import socket
import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any

from django.conf import settings
from gunicorn import http, util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from diagnostics.disk import FULL_OF_FILES
from portal.start.arrival import HEAD_SECONDS, Arrival, Refused
from portal.ui.headers import OF_A_REFUSAL

SEND_SECONDS = 30.0
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024
AT_ONCE = 65536
HELD_AT_ONCE = 4  # times the largest request
STALLED_SECONDS = 2.0
TOO_MUCH = "Too much is being sent at once. Try again in a minute."
NO_SPACE = "The disk of this installation is full: nothing of this request was kept. Tell your administrator."


def refusal(status: int, sentence: str, *, of_the_api: bool = False) -> bytes:
    """A whole answer that says why, for where Django has not been asked yet."""
    phrase = HTTPStatus(status).phrase
    if of_the_api:
        code = {413: "too_large", 507: "storage_full"}.get(status, "invalid" if status < 500 else "server_error")
        kind = "application/problem+json"
        body = json.dumps(
            {
                "type": f"urn:overread:problem:{code}",
                "title": phrase,
                "status": status,
                "code": code,
                "detail": sentence,
            }
        )
    else:
        kind, body = "text/plain; charset=utf-8", sentence + "\n"
    content = body.encode()
    headers = {**OF_A_REFUSAL, "Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode("latin-1") + content


def _write_error(sock: socket.socket, status: int, reason: str, _message: str) -> None:
    """In gunicorn's place: without its name, and without repeating what was sent."""
    util.write_nonblock(sock, refusal(status, f"{reason}."))


def _headers_without_server(given: Any, response: Any) -> list[str]:
    return [line for line in given(response) if not line.startswith("Server:")]


# The only doors that gunicorn leaves for these two.
util.write_error = _write_error
_DEFAULT_HEADERS = wsgi.Response.default_headers
wsgi.Response.default_headers = lambda response: _headers_without_server(_DEFAULT_HEADERS, response)


class Source:
    """What a parser reads from instead of the socket: one whole request, then nothing."""

    def __init__(self) -> None:
        self.arrival: Arrival | None = None
        self._head = b""

    def feed(self, arrival: Arrival) -> None:
        self.arrival, self._head = arrival, bytes(arrival.head)
        arrival.body.seek(0)

    def recv(self, size: int) -> bytes:
        if self._head:
            found, self._head = self._head[:size], self._head[size:]
            return found
        return self.arrival.body.read(size) if self.arrival is not None else b""


class GatheringWorker(ThreadWorker):
    """See the head of this file."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.arrivals: dict[TConn, Arrival] = {}
        self.answering: dict[TConn, Arrival] = {}  # whole, being answered or waiting for a thread
        self.leaving: dict[TConn, float] = {}
        self.limit = settings.MAX_REQUEST_BYTES

    def accept(self, listener: Any) -> None:
        if self.cfg.is_ssl:
            super().accept(listener)
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections - self.cfg.threads:
            self._make_room()
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.source = Source()
        conn.parser = http.get_parser(self.cfg, conn.source, address)
        conn.initialized = conn.data_ready = True
        self._await(conn, HEAD_SECONDS)

    def _await(self, conn: TConn, patience: float, begun: bytes = b"") -> None:
        """Gather the next request of a connection, of which some may have come already."""
        conn.sock.setblocking(False)
        self.arrivals[conn] = Arrival(limit=self.limit, now=time.monotonic(), patience=patience)
        self.poller.register(conn.sock, EVENT_READ, partial(self._readable, conn))
        if begun:
            self._take(conn, begun)

    def _readable(self, conn: TConn, sock: socket.socket) -> None:
        if conn not in self.arrivals:
            return  # sent away by another one's event of the same round
        try:
            data = sock.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._take(conn, data)
        else:
            self._forget(conn)
            self._close(conn)

    def _take(self, conn: TConn, data: bytes) -> None:
        arrival = self.arrivals[conn]
        try:
            arrival.take(data, time.monotonic())
        except Refused as refused:
            self._refuse(conn, refused.status, str(refused))
        except OSError as error:
            full = error.errno in FULL_OF_FILES
            self._refuse(conn, 507 if full else 503, NO_SPACE if full else "The request could not be taken in.")
        else:
            if arrival.on_disk:
                self._make_space()
            if conn not in self.arrivals:
                return
            if arrival.complete:
                self._forget(conn, close=False)
                self.answering[conn] = arrival
                conn.source.feed(arrival)
                self.enqueue_req(conn)
            elif arrival.asks_first:
                arrival.asks_first = False
                with contextlib.suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _forget(self, conn: TConn, *, close: bool = True) -> None:
        arrival = self.arrivals.pop(conn)
        self.poller.unregister(conn.sock)
        if close:
            arrival.close()

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _refuse(self, conn: TConn, status: int, sentence: str) -> None:
        root = (settings.FORCE_SCRIPT_NAME or "") + "/api/"
        of_the_api = self.arrivals[conn].head.partition(b" ")[2].startswith(root.encode())
        self._forget(conn)
        with contextlib.suppress(OSError):
            conn.sock.send(refusal(status, sentence, of_the_api=of_the_api))
        self._leave(conn)

    def _leave(self, conn: TConn) -> None:
        """Say goodbye, and hear the other side out for a moment: closed at once it might never see the answer."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):
            self._close(conn)
        else:
            self.leaving[conn] = time.monotonic() + LINGER_SECONDS

    def _drain(self, conn: TConn, sock: socket.socket) -> None:
        if conn not in self.leaving:
            return
        try:
            more = sock.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            more = b""
        conn.drained = getattr(conn, "drained", 0) + len(more)
        if not more or conn.drained > LINGER_BYTES:
            self._gone(conn)

    def _gone(self, conn: TConn) -> None:
        del self.leaving[conn]
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self._close(conn)

    def _make_room(self) -> None:
        """Let go of the connection that has waited longest, rather one that has asked nothing yet."""
        if self.leaving:
            self._gone(next(iter(self.leaving)))
        elif self.arrivals:
            waiting = (conn for conn, arrival in self.arrivals.items() if arrival.in_head)
            conn = next(waiting, next(iter(self.arrivals)))
            self._forget(conn)
            self._close(conn)

    def _make_space(self) -> None:
        """Send hogs away until the bodies fit again, those that are whole counted with the others."""
        now = time.monotonic()

        def hogging(conn: TConn) -> tuple[bool, float]:
            arrival = self.arrivals[conn]
            idle = now - arrival.progressed
            return idle > STALLED_SECONDS, arrival.on_disk * (idle + 0.1)

        held = sum(each.on_disk for kept in (self.arrivals, self.answering) for each in kept.values())
        while held > HELD_AT_ONCE * self.limit:
            unfinished = [conn for conn, each in self.arrivals.items() if each.on_disk and not each.complete]
            if not unfinished:
                break
            hog = max(unfinished, key=hogging)
            held -= self.arrivals[hog].on_disk
            self._refuse(hog, 503, TOO_MUCH)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        # A client that does not read its answer holds a thread for so long and no longer.
        conn.sock.settimeout(SEND_SECONDS)
        return super().handle_request(req, conn)

    def finish_request(self, conn: TConn, future: Future[Any]) -> None:
        if self.cfg.is_ssl:
            super().finish_request(conn, future)
            return
        kept = not future.cancelled() and future.exception() is None and bool(future.result())
        arrival = self.answering.pop(conn)
        arrival.close()
        # The parser saw one whole request: bytes that it has left belong to nothing.
        if kept and not conn.parser.unreader.buf.getvalue():
            patience = self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER)
            self._await(conn, patience, arrival.rest)
        else:
            self._leave(conn)

    def murder_pending(self) -> None:
        """Called each second: send the slow ones away."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, arrival in self.arrivals.items() if arrival.deadline < now]:
            if self.arrivals[conn].head:
                self._refuse(conn, 408, "The request came too slowly.")
            else:
                self._forget(conn)
                self._close(conn)
        for conn in [conn for conn, until in self.leaving.items() if until < now]:
            self._gone(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for arrival in self.arrivals.values():
            if not arrival.head:
                arrival.deadline = min(arrival.deadline, deadline)
