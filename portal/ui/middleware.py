"""What every answer carries unless its view says otherwise, and what becomes of a refusal."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import translation
from django_htmx.http import HttpResponseClientRefresh
from django_structlog.middlewares import RequestMiddleware

from diagnostics.scans.access import NotAllowed

# Asked by machines, and by each open page once a minute; their log would hide everything else.
UNLOGGED = frozenset({"/healthz", "/readyz", "/notifications/bell/"})


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


class RefusalMiddleware:
    """A missing permission becomes a page with the domain's sentence; an ended session ends polling."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        # htmx follows redirects by itself and would put the sign-in page inside a table: load the whole page instead.
        if (
            request.headers.get("HX-Request")
            and response.status_code == 302
            and response.headers.get("Location", "").startswith(resolve_url(settings.LOGIN_URL))
        ):
            return HttpResponseClientRefresh()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, NotAllowed):
            return None
        return render(request, "403.html", {"sentence": str(exception)}, status=403)


class RequestLogMiddleware(RequestMiddleware):
    """One line at the end of each request, by its path alone: what people search for stays out of the logs."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path in UNLOGGED:
            return self.get_response(request)
        return super().__call__(request)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"
