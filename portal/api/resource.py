"""What every resource of the API has in common: input by allow-list, scopes, paging, problem documents."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from diagnostics.scans.folding import folded
from portal.accounts.models import Scope, User
from portal.accounts.signed_in import person_of

from .idempotency import HEADER, once
from .problems import TooLarge
from .strict import PAGING, Page, Query, checked

SMALL_BODY = 1024 * 1024  # bytes; DRF's parsers know no limit of their own


class PlainJSON(JSONParser):
    """JSON, also where it is nested so deeply that Python gives up."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None


class OneRepresentation(DefaultContentNegotiation):
    """Each address has one representation, so ``Accept`` chooses nothing and cannot fail."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class BaseViewSet(GenericViewSet):
    """A resource. Subclasses say what a list may be filtered by, and which scope each action needs."""

    http_method_names = ["get", "head", "post"]
    lookup_value_converter = "uuid"
    # Where the address names the row by a word: the column that holds it without the case of letters.
    lookup_folded: str = ""
    parser_classes = (PlainJSON,)
    content_negotiation_class = OneRepresentation  # type: ignore[assignment] # its stub says str
    largest_body: ClassVar[int] = SMALL_BODY
    # By action, the query it takes; every other address takes none.
    listings: ClassVar[dict[str, type[Query]]] = {"list": Page}
    ordered_by: str = "updated_at"
    # By action; reading needs `read`, and a POST must be named here.
    scopes: ClassVar[dict[str, str]] = {}
    # Actions other than a POST that can end in 409.
    may_conflict: ClassVar[tuple[str, ...]] = ()
    # Those whose body names objects, which may not be there.
    may_miss: ClassVar[tuple[str, ...]] = ()

    @property
    def person(self) -> User:
        """Who asks."""
        return person_of(self.request)

    def scope_of(self, action: str) -> str:
        """The scope that a token needs for ``action``."""
        if action in self.scopes:
            return self.scopes[action]
        return Scope.READ if self.request.method in ("GET", "HEAD") else self.scopes[action]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if int(request.META.get("CONTENT_LENGTH") or 0) > self.largest_body:
            raise TooLarge(_("The request can have at most %(limit)s bytes.") % {"limit": self.largest_body})
        if self.action and request.method == "POST" and HEADER in request.headers:
            self.post = partial(once, getattr(self, self.action), self.before_act)
        if self.action:
            self.query = checked(self.listings.get(self.action, Query), request.query_params, request)

    def before_act(self) -> object:
        """What an act with an ``Idempotency-Key`` does before its transaction, as a refusal must not take it back."""

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Each parameter of the query is the look-up that its ``source`` names."""
        wanted = {look_up: value for look_up, value in self.query.items() if look_up not in PAGING}
        return queryset.filter(**wanted) if wanted else queryset

    def list(self, request: Request) -> Response:
        """Oldest change first; follow `next` to the end, then ask again with `updated_since`."""
        page: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(self.told(page), many=True).data)

    def retrieve(self, request: Request, **kwargs: object) -> Response:
        """One of them."""
        return Response(self.get_serializer(self.told([self.get_object()])[0]).data)

    def told(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows that this person is about to be told of; where being told is an act, it is recorded here."""
        return rows

    def get_object(self) -> Any:
        """The row that was asked for, of those that this person may see.

        Raises
        ------
        Http404
            It is not there, or not for them: the answer is the same.
        """
        name = self.lookup_url_kwarg or self.lookup_field
        wanted = self.kwargs[name]
        if self.lookup_folded:
            found = self.get_queryset().filter(**{self.lookup_folded: folded(wanted)}).first()
        else:
            found = self.get_queryset().filter(**{self.lookup_field: wanted}).first()
        if found is None:
            raise Http404
        return found

    def get_queryset(self) -> QuerySet[Any]:
        raise NotImplementedError

    def body(self, kind: Any) -> dict[str, Any]:
        """The body of a POST as ``kind`` understands it; InvalidInput otherwise."""
        return checked(kind, self.request.data, self.request)


class Nowhere(APIView):
    """Whatever is no address of the API: a problem document, whoever asks and by whichever method."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise Http404
