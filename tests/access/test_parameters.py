"""Whatever stands behind the question mark: pages ignore what they do not know, and nothing there is ever a 500."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from . import table
from .test_access import lines
from .world import World, build

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1200)]

CANARY = "canary-3f9c1b"
UNKNOWN = (
    f"utm_source={CANARY}",
    f"utm_source={CANARY}&utm_source=&utm_source={CANARY}&fbclid",
    f"a[]={CANARY}&a[]=2&b[x][y]={CANARY}&=&&;&%00={CANARY}&%ff=%fe",
)
# What may stand behind the name of a parameter that a page does know, as it goes over the wire.
ODD = (
    f"%00{CANARY}",
    "x" * 5000,
    f"{CANARY}%FF%FE%ED%A0%80",
    "9" * 30,
    "%C2%B2%D9%A3",  # ² and an Arabic three: digits to some, numbers to few
    "0001-01-01",
    "9999-12-31",
    "9999-12-31T23:59:59-14:00~00000000-0000-4000-8000-000000000000",
)
IN_THE_ADMIN = ("q", "p", "o", "e", "id__in", "nowhere__exact")
WITHOUT_A_PAGE = ("healthz", "readyz", "metrics", "favicon")  # what machines ask


@pytest.fixture
def world() -> World:
    cache.clear()
    return build()


def pages(world: World) -> list[tuple[str, str]]:
    """Every page that can be opened, and somebody who may."""
    found = []
    for line in lines(table.PAGES):
        if line.method != "GET" or line.name in WITHOUT_A_PAGE:
            continue
        row = world.rows.get(line.word)
        address = reverse(line.name, args=table.arguments_of(line.name, row))
        openers = (
            who for answer in ("200", "302") for who in ("administrator", "radiologist", "data_manager", "nobody")
            if line.expected[who] == answer
        )  # fmt: skip
        who = next(openers, "nobody")  # a link of a mail, which opens for nobody without its own word
        found.append((address, who))
    return found


def lists_of_the_admin() -> list[tuple[str, str]]:
    models = (model._meta for model in admin.site._registry)
    named = [reverse(f"admin:{model.app_label}_{model.model_name}_changelist") for model in models]
    return [(address, "superuser") for address in [reverse("admin:index"), *named]]


@contextlib.contextmanager
def names_asked_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The parameters that are looked up meanwhile."""
    asked: set[str] = set()
    with monkeypatch.context() as patched:
        for method in ("get", "getlist", "__getitem__", "__contains__"):
            real = getattr(QueryDict, method)

            def noted(self: QueryDict, key: Any, *rest: Any, real: Any = real, **more: Any) -> Any:
                asked.add(str(key))
                return real(self, key, *rest, **more)

            patched.setattr(QueryDict, method, noted)
        yield asked


def status(client: Client, address: str, **more: str) -> int:
    answer = client.get(address, **more)
    if answer.streaming:
        b"".join(answer.streaming_content)
    return int(answer.status_code)


def said(caplog: pytest.LogCaptureFixture) -> str:
    """What stands in the log of an installation: the lines that the settings' own handler lets through."""
    (console,) = [found for found in logging.getLogger().handlers if found.name == "console"]
    return "\n".join(console.format(record) for record in caplog.records if console.filter(record))


def test_pages_ignore_parameters_that_they_do_not_know(world: World, caplog: pytest.LogCaptureFixture) -> None:
    wrong = []
    for address, who in pages(world):
        client = world.client(who, token=False)
        plain = status(client, address)
        asked_by_htmx = {"HTTP_HX_REQUEST": "true"}
        for query, more in (*((query, {}) for query in UNKNOWN), (UNKNOWN[0], asked_by_htmx)):
            expected = status(client, address, **more) if more else plain
            answer = status(client, f"{address}?{query}", **more)
            if answer != expected:
                wrong.append(f"{address}?{query} {more}: {answer}, not {expected}")
    assert wrong == [], "\n".join(wrong)
    assert CANARY not in said(caplog)


def test_odd_values_of_known_parameters_are_never_a_fault_of_ours(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, asked_in_all = [], 0
    for address, who in pages(world):
        client = world.client(who, token=False)
        with names_asked_for(monkeypatch) as asked:
            status(client, address)
        asked_in_all += len(asked)
        for name in sorted(asked):
            several = (name, f"{name}=&{name}=-1&{name}=nan", f"{name}=1e999&{name}=%27%22%3E~~%25")
            for query in (*several, *(f"{name}={value}&{name}[]={value}" for value in ODD)):
                answer = status(client, f"{address}?{query}")
                if answer >= 500:
                    wrong.append(f"{address}?{query[:80]}: {answer}")
    assert wrong == [], "\n".join(wrong)
    assert asked_in_all > 40, "the pages that narrow a list were asked"
    assert CANARY not in said(caplog)


def test_odd_time_of_opening_is_taken_for_now(world: World) -> None:
    for viewpoint, name in (("radiologist", "worklist:list"), ("technologist", "uploads:list")):
        client = world.client(viewpoint, token=False)
        for since in ("²", "9" * 5000, "1e999", "nan", "-1", "1.2.3", "½", ""):
            answer = client.get(reverse(name), headers={"HX-Request": "true", "X-Since": since})
            assert answer.status_code < 300, since[:9]


def test_lists_of_the_admin_never_fail_by_their_parameters(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = world.client("superuser", token=False)
    wrong = []
    for address, _who in lists_of_the_admin():
        queries = [*UNKNOWN, *(f"{name}={value}" for name in IN_THE_ADMIN for value in (ODD[0], ODD[3]))]
        for query in queries:
            answer = status(client, f"{address}?{query}")
            if answer >= 500:
                wrong.append(f"{address}?{query[:80]}: {answer}")
    assert wrong == [], "\n".join(wrong)
    assert CANARY not in said(caplog)


def test_api_refuses_parameters_that_it_does_not_know(world: World, caplog: pytest.LogCaptureFixture) -> None:
    wrong = []
    for line in lines(table.API):
        if line.method != "GET" or line.name in ("api:docs", "api:schema"):
            continue
        who = next((who for who in ("administrator", "radiologist") if line.expected[who] == "200"), None)
        if who is None:
            continue
        client = world.client(who, token=True)
        row = world.rows.get(line.word)
        address = reverse(line.name, args=table.arguments_of(line.name, row))
        for query in UNKNOWN:
            answer = status(client, f"{address}?{query}")
            if answer != 400:
                wrong.append(f"{address}?{query}: {answer}")
    assert wrong == [], "\n".join(wrong)
    assert CANARY not in said(caplog)
