"""Every answer carries the headers that a browser is held by, whoever gives it; none tells what serves it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.ui.headers import EVERYWHERE
from tests.portal.test_slow_clients import answer_on
from tests.web import Answer, Web

pytestmark = pytest.mark.django_db(transaction=True)
NAMED = ("Permissions-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy", "X-Content-Type-Options",
         "Referrer-Policy", "X-Frame-Options", "Content-Security-Policy")  # fmt: skip


@pytest.fixture(scope="module")
def web(django_db_setup) -> Iterator[Web]:  # type: ignore[no-untyped-def]
    with Web(OVERREAD_WEB_PROCESSES="1") as started:
        yield started


def raw(web: Web, request: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as opened:
        opened.sendall(request)
        return answer_on(opened)


def test_answers_of_every_kind_carry_the_headers(web: Web) -> None:
    static = next(Path(web.more["STATIC_ROOT"]).glob("css/overread.*.css")).name
    visitor = web.browser()
    answers = {
        "page": visitor.get("/accounts/sign-in/"),
        "redirect": visitor.get("/worklist/"),
        "not found": visitor.get("/nowhere/"),
        "static": visitor.get(f"/static/css/{static}"),
        "static not found": visitor.get("/static/nowhere.css"),
        "api refusal": visitor.get("/api/v1/scans/"),
        "api not found": visitor.get("/api/v1/nowhere/"),
        "api docs": visitor.get("/api/docs/"),
        "admin": visitor.get("/admin/"),
        "health": visitor.get("/healthz"),
        "form without token": visitor.post("/accounts/sign-in/", {"username": "a"}),
        "foreign host": visitor.get("/", Host="elsewhere.example.org"),
        "malformed": raw(web, b"nonsense\r\n\r\n"),
        "long": raw(web, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        "large": raw(web, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n"),
    }  # fmt: skip
    assert answers["malformed"].status == answers["foreign host"].status == 400
    missing = {kind: [name for name in NAMED if answer.header(name) is None] for kind, answer in answers.items()}
    assert missing == dict.fromkeys(answers, []), missing
    told = {kind for kind, answer in answers.items() if answer.header("Server") or b"unicorn" in answer.body.lower()}
    assert told == set()
    for name, value in EVERYWHERE.items():
        assert answers["page"].header(name) == value


def test_answers_of_every_kind_name_each_header_once(web: Web) -> None:
    names = [
        name.lower() for name, _ in web.browser().get("/accounts/sign-in/").headers if name.lower() != "set-cookie"
    ]
    assert sorted(set(names)) == sorted(names)
