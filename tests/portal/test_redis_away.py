"""Redis is away: stopped, silent, resetting, full. People sign in and hand in all the same, and limits still bite."""

import contextlib
import itertools
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority
from portal.accounts.models import Scope, User
from portal.accounts.services import issue_token
from portal.start.broker import server
from tests import processes
from tests.factories import PASSWORD, InstitutionFactory, live_model, person, phantom
from tests.web import Answer, Browser, Web, free_port, multipart

SECONDS = 2.0  # what an upload may take while Redis is away
LIMIT = 30
SEEDS = itertools.count(500)
pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def redis_server(port: int, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        processes.wait(lambda: processes.answers(f"redis://127.0.0.1:{port}/0"), 20, "Redis did not answer")
        yield process
    finally:
        processes.stop(process)


@contextlib.contextmanager
def nobody(port: int) -> Iterator[None]:
    """Connections are refused."""
    yield


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Every connection is taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", port), backlog=256):
        yield


@contextlib.contextmanager
def swallowing(port: int) -> Iterator[None]:
    """No connection is even taken: the queue of those who wait is full, and the kernel says nothing."""
    with socket.create_server(("127.0.0.1", port), backlog=0), contextlib.ExitStack() as waiting:
        for _ in range(4):
            held = waiting.enter_context(socket.socket())
            held.setblocking(False)
            held.connect_ex(("127.0.0.1", port))
        yield


@contextlib.contextmanager
def resetting(port: int) -> Iterator[None]:
    """Every connection is taken and reset at once."""
    ended = threading.Event()

    def reset_all(listener: socket.socket) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                taken, _ = listener.accept()
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                taken.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=reset_all, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def full(port: int) -> Iterator[None]:
    """A Redis that answers, but takes nothing more in."""
    with redis_server(port, Path("/tmp"), "--maxmemory", "1", "--maxmemory-policy", "noeviction"):
        yield


def timed(ask) -> tuple[Answer, float]:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


def in_time(what: str, ask, status: int) -> Answer:  # type: ignore[no-untyped-def]
    answer, took = timed(ask)
    print(f"{what}: {answer.status} after {took:.2f} s")
    assert answer.status == status, answer.text[:2000]
    assert took < SECONDS, f"{what} took {took:.2f} s"
    return answer


def token_of(user) -> str:  # type: ignore[no-untyped-def]
    ends = timezone.now() + timedelta(days=1)
    return issue_token(user=user, name="test", scopes=list(Scope.values), expires_at=ends)[1]


@pytest.fixture
def people():  # type: ignore[no-untyped-def]
    """A technologist with a password and a token, beside a model in use."""
    live_model()
    home = InstitutionFactory()
    found = [person(Role.TECHNOLOGIST, home) for _ in range(2)]
    for user in found:
        # As the web process hashes; the tests' own quick hasher is unknown there.
        User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="argon2"))
    return found


@pytest.fixture(scope="module")
def web(django_db_setup) -> Iterator[Web]:  # type: ignore[no-untyped-def]
    """One web process for all, with a Redis of its own that comes and goes."""
    more = {"OVERREAD_API_REQUESTS_PER_MINUTE": str(LIMIT), "OVERREAD_WEB_PROCESSES": "1"}
    with Web(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", **more) as started:
        yield started


def port_of(web: Web) -> int:
    port = urlsplit(web.more["REDIS_URL"]).port
    assert port
    return port


def until_used(web: Web, user: User) -> None:
    """Wait until the web process counts in Redis: it looks again some seconds after it found it away."""
    with processes.client(web.more["REDIS_URL"]) as connected:

        def used() -> bool:
            answer = web.browser().get("/api/v1/users/me/", Authorization=f"Bearer {token_of(user)}")
            return answer.status == 200 and bool(connected.keys("*api-rate*"))

        processes.wait(used, 20, "Redis was not used again")


@pytest.mark.parametrize("away", [nobody, black_hole, swallowing, resetting, full])
def test_redis_that_goes_away_stops_nobody_and_lifts_no_limit(away, web: Web, people, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    user, other = people
    token, others = token_of(user), token_of(other)
    early = web.browser()
    with redis_server(port_of(web), tmp_path):
        until_used(web, other)
        assert web.browser().hand_in(token, phantom(next(SEEDS))).status == 201
        assert web.browser().get("/readyz").json()["broker"] == "ok"
        assert early.sign_in(user.username, PASSWORD).status == 302
    with away(port_of(web)):
        in_time("upload by the page", lambda: hand_in_by_page(early), 200)
        for _ in range(2):
            in_time("upload", lambda: web.browser().hand_in(token, phantom(next(SEEDS))), 201)
        in_time("list", lambda: web.browser().get("/api/v1/scans/", Authorization=f"Bearer {token}"), 200)
        visitor = web.browser()
        in_time("sign-in", lambda: visitor.sign_in(user.username, PASSWORD), 302)
        in_time("page", lambda: visitor.get("/scans/"), 200)
        ready = in_time("readyz", lambda: web.browser().get("/readyz"), 503).json()
        assert "scans are taken in and wait" in ready["broker"]
        limited(web.browser(), others)
    assert Prediction.objects.filter(state=PredictionState.QUEUED).count() == 4
    assert "Traceback" not in web.output(), web.output()


def hand_in_by_page(visitor: Browser) -> Answer:
    """Files of a form, as the page without scripts sends them."""
    page = visitor.get("/scans/hand-in/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    fields = {"csrfmiddlewaretoken": token[1], "patient": "P-8", "priority": str(int(Priority.ROUTINE))}
    body, kind = multipart(fields, {"files": ("scan.png", phantom(next(SEEDS)))})
    return visitor.ask("POST", "/scans/hand-in/", body, Content_Type=kind)


def limited(browser: Browser, token: str) -> None:
    """Far more questions than a minute allows: at most that many are answered, of two minutes where one just ended."""
    asked = [browser.get("/api/v1/users/me/", Authorization=f"Bearer {token}").status for _ in range(2 * LIMIT + 2)]
    assert set(asked) == {200, 429}, asked
    assert asked.count(200) <= 2 * LIMIT


def test_redis_that_comes_back_is_used_again(web: Web, people, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    token = token_of(people[0])
    assert web.browser().hand_in(token, phantom(next(SEEDS))).status == 201
    with redis_server(port_of(web), tmp_path), processes.client(web.more["REDIS_URL"]) as connected:
        until_used(web, people[1])
        assert web.browser().hand_in(token, phantom(next(SEEDS))).status == 201
        assert connected.llen("inference") == 1
        assert web.browser().get("/readyz").json()["broker"] == "ok"
