"""Cursor paging: a page costs the same however far one has come, and no row is skipped or shown twice.

DRF's own cursor counts an offset among rows of the same time, which skips rows when one of them changes between two
pages and gives up at a thousand; here the position is (time, id), which is unique.

A cursor is `f` (forwards) or `b` (backwards), the time in microseconds since 1970 as 16 hexadecimal digits, and the id
as 32 (a UUID) or 16 (a number). :data:`PATTERN` says so in the API's description, and every text that it matches is a
position: what the description allows is never refused.
"""

import base64
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet, UUIDField
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from portal.ui.paging import Keyset

from .problems import InvalidInput

PATTERN = "^[fb][0-9a-f]{16}([0-9a-f]{16}|[0-9a-f]{32})$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_LARGEST_ID = 2**63 - 1


class Cursor(NamedTuple):
    """Just after (or, going back, just before) one row."""

    back: bool
    at: datetime
    key: uuid.UUID | int

    def encode(self) -> str:
        """Give the text that :data:`PATTERN` describes."""
        microseconds = max(self.at - _EPOCH, timedelta()) // timedelta(microseconds=1)
        key = f"{self.key:016x}" if isinstance(self.key, int) else self.key.hex
        return f"{'b' if self.back else 'f'}{microseconds:016x}{key}"

    @classmethod
    def decode(cls, text: str, keys: Keyset, model: type[Model]) -> "Cursor":
        """Read a cursor, also one of the form that was given until December 2026.

        Raises
        ------
        ValueError
            ``text`` is no cursor.
        """
        if re.fullmatch(PATTERN, text) is None:
            return cls._former(text, keys, model)
        microseconds, number = int(text[1:17], 16), int(text[17:], 16)
        most = (_LATEST - _EPOCH) // timedelta(microseconds=1)
        at = _EPOCH + timedelta(microseconds=min(microseconds, most))
        key = uuid.UUID(int=number) if isinstance(model._meta.pk, UUIDField) else min(number, _LARGEST_ID)
        return cls(text[0] == "b", at, key)

    @classmethod
    def _former(cls, text: str, keys: Keyset, model: type[Model]) -> "Cursor":
        try:
            way, *place = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
            if way not in ("f", "b") or not all(isinstance(each, str) for each in place):
                raise ValueError(way)
            at, key = keys.values(model, place)
        except (TypeError, RecursionError) as error:
            raise ValueError(text) from error
        return cls(way == "b", at, key)


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

    def _place(self, model: type[Model], given: str) -> tuple[bool, list[object]]:
        """Which way a cursor leads, and from where."""
        try:
            cursor = Cursor.decode(given, self.keys, model)
        except ValueError:
            sentence = _("Invalid cursor. Use `next` or `previous` of a page.")
            raise InvalidInput({"cursor": [sentence]}) from None
        return cursor.back, [cursor.at, cursor.key]

    def _link(self, back: bool, row: Model) -> str:
        at = getattr(row, self.keys.names[0])
        return replace_query_param(self.address, "cursor", Cursor(back, at, row.pk).encode())

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
