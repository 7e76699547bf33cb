"""Every address × method × viewpoint answers as the table says; an address that the table lacks fails."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from diagnostics import pipeline
from tests.diagnostics.test_archives import zipped
from tests.factories import phantom
from tests.transactions import around

from . import table
from .world import ROLES, World, build

# Some hundred requests each: seconds on a quiet machine, minutes beside others.
pytestmark = pytest.mark.timeout(1200)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Refusals of a method that an address does not have; whoever is not signed in may be told that first.
NO_SUCH_METHOD = (405, 401, 302)


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    word: str
    method: str
    expected: dict[str, str]


def lines(text: str) -> list[Line]:
    """The lines of a table."""
    found = []
    for raw in text.strip().splitlines():
        if raw.startswith("#"):
            continue
        address, method, nobody, *rest = raw.split()
        own, (foreign, norole, off, superuser) = rest[:5], rest[5:]
        name, word = re.fullmatch(r"([\w:-]+)(?:\((\w+)\))?", address).groups()
        if foreign == "=":
            theirs = own
        elif foreign == "403/404":
            theirs = ["403" if answer == "403" else "404" for answer in own]
        else:
            theirs = foreign.split(",") if "," in foreign else [foreign] * 5
        expected = {"nobody": nobody, "nowhere": norole, "deactivated": off, "superuser": superuser}
        expected |= dict(zip(ROLES, own, strict=True))
        expected |= {f"foreign {role}": answer for role, answer in zip(ROLES, theirs, strict=True)}
        found.append(Line(name, word or "", method, expected))
    return found


def named(patterns: Any, before: str = "") -> Iterator[str]:
    """Every address of the installation by its name; Django's admin is another test's."""
    for entry in patterns:
        if isinstance(entry, URLResolver):
            if entry.namespace != "admin":
                yield from named(entry.url_patterns, f"{before}{entry.namespace}:" if entry.namespace else before)
        elif isinstance(entry, URLPattern):
            yield f"{before}{entry.name}"


ALL = lines(table.API) + lines(table.PAGES)
ROOMS = sorted({line.name.split(":")[0] if ":" in line.name else "" for line in ALL})


@pytest.fixture
def world(db, monkeypatch) -> World:
    cache.clear()
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    return build()


def ask(world: World, line: Line, method: str, viewpoint: str) -> int:
    """The status of one answer; whatever the request did is undone."""
    row = world.rows.get(line.word)
    address = reverse(line.name, args=table.arguments_of(line.name, row))
    body = {
        name: world.rows[value.strip("{}")] if isinstance(value, str) and value.startswith("{") else value
        for name, value in table.BODIES.get(line.name, {}).items()
    }
    api = line.name.startswith("api:")
    # Far from the seeds of the world, which are counted up: the same bytes under another patient are refused.
    for name in [name for name, value in body.items() if value == "phantom"]:
        body[name] = SimpleUploadedFile("scan.png", phantom(999_983), content_type="image/png")
    for name in [name for name, value in body.items() if value == "archive"]:
        body[name] = SimpleUploadedFile("scans.zip", zipped(("scan.png", phantom(999_983))).getvalue())
    sent: dict[str, Any] = {}
    if method == "POST":
        sent["data"] = body
        if api and "file" not in body:
            sent["content_type"] = "application/json"
    with around():
        client = world.client(viewpoint, token=api)
        response = getattr(client, method.lower())(address, **sent)
        if response.streaming:
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    return int(response.status_code)


def test_every_address_stands_in_the_table():
    missing = sorted(set(named(get_resolver().url_patterns)) - {line.name for line in ALL} - {"api:nowhere"})
    assert missing == [], "Add these addresses to tests/access/table.py"


@pytest.mark.parametrize("room", ROOMS)
def test_answers_are_those_of_the_table(world, room):
    wrong = []
    for line in ALL:
        if (line.name.split(":")[0] if ":" in line.name else "") != room:
            continue
        for viewpoint, expected in line.expected.items():
            answer = ask(world, line, line.method, viewpoint)
            if str(answer) not in expected.split("|"):
                wrong.append(f"{line.method} {line.name} as {viewpoint}: {answer}, not {expected}")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_methods_that_an_address_lacks_are_refused_to_everybody(world, room):
    wrong = []
    known = {(line.name, line.method) for line in ALL}
    for line in {line.name: line for line in ALL}.values():
        if (line.name.split(":")[0] if ":" in line.name else "") != room:
            continue
        for method in METHODS:
            if (line.name, method) in known:
                continue
            for viewpoint in ("nobody", "administrator", "superuser"):
                answer = ask(world, line, method, viewpoint)
                allowed = NO_SUCH_METHOD if viewpoint == "nobody" else (405,)
                if answer not in allowed:
                    wrong.append(f"{method} {line.name} as {viewpoint}: {answer}")
    assert wrong == [], "\n".join(wrong)


def test_unknown_address_of_the_api_is_404_to_everybody(world):
    for viewpoint in ("nobody", *world.people):
        client = world.client(viewpoint, token=True)
        for method in METHODS:
            answer = getattr(client, method.lower())("/api/v1/no-such-thing/")
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
