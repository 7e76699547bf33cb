"""The views that belong to no room: the way in, and the health of the installation."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from diagnostics.scans.access import Permission, may
from portal import health


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


@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Browsers ask for this by themselves wherever a page names no icon."""
    return redirect(static("icons/overread.svg"))
