"""Clients that send slowly, endlessly or too much: the web answers everybody else, and says what it refused."""

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from tests.web import Answer, Web

pytestmark = pytest.mark.django_db(transaction=True)
MB = 1024 * 1024
HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
SLOW_BODY = b"POST /accounts/sign-in/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nusername="
SLOW_CHUNK = (
    b"POST /accounts/sign-in/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nusername="
)
# A whole request, and the beginning of the next one in the same breath.
PIPELINED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HALF


@pytest.fixture(scope="module")
def web(django_db_setup) -> Iterator[Web]:  # type: ignore[no-untyped-def]
    with Web(OVERREAD_MAX_UPLOAD_MB="1", OVERREAD_MAX_REQUEST_MB="8") as started:
        for _ in range(12):  # so that each process has answered its first, which takes longer
            assert started.browser().get("/healthz").status == 200
        yield started


@contextlib.contextmanager
def connected(web: Web) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as opened:
        yield opened


def answer_on(opened: socket.socket) -> Answer:
    """What the server says until it closes, or until a whole answer with its length is there."""
    heard = b""
    while True:
        head, end, rest = heard.partition(b"\r\n\r\n")
        if end and b"\r\n\r\n" and head.startswith(b"HTTP/1.1 100"):
            heard = rest
            continue
        lengths = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        ]
        if end and lengths and len(rest) >= lengths[0]:
            break
        try:
            more = opened.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            break
        heard += more
    head, _, rest = heard.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(line.split(":", 1)[0], line.split(":", 1)[1].strip()) for line in lines if ":" in line]
    return Answer(int(first.split()[1]) if first else 0, headers, rest)


def asked(web: Web, request: bytes) -> Answer:
    with connected(web) as opened:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            opened.sendall(request)
        return answer_on(opened)


def slowest_of(web: Web, times: int = 5) -> float:
    took = []
    for _ in range(times):
        began = time.monotonic()
        assert web.browser().get("/healthz").status == 200
        took.append(time.monotonic() - began)
    return max(took)


@pytest.mark.parametrize(
    "begun", [b"", HALF, SLOW_BODY, SLOW_CHUNK, PIPELINED], ids=["silent", "head", "body", "chunk", "next"]
)
@pytest.mark.parametrize("number", [40, 400])
def test_half_sent_requests_hold_up_nobody(web: Web, begun: bytes, number: int) -> None:
    with contextlib.ExitStack() as open_ones:
        for _ in range(number):
            open_ones.enter_context(connected(web)).sendall(begun)
        time.sleep(0.3)
        took = slowest_of(web)
    print(f"{number} half-sent: an answer within {took:.2f} s")
    assert took < 2


def test_more_connections_than_there_is_room_for_hold_up_nobody(web: Web) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4000:
        pytest.skip(f"this system lets a process open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    with contextlib.ExitStack() as open_ones:
        for _ in range(2600):
            with contextlib.suppress(OSError):
                open_ones.enter_context(connected(web)).sendall(HALF)
        took = slowest_of(web)
    print(f"2600 half-sent: an answer within {took:.2f} s")
    assert took < 2


def test_drip_of_a_header_ends_with_408(web: Web) -> None:
    with connected(web) as opened:
        opened.sendall(HALF)
        began = time.monotonic()
        while time.monotonic() - began < 20:
            try:
                opened.sendall(b"a")
            except OSError:
                break
            opened.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                answer = answer_on(opened)
                break
        else:
            pytest.fail("the drip went on")
    assert answer.status == 408
    assert time.monotonic() - began < 15


def form(length: int, *, chunked: bool, path: str = "/accounts/sign-in/", size: int = 65536) -> bytes:
    """A POST with a body of so many bytes, all of it."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    body = b"a" * length
    if not chunked:
        return f"{head}Content-Length: {length}\r\n\r\n".encode() + body
    pieces = [body[at : at + size] for at in range(0, length, size)]
    sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + sent + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("path", ["/accounts/sign-in/", "/api/v1/scans/", "/nowhere/"])
def test_body_over_the_limit_is_413_however_it_comes(web: Web, chunked: bool, path: str) -> None:
    answer = asked(web, form(9 * MB, chunked=chunked, path=path))
    assert answer.status == 413
    assert "8 MB" in answer.text
    if path.startswith("/api/"):
        assert answer.header("Content-Type") == "application/problem+json"
        assert json.loads(answer.body)["code"] == "too_large"


def test_endless_chunks_are_refused_while_they_come(web: Web) -> None:
    """The end never comes: the answer does, after as much as the limit."""
    with connected(web) as opened:
        opened.sendall(b"POST /api/v1/scans/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 64 * MB:
                opened.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                sent += 65536
        assert answer_on(opened).status in (413, 0)
    assert sent < 64 * MB
    assert slowest_of(web) < 2


def test_declared_length_over_the_limit_is_refused_before_it_comes(web: Web) -> None:
    head = (
        b"POST /api/v1/scans/ HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"
    )
    assert asked(web, head).status == 413


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_chunked_body_within_the_limit_is_read_like_any_other(web: Web, size: int) -> None:
    """Refused for what it says (no such token), not for how it came."""
    whole = asked(web, form(3000, chunked=False))
    parts = asked(web, form(3000, chunked=True, size=size))
    assert (parts.status, whole.status) == (403, 403), "the form lacks its token"
    assert parts.status == whole.status


def test_client_that_asks_first_is_told_to_go_on(web: Web) -> None:
    head, _, body = form(2000, chunked=False).partition(b"\r\n\r\n")
    with connected(web) as opened:
        opened.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert opened.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(body)
        assert answer_on(opened).status == 403


def test_requests_one_after_another_on_one_connection_are_all_answered(web: Web) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(web) as opened:
        opened.sendall(one * 3)
        heard = b""
        while heard.count(b"\r\n\r\nok") < 3:
            more = opened.recv(65536)
            assert more, heard
            heard += more
        for byte in one:
            opened.sendall(bytes([byte]))
        assert answer_on(opened).text == "ok"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 90000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12", 0),
    ],
    ids=range(10),
)  # fmt: skip
def test_malformed_request_is_refused_and_tells_nothing(web: Web, request_: bytes, status: int) -> None:
    with connected(web) as opened:
        opened.sendall(request_)
        opened.shutdown(socket.SHUT_WR)
        answer = answer_on(opened)
    assert answer.status == status
    assert answer.header("Server") is None
    assert b"unicorn" not in answer.body.lower()


def a_post(*framing: bytes) -> bytes:
    return (
        b"POST /accounts/sign-in/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        + b"".join(line + b"\r\n" for line in framing)
        + b"\r\n"
    )


@pytest.mark.parametrize(
    "framing",
    [
        [b"Content-Length: " + b"0" * 20 + b"3"],
        [b"Content-Length: " + b"0" * 40 + b"3"],
        [b"Content-Length: " + b"0" * 19 + b"33"],
        [b"Content-Length: " + b"9" * 20],
        [b"Content-Length: " + b"9" * 5000],
        [b"Content-Length:"],
        [b"Content-Length: +3"],
        [b"Content-Length: -3"],
        [b"Content-Length: 3_0"],
        [b"Content-Length: 0x3"],
        [b"Content-Length: 3.0"],
        [b"Content-Length: 3 3"],
        [b"Content-Length: 3, 3"],
        [b"Content-Length: \xb2"],
        [b"Content-Length: \x0b3"],
        [b"Content-Length : 3"],
        [b" Content-Length: 3"],
        [b"Content-Length: 3", b"Content-Length: 4"],
        [b"Content-Length: 3", b"Content-Length: 3"],
        [b"Content-Length: 3", b"content-length: 03"],
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 0"],
        [b"Transfer-Encoding:"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: chunked;q=1"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding:", b" chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    ],
    ids=lambda framing: str(framing)[:80],
)
def test_body_whose_end_is_in_doubt_is_refused_and_the_connection_closed(web: Web, framing: list[bytes]) -> None:
    """What follows would be another request to whoever counts differently: it is not answered."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(web) as opened:
        opened.sendall(a_post(*framing) + hidden)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while more := opened.recv(65536):
                heard += more
    assert heard.count(b"HTTP/1.1 ") == 1, heard
    assert heard.startswith(b"HTTP/1.1 400 "), heard
    assert b"\r\nConnection: close\r\n" in heard


@pytest.mark.parametrize("size", [b"0x3", b"+3", b"3_0", b"-3", b" 3", b"", b"3 3", b"1" * 17, b"0" * 30 + b"3"])
def test_chunk_whose_size_is_in_doubt_is_refused(web: Web, size: bytes) -> None:
    sent = a_post(b"Transfer-Encoding: chunked") + size + b"\r\nabc\r\n0\r\n\r\n"
    answer = asked(web, sent)
    assert (answer.status, answer.header("Connection")) == (400, "close")


@pytest.mark.parametrize("sent", [b"3\r\nabcde0\r\n\r\n", b"3\r\nabc\r0\r\n\r\n", b"3\r\nabc\n\r\n0\r\n\r\n"])
def test_chunk_that_is_longer_than_it_says_is_refused(web: Web, sent: bytes) -> None:
    assert asked(web, a_post(b"Transfer-Encoding: chunked") + sent).status == 400


@pytest.mark.parametrize("length", [b"0003", b"0" * 18 + b"3", b"3\t"])
def test_length_that_is_odd_and_clear_is_taken(web: Web, length: bytes) -> None:
    sent = a_post(b"Content-Length: " + length) + b"abc" + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(web) as opened:
        opened.sendall(sent)
        assert answer_on(opened).status == 403, "the form lacks its token"
