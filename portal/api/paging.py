"""Cursor paging: a page costs the same however far one has come, and no row is skipped or shown twice.

DRF's own cursor counts an offset among rows of the same time, which skips rows when one of them changes between two
pages and gives up at a thousand; here the position is (time, id), which is unique.
"""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from .problems import InvalidInput


class Cursor(NamedTuple):
    """Just after (or, going back, just before) one row."""

    back: bool
    at: datetime
    pk: str

    def encode(self) -> str:
        plain = json.dumps(["b" if self.back else "f", self.at.isoformat(), self.pk], separators=(",", ":"))
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, to_pk: Callable[[Any], Any]) -> "Cursor":
        """Raises InvalidInput for anything that `encode` did not make."""
        try:
            way, at, pk = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
            if way not in ("f", "b") or not isinstance(pk, str):
                raise ValueError(way)
            to_pk(pk)
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is None:
                raise ValueError(at)
            # An offset at either end of time leads beyond it; the database would find out in the middle of a query.
            return cls(way == "b", moment.astimezone(UTC), pk)
        except (
            ValueError,
            TypeError,
            UnicodeError,
            binascii.Error,
            OverflowError,
            RecursionError,
            DjangoValidationError,
        ):
            sentence = _("This is no cursor. Take it from `next` or `previous` of a page.")
            raise InvalidInput({"cursor": [sentence]}) from None


def _cut(rows: QuerySet[Any], number: int) -> QuerySet[Any]:
    return rows[:number]


class ByUpdate(BasePagination):
    """Oldest change first, so that a client that follows ``next`` misses nothing."""

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Model]:
        self.address = request.build_absolute_uri()
        self.field: str = view.ordered_by
        size: int = view.query["page_size"]
        given: str = view.query.get("cursor", "")
        to_pk = queryset.model._meta.pk.to_python
        cursor = Cursor.decode(given, to_pk) if given else None
        back = cursor is not None and cursor.back
        if cursor is not None:
            side = "lt" if cursor.back else "gt"
            # The first condition is implied by the second; it is there because an index can answer it.
            queryset = queryset.filter(
                Q(**{f"{self.field}__{side}e": cursor.at}),
                Q(**{f"{self.field}__{side}": cursor.at}) | Q(**{f"pk__{side}": to_pk(cursor.pk)}),
            )
        order = ("-" if back else "") + self.field, "-pk" if back else "pk"
        # A view may know a cheaper way to the first rows than to cut them off.
        first = getattr(view, "first_rows", _cut)
        rows = list(first(queryset.order_by(*order), size + 1))
        more = len(rows) > size
        rows = rows[:size]
        if back:
            rows.reverse()
        self.next = self._after(rows[-1]) if rows and (more or back) else None
        self.previous = self._before(rows[0]) if rows and cursor is not None and (more or not back) else None
        return rows

    def _after(self, row: Model) -> str:
        return self._link(Cursor(False, getattr(row, self.field), str(row.pk)))

    def _before(self, row: Model) -> str:
        return self._link(Cursor(True, getattr(row, self.field), str(row.pk)))

    def _link(self, cursor: Cursor) -> str:
        return replace_query_param(self.address, "cursor", cursor.encode())

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # the view's own query names them
