"""A walk through everything that the installation answers, in the steps of one person.

It takes the addresses from the resolver itself, fills them with the rows of the world, and follows every link, every
filter of every form and every parameter that the API's own description lists. What comes back is written down byte
for byte, without what changes with each request anyway.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import count, product
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from tests.transactions import around

from . import table
from .world import World

# What a reader might look for to learn what the AI thinks.
PROBES = ("glioma", "no_tumour")
ORDERS = ("label", "-tumour_probability")
ROWS = 8  # of each table that go into an address
MOST_ADDRESSES = 4000  # of one person; more, and a page links to itself without end

VOLATILE = (
    (re.compile(rb'(csrfmiddlewaretoken"? value="|X-CSRFToken": "|data-csrf="|"csrf": ")[^"<]*'), rb"\1"),
    (re.compile(rb"ovr_[\w-]+"), b""),  # a token that was made a moment ago
    (re.compile(rb'"X-Since": "\d+"'), b""),
)
HEADERS_LEFT_OUT = {"Expires", "Set-Cookie", "X-Request-ID", "X-Correlation-ID"}


@contextmanager
def ids_drawn_alike(first: int = 1) -> Iterator[None]:
    """What is made in both worlds has the same id in both."""
    numbers = count(first)
    with patch.object(uuid.os, "urandom", lambda length: next(numbers).to_bytes(length, "big")):
        yield


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    address: str
    htmx: bool = False
    name: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.address}{' by htmx' if self.htmx else ''}"


@dataclass
class Walk:
    """What one person met: the answer to each request, in the order of asking."""

    world: World
    viewpoint: str
    answers: dict[Asked, bytes] = field(default_factory=dict)
    statuses: dict[Asked, int] = field(default_factory=dict)

    def ask(self, asked: Asked) -> bytes:
        """The whole answer as bytes; whatever the request did is undone."""
        # Numbered anew for each request: what some library draws once, at its first use, shifts no later one's ids.
        with around(), ids_drawn_alike(first=1_000_000):
            body, status, found = _answer(self.world, self.viewpoint, asked)
            transaction.set_rollback(True)
        self.answers[asked], self.statuses[asked] = found, status
        return body

    def everything(self, *, deep: bool) -> None:
        """Ask for all that there is; ``deep``: with every row, every parameter, and what the answers lead to."""
        waiting = list(addresses(self.world, deep=deep))
        seen = set(waiting)
        while waiting:
            asked = waiting.pop(0)
            body = self.ask(asked)
            if not deep or asked.method != "GET" or self.statuses[asked] != 200:
                continue
            for more in _led_to(asked, body):
                if more not in seen and len(seen) < MOST_ADDRESSES:
                    seen.add(more)
                    waiting.append(more)
        assert len(seen) < MOST_ADDRESSES, "some page links to itself without end"

    def again(self, asked: Iterable[Asked]) -> None:
        """Ask the same again."""
        for each in asked:
            self.ask(each)


def _answer(world: World, viewpoint: str, asked: Asked) -> tuple[bytes, int, bytes]:
    """(body, status, everything that can be told apart)."""
    api = asked.address.startswith("/api/")
    client: Client = world.client(viewpoint, token=api)
    sent: dict[str, Any] = {"headers": {"HX-Request": "true"}} if asked.htmx else {}
    if asked.method == "POST":
        body = {
            name: world.rows[value.strip("{}")] if isinstance(value, str) and value.startswith("{") else value
            for name, value in table.BODIES.get(asked.name, {}).items()
            if value not in ("phantom", "archive")
        }
        sent |= {"data": body, **({"content_type": "application/json"} if api else {})}
    response = getattr(client, asked.method.lower())(asked.address, **sent)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    shown = body
    for pattern, instead in VOLATILE:
        shown = pattern.sub(instead, shown)
    head = [f"{name}: {value}" for name, value in sorted(response.headers.items()) if name not in HEADERS_LEFT_OUT]
    cookies = sorted(response.cookies)
    # The tokens have one length, so the length of a page says nothing that the page does not.
    return body, response.status_code, "\n".join([str(response.status_code), *head, *cookies]).encode() + shown


def addresses(world: World, *, deep: bool) -> Iterator[Asked]:
    """Every address of the resolver, filled with the world's rows, by every method that it may have.

    Without ``deep`` one row goes into each address: the one that the table of the access tests names.

    Raises
    ------
    AssertionError
        Some address cannot be filled: say in tests/access/table.py which row goes into it.
    """
    families = _families()
    unfilled = []
    for name, pattern in named(get_resolver().url_patterns):
        if name == "api:nowhere":
            continue
        filled = list(dict.fromkeys(_filled(world, name, pattern, families)))
        if not filled:
            unfilled.append(name)
        if not deep:
            filled = filled[:1]
        for address in filled:
            yield Asked("GET", address)
            if not address.startswith(("/api/", "/admin/")) and (deep or not name.startswith(("accounts:", "lab:"))):
                yield Asked("GET", address, htmx=True)
        hinted = next((address for address in filled if name in POSTS), None)
        if hinted is not None:
            yield Asked("POST", hinted, name=name)
        if deep and filled and name.endswith(("list", ":agreement")):
            yield from (Asked("GET", f"{filled[0]}?ordering={order}") for order in ORDERS)
    assert unfilled == [], f"No row of the world fits into {unfilled}: name one in tests/access/table.py"
    if deep:
        yield from _api_parameters(world)


def _hints() -> dict[str, str]:
    """Which row of the world goes into an address, as tests/access/table.py says."""
    found = {}
    for raw in (table.API + table.PAGES).splitlines():
        match = re.match(r"([\w:-]+)(?:\((\w+)\))? ", raw)
        if match:
            found.setdefault(match[1], match[2] or "")
    return found


HINTS = _hints()
POSTS = {line.split("(")[0].split()[0] for line in (table.API + table.PAGES).splitlines() if " POST " in line}
# Ends the session on which the walk goes.
POSTS -= {"accounts:sign-out"}


def named(patterns: Any, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every address of the installation by its name, the admin's too."""
    for entry in patterns:
        if isinstance(entry, URLResolver):
            yield from named(entry.url_patterns, f"{before}{entry.namespace}:" if entry.namespace else before)
        elif entry.name:
            yield f"{before}{entry.name}", entry


def _families() -> dict[str, list[Any]]:
    """For each row's id, those of its table: a case, and all other cases."""
    found: dict[str, list[Any]] = {}
    for model in apps.get_models():
        keys = list(model._base_manager.order_by("pk").values_list("pk", flat=True)[:ROWS])
        for key in keys:
            # Whole numbers mean something in many tables; ids of our own only in one.
            found.setdefault(f"{key}" if not isinstance(key, int) else f"{model.__name__}-{key}", keys)
    return found


def _filled(world: World, name: str, pattern: URLPattern, families: dict[str, list[Any]]) -> Iterator[str]:
    """The addresses of one name."""
    needed = list(pattern.pattern.regex.groupindex) if pattern.pattern.regex.groupindex else []
    if not needed:
        needed = list(getattr(pattern.pattern, "converters", {}))
    if name in table.ARGUMENTS:
        yield reverse(name, args=table.ARGUMENTS[name])
        return
    if not needed:
        yield reverse(name)
        return
    choices = [list(_values(world, name, argument, families)) for argument in needed]
    for values in product(*choices):
        try:
            yield reverse(name, kwargs=dict(zip(needed, values, strict=True)))
        except NoReverseMatch:
            continue


def _values(world: World, name: str, argument: str, families: dict[str, list[Any]]) -> Iterator[Any]:
    """What may stand for one argument of an address: the row that the table names first, then its fellows."""
    word = HINTS.get(name)
    if argument == "index":
        yield from table.FURTHER[name]
    elif word:
        row = world.rows[word]
        yield row
        yield from [key for key in families.get(str(row), []) if key != row][:ROWS]
    elif argument == "app_label":
        yield from sorted({model._meta.app_label for model in apps.get_models()})
    elif argument == "content_type_id":
        yield from ContentType.objects.order_by("pk").values_list("pk", flat=True)
    elif name.startswith("admin:"):
        for model in apps.get_models():
            # Django names the address of the password after its own table of people, whichever there is.
            name = name.replace("auth_user_password_change", "accounts_user_password_change")
            if name.removeprefix("admin:").startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
                yield from model._base_manager.order_by("pk").values_list("pk", flat=True)[:ROWS]
        if name == "admin:view_on_site":
            yield world.rows["scan"]
    else:
        # An address that the table does not know yet: whatever fits.
        yield from world.rows.values()


class _Links(HTMLParser):
    """Links, and what the forms that only ask may ask."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self._select = ""
        self._open = False

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in pairs}
        for name in ("href", "src", "hx-get", "data-pixels", "data-ahead"):
            if given.get(name):
                self.links.append(given[name])
        if tag == "form":
            self._open = given.get("method", "get").lower() == "get"
            if self._open:
                self.forms.append((given.get("action", ""), {}))
        elif self._open and tag in ("input", "select") and given.get("name"):
            fields = self.forms[-1][1]
            kind = given.get("type", "text")
            if tag == "select":
                self._select = given["name"]
                fields.setdefault(self._select, [])
            elif kind == "hidden":
                fields[given["name"]] = [given.get("value", "")]
            elif kind in ("radio", "checkbox"):
                fields.setdefault(given["name"], [""]).append(given.get("value", "on"))
            else:
                fields[given["name"]] = ["", *PROBES]
        elif self._open and tag == "option" and self._select:
            self.forms[-1][1][self._select].append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "form":
            self._open = False


def _led_to(asked: Asked, body: bytes) -> Iterator[Asked]:
    """What a page leads to: its links, and each choice of each form, one at a time."""
    if body.lstrip()[:1] != b"<":
        return
    page = _Links()
    page.feed(body.decode())
    here = urlsplit(asked.address)
    found = [urljoin(asked.address, link) for link in page.links]
    for action, fields in page.forms:
        fixed = {name: values[0] for name, values in fields.items() if len(values) == 1}
        for name, values in fields.items():
            to = urljoin(asked.address, action) or here.path
            found += [f"{to}?{urlencode({**fixed, name: value})}" for value in values[1:]]
    for address in found:
        target = urlsplit(address)
        # Of what a filter leads to no further filters are added: pairs of them are too many to try.
        deep = here.query and target.query and target.path == here.path
        if target.netloc or not target.path.startswith("/") or target.path.startswith("/static/") or deep:
            continue
        # The admin's links carry the order of the list along for the way back: each row would be walked once for each.
        query = [each for each in parse_qsl(target.query, keep_blank_values=True) if each[0] != "_changelist_filters"]
        yield Asked("GET", target.path + (f"?{urlencode(query)}" if query else ""))


def _api_parameters(world: World) -> Iterator[Asked]:
    """Every parameter of every list that the API's own description names, with each value that it may have."""
    described = world.client("superuser", token=True).get("/api/schema/").json()
    for path, methods in described["paths"].items():
        if "get" not in methods or "{" in path:
            continue
        for parameter in methods["get"].get("parameters", []):
            if parameter["in"] != "query":
                continue
            schema = parameter["schema"]
            if "$ref" in schema:
                schema = described["components"]["schemas"][schema["$ref"].split("/")[-1]]
            values = schema.get("enum") or PROBES
            if schema.get("format") == "uuid":
                values = [str(world.rows[word]) for word in ("scan", "patient", "study", "model")]
            elif parameter["name"] == "updated_since":
                values = ["2020-01-01T00:00:00Z"]
            elif schema.get("type") == "integer":
                values = ["1", "3"]
            yield from (Asked("GET", f"{path}?{urlencode({parameter['name']: value})}") for value in values)
