"""A case's thread: what one may see of it, a word of one's own, and whom one may mention."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from diagnostics.errors import Invalid
from diagnostics.models import Case
from diagnostics.reviews import comments as review_comments
from diagnostics.reviews.comments import people_like
from diagnostics.reviews.queries import cases_for
from diagnostics.reviews.thread import thread_of
from diagnostics.scans.access import Permission, may
from portal.ui.refusals import add_to
from portal.ui.requests import HtmxRequest

from .forms import RemarkForm

WORKS = (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)


def _case(request: HttpRequest, pk: UUID) -> Case:
    """The case, for everybody who may see it: also for technologists, to whom the reading page is closed."""
    found: Case = get_object_or_404(cases_for(request.user), pk=pk)
    return found


def _context(request: HttpRequest, case: Case, form: RemarkForm) -> dict[str, object]:
    return {
        "case": case,
        "scan": case.scan,
        "thread": thread_of(request.user, case),
        "written": form,
        "may_work": any(may(request.user, each, case.institution_id) for each in WORKS),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def comments(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """The thread as a page of its own, and what is written into it; asked by htmx, the thread alone."""
    case = _case(request, pk)
    part = bool(request.htmx)
    if request.method != "POST":
        return _shown(request, case, RemarkForm(), part=part)
    form = RemarkForm(request.POST)
    if not form.is_valid():
        return _shown(request, case, form, part=part, status=400)
    try:
        review_comments.comment(by=request.user, case=case, text=form.cleaned_data["text"])
    except Invalid as refused:
        add_to(form, refused)
        return _shown(request, case, form, part=part, status=400)
    if part:
        return _shown(request, case, RemarkForm(), part=True)
    messages.success(request, _("Your comment was added."))
    back = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back) if ours else redirect("reading:comments", pk)


def _shown(request: HttpRequest, case: Case, form: RemarkForm, *, part: bool, status: int = 200) -> HttpResponse:
    template = "reading/_comments.html" if part else "reading/comments.html"
    return render(request, template, _context(request, case, form), status=status)


@require_safe
@login_required
def people(request: HttpRequest, pk: UUID) -> JsonResponse:
    """Whom one may mention here, of those whose name begins with ``q``: people who may see this case."""
    case = _case(request, pk)
    found = people_like(request.user, case, request.GET.get("q", "")[:150])
    return JsonResponse({"people": [{"username": each.username, "name": str(each)} for each in found]})
