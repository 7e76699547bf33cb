"""What every answer carries unless its view says otherwise, and what becomes of a refusal."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import resolve_url
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.defaults import bad_request
from django_htmx.http import HttpResponseClientRefresh
from django_structlog.middlewares import RequestMiddleware

from diagnostics.disk import StorageFull
from diagnostics.errors import DomainError

from .refusals import answer

# Asked by machines, and by each open page once a minute; their log would hide everything else.
UNLOGGED = frozenset({"/healthz", "/readyz", "/notifications/bell/"})


# What our scripts ask for; a browser that opens a page wants HTML.
WANTED_BY_SCRIPTS = frozenset({"application/json", "application/octet-stream"})


# What the databases say of it: SQLite's driver, and PostgreSQL.
BEYOND_A_COLUMN = (OverflowError, DataError)


class PrivateByDefaultMiddleware:
    """Answers are not to be kept by any cache, unless the view set its own ``Cache-Control``."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if "Cache-Control" not in response:
            response["Cache-Control"] = "private, no-store"
        return response


class OwnLanguageMiddleware:
    """Whoever chose a language gets it in every browser; for all others the browser's wish holds."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated and user.language:
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)


def _page_of_the_form(request: HttpRequest) -> str:
    """``?next=…`` with the page that a form came from, as far as the browser says so."""
    came_from = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        return ""
    place = urlsplit(came_from)
    return "?" + urlencode({"next": place.path + (f"?{place.query}" if place.query else "")}, safe="/")


class RefusalMiddleware:
    """Whatever the domain refuses, and no view has told where it belongs, becomes a page with the domain's sentence.

    An ended session ends polling.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        door = resolve_url(settings.LOGIN_URL)
        if response.status_code != 302 or not response.headers.get("Location", "").startswith(f"{door}?"):
            return response
        # htmx follows redirects by itself and would put the sign-in page inside a table: load the whole page instead.
        if request.headers.get("HX-Request"):
            return HttpResponseClientRefresh()
        # So does a script, which would take the sign-in page for a yes.
        if request.headers.get("Accept") in WANTED_BY_SCRIPTS:
            return JsonResponse({"sentence": _("You are signed out.")}, status=401)
        if request.method == "POST":
            # Behind the door only an address that can be opened: the page that the form stands on.
            return HttpResponseRedirect(f"{door}{_page_of_the_form(request)}")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        # A full disk has a page that asks nothing of the disk: portal.views.server_error.
        if isinstance(exception, DomainError) and not isinstance(exception, StorageFull):
            return answer(request, exception)
        # A number in an address that no column can hold is the asker's mistake, not a fault of ours.
        if isinstance(exception, BEYOND_A_COLUMN) and request.method in ("GET", "HEAD") and request.GET:
            return bad_request(request, BadRequest(_("There is no such filter.")))
        return None


class RequestLogMiddleware(RequestMiddleware):
    """One line at the end of each request, by its path alone: what people search for stays out of the logs."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in UNLOGGED:
            return self.get_response(request)
        return super().__call__(request)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"
