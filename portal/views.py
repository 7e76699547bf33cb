"""The views that belong to no room: the way in, and the health of the installation."""

import sys

import structlog
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.http import require_safe

from diagnostics import disk
from diagnostics.scans.access import Permission, may
from portal import health
from portal.ui.context import theme_of


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponseRedirect:
    """Each person starts where their work is."""
    for permission, page in (
        (Permission.READ_CASE, "worklist:list"),
        (Permission.ADJUDICATE, "worklist:list"),
        (Permission.TRAIN, "lab:overview"),
        (Permission.SUBMIT_SCAN, "uploads:hand-in"),
    ):
        if may(request.user, permission):
            return redirect(page)
    return redirect("accounts:account")


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether everything that work needs is there; each part is "ok" or a sentence. 503 where one is missing."""
    parts = health.parts()
    return JsonResponse(parts, status=200 if set(parts.values()) == {health.OK} else 503)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page after a fault of ours: in the reader's language and theme, with what finds the fault in the log.

    It asks nothing of the database, which may be what broke. Where the disk is full it says so: 507.
    """
    error = sys.exc_info()[1]
    full = str(disk.StorageFull()) if disk.is_full(error) else ""
    if full and request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse({"sentence": full, "errors": {"": [full]}}, status=507)
    context = {
        "theme": theme_of(request),
        "at": timezone.localtime(),
        "reference": structlog.contextvars.get_contextvars().get("request_id", ""),
        "full": full,
    }
    return HttpResponse(render_to_string("500.html", context), status=507 if full else 500)


@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Browsers ask for this by themselves wherever a page names no icon."""
    return redirect(static("icons/overread.svg"))
