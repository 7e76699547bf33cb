"""Cursor paging: a page costs the same however far one has come, and no row is skipped or shown twice.

DRF's own cursor counts an offset among rows of the same time, which skips rows when one of them changes between two
pages and gives up at a thousand; here the position is (time, id), which is unique.
"""

import base64
import json
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from portal.ui.paging import Keyset

from .problems import InvalidInput


class Cursor(NamedTuple):
    """Just after (or, going back, just before) one row."""

    back: bool
    place: list[str]

    def encode(self) -> str:
        plain = json.dumps(["b" if self.back else "f", *self.place], separators=(",", ":"))
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises ValueError for what is no cursor at all; whether its place exists, the keyset finds out."""
        way, *place = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        if way not in ("f", "b") or not all(isinstance(each, str) for each in place):
            raise ValueError(way)
        return cls(way == "b", place)


class ByUpdate(BasePagination):
    """Oldest change first, so that a client that follows ``next`` misses nothing."""

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Model]:
        self.address = request.build_absolute_uri()
        self.keys = Keyset((view.ordered_by, "pk"))
        given: str = view.query.get("cursor", "")
        back, values = self._place(queryset.model, given) if given else (False, [])
        # A view may know a cheaper way to the first rows than to cut them off.
        cheaper = {"first": view.first_rows} if hasattr(view, "first_rows") else {}
        keys = self.keys.backwards() if back else self.keys
        rows, more = keys.following(queryset, values, size=view.query["page_size"], **cheaper)
        if back:
            rows.reverse()
        self.next = self._link(False, rows[-1]) if rows and (more or back) else None
        self.previous = self._link(True, rows[0]) if rows and given and (more or not back) else None
        return rows

    def _place(self, model: type[Model], given: str) -> tuple[bool, list[Any]]:
        """Which way a cursor leads, and from where."""
        try:
            cursor = Cursor.decode(given)
            return cursor.back, self.keys.values(model, cursor.place)
        except (ValueError, TypeError, RecursionError):
            sentence = _("Invalid cursor. Use `next` or `previous` of a page.")
            raise InvalidInput({"cursor": [sentence]}) from None

    def _link(self, back: bool, row: Model) -> str:
        cursor = Cursor(back, self.keys.place_of(row))
        return replace_query_param(self.address, "cursor", cursor.encode())

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, object]) -> dict[str, object]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: object) -> list[dict[str, object]]:
        return []  # the view's own query names them
