"""What waits for nobody, for whoever can do something about it: adjudicators and administrators."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from diagnostics.errors import Conflict, Invalid
from diagnostics.reviews import double_reading, worklist
from diagnostics.reviews.double_reading import waits_for_nobody
from diagnostics.reviews.queries import cases_for
from diagnostics.scans.access import Permission, may
from portal.ui.refusals import status_of

WHY = {
    "left": gettext_lazy("Assigned to somebody who can no longer read it."),
    "no_second_reader": gettext_lazy("Needs a second reader, and everybody left has read it."),
    "no_adjudicator": gettext_lazy("Needs an adjudicator, and everybody left has read it."),
}


def _guarded(request: HttpRequest) -> None:
    if not any(may(request.user, permission) for permission in (Permission.ADJUDICATE, Permission.ADMINISTER)):
        raise PermissionDenied(_("This page is for adjudicators and administrators."))


def _page(request: HttpRequest, *, refusal: str = "", status: int = 200) -> HttpResponse:
    found = waits_for_nobody(request.user)
    context = {
        "rows": [(each.case, each.why, WHY[each.why]) for each in found.cases],
        "without_reader": found.without_reader,
        "refusal": refusal,
    }
    return render(request, "worklist/nobody.html", context, status=status)


@require_safe
@login_required
def nobodys(request: HttpRequest) -> HttpResponse:
    """The cases that nobody can take, each with what can be done about it."""
    _guarded(request)
    return _page(request)


def _act(request: HttpRequest, pk: UUID, service: Callable[..., object], said: str) -> HttpResponse:
    _guarded(request)
    case = get_object_or_404(cases_for(request.user), pk=pk)
    try:
        service(by=request.user, case=case)
    except (Invalid, Conflict) as refused:
        return _page(request, refusal=refused.sentence, status=status_of(refused))
    messages.success(request, said)
    return redirect("worklist:nobody")


@require_POST
@login_required
def free(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a case that is kept for somebody who has left back to the others."""
    return _act(request, pk, worklist.free_case, _("The case is available to others."))


@require_POST
@login_required
def finish(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Finish a case with its first read, as nobody can give the second one."""
    waive = partial(double_reading.waive_second_reader, reason=request.POST.get("reason", ""))
    return _act(request, pk, waive, _("The case was finished with the first read."))
