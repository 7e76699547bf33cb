"""Clients that send much and do not finish: they are the ones who go, and nobody else waits for them."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from portal.start.arrival import Arrival, Refused
from tests.portal.test_slow_clients import answer_on, form
from tests.web import Web, static_files

MB = 1024 * 1024
LARGEST = 256 * MB


@pytest.fixture
def arrival() -> Iterator[Arrival]:
    opened = Arrival(limit=LARGEST, now=0.0)
    yield opened
    opened.close()


def head_of(length: int) -> bytes:
    return f"POST /accounts/sign-in/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def begun(arrival: Arrival, size: int, seconds: float) -> float:
    """So much has come, evenly, of the largest upload; gives the time."""
    arrival.take(head_of(LARGEST), 0.0)
    pieces = size // MB
    for number in range(1, pieces + 1):
        arrival.take(b"a" * MB, seconds * number / pieces)
    return seconds


def test_much_that_came_buys_no_time_for_silence(arrival: Arrival) -> None:
    now = begun(arrival, 205 * MB, 4.0)
    assert arrival.deadline - now <= 20


@pytest.mark.parametrize(("piece", "every"), [(1, 1.0), (1, 19.0), (1000, 1.0), (70_000, 19.0)])
def test_much_that_came_buys_no_time_for_a_trickle(arrival: Arrival, piece: int, every: float) -> None:
    began = now = begun(arrival, 20 * MB, 4.0)
    while now < arrival.deadline:
        arrival.take(b"a" * piece, now)
        now += every
        assert now - began < 60, "the trickle goes on"


def test_steady_slow_sender_is_heard_out(arrival: Arrival) -> None:
    """1 MB in two minutes, by a line of 9 KB a second that pauses now and then."""
    arrival.take(head_of(MB), 0.0)
    now = 0.0
    for _ in range(0, MB, 32768):
        now += 3.7
        assert now < arrival.deadline
        arrival.take(b"a" * 32768, now)
    assert arrival.complete


@pytest.mark.parametrize(("rate", "arrives"), [(5_000, False), (100_000, False), (150_000, True), (10 * MB, True)])
def test_no_upload_lasts_longer_than_the_largest_may_take(arrival: Arrival, rate: int, arrives: bool) -> None:
    """Bytes a second of a sender who never stops."""
    arrival.take(head_of(200 * MB), 0.0)
    now = 0.0
    while not arrival.complete and now < arrival.deadline:
        now += 5.0
        arrival.take(b"a" * 5 * rate, now)
        assert now <= 2100
    assert arrival.complete == arrives


def test_chunks_are_held_to_the_same_times(arrival: Arrival) -> None:
    arrival.take(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
    for number in range(20):
        arrival.take(b"100000\r\n" + b"a" * MB + b"\r\n", number / 10)
    with pytest.raises(Refused):
        arrival.take(b"zz\r\n", 3.0)
    assert arrival.deadline <= 22


@pytest.fixture(scope="module")
def web(django_db_setup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:  # type: ignore[no-untyped-def]
    static = tmp_path_factory.mktemp("web") / "static"
    shutil.copytree(static_files(), static)
    with (static / "large.bin").open("wb") as file:
        file.truncate(64 * MB)
    with Web(
        STATIC_ROOT=str(static), OVERREAD_WEB_PROCESSES="1", OVERREAD_WEB_THREADS="1",
        OVERREAD_MAX_UPLOAD_MB="8", OVERREAD_MAX_REQUEST_MB="8",
    ) as started:  # fmt: skip
        yield started


@contextlib.contextmanager
def hogs(web: Web, number: int, length: int, sent: int) -> Iterator[list[socket.socket]]:
    """So many who send so much of a body of that length, and then nothing."""
    with contextlib.ExitStack() as opened:
        sockets = []
        for _ in range(number):
            hog = opened.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
            sockets.append(hog)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                hog.sendall(head_of(length) + b"a" * sent)
        time.sleep(0.5)
        yield sockets


def asked(web: Web, request: bytes, pause: float = 0.0) -> int:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as opened:
        half = len(request) // 2
        opened.sendall(request[:half])
        time.sleep(pause)
        opened.sendall(request[half:])
        return answer_on(opened).status


def sent_away(sockets: list[socket.socket]) -> list[int]:
    """What those were told who were told anything."""
    told = []
    for each in sockets:
        each.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            told.append(answer_on(each).status)
    return told


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [5, 20])
def test_hogs_are_sent_away_and_not_who_comes_after_them(web: Web, number: int) -> None:
    with hogs(web, number, 8 * MB, 7 * MB + 500_000) as sockets:
        for length in (200_000, 2 * MB, 7 * MB):
            assert asked(web, form(length, chunked=False), pause=0.2) == 403, "the form lacks its token"
            assert asked(web, form(length, chunked=True)) == 403
        told = sent_away(sockets)
    assert told and set(told) == {503}, told


@pytest.mark.django_db(transaction=True)
def test_hogs_that_all_send_at_the_same_moment_end_no_process(web: Web) -> None:
    def hog() -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", web.port), timeout=20) as opened,
        ):
            opened.sendall(head_of(8 * MB) + b"a" * (7 * MB))

    threads = [threading.Thread(target=hog) for _ in range(24)]
    for each in threads:
        each.start()
    assert asked(web, form(MB, chunked=False), pause=0.2) == 403
    for each in threads:
        each.join(20)
    assert asked(web, form(7 * MB, chunked=False)) == 403
    assert "Traceback" not in web.output()


@pytest.mark.django_db(transaction=True)
def test_many_small_hogs_are_sent_away_before_a_larger_honest_upload(web: Web) -> None:
    with hogs(web, 60, MB, 600_000) as sockets:
        time.sleep(2)  # so that it shows who has stopped
        assert asked(web, form(7 * MB, chunked=False), pause=0.2) == 403
        told = sent_away(sockets)
    assert told and set(told) == {503}, told


@pytest.mark.django_db(transaction=True)
def test_bodies_that_wait_for_a_thread_are_counted(web: Web) -> None:
    """The only thread is held by one who does not read a large answer; what is whole meanwhile waits on the disk."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", web.port))
        reader.sendall(b"GET /static/large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.5)
        with hogs(web, 8, 7 * MB, 7 * MB) as sockets:
            told = sent_away(sockets)
        assert told == [503] * 4, "four times the limit is held, and no more"
    reader.close()
    assert asked(web, form(2000, chunked=False)) == 403
