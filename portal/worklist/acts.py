"""What is done from the list besides claiming: releasing and dealing out cases, and keeping a view of it."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from diagnostics.errors import Conflict, Invalid
from diagnostics.reviews import errors, worklist
from diagnostics.reviews.queries import cases_for, live_claim
from diagnostics.scans.access import Permission, may

from .views import guarded, page, uuids


@require_POST
@login_required
def assign(request: HttpRequest) -> HttpResponse:
    """Keep the ticked cases for one reader, or for nobody any more; all of them, or none."""
    if not may(request.user, Permission.ADJUDICATE):
        raise PermissionDenied(_("An adjudicator assigns cases."))
    wanted = uuids(request.POST.getlist("cases"))
    if not wanted:
        return page(request, refusal=_("Select the cases to assign."), status=400)
    cases = list(cases_for(request.user).filter(pk__in=wanted))
    readers = {str(reader.pk): reader for reader in worklist.readers_for(request.user)}
    to = request.POST.get("to", "")
    if len(cases) != len(wanted) or (to != "nobody" and to not in readers):
        return page(request, refusal=_("Choose a reader of the cases' institution."), status=400)
    try:
        dealt = worklist.assign(by=request.user, cases=worklist.with_their_studies(cases), to=readers.get(to))
    except Invalid as refused:
        return page(request, refusal=refused.sentence, status=400)
    except Conflict as refused:
        return page(request, refusal=_("%(why)s No case was assigned.") % {"why": refused}, status=409)
    if to == "nobody":
        said = ngettext("%(n)d case is unassigned.", "%(n)d cases are unassigned.", len(dealt))
    else:
        said = ngettext("%(n)d case is assigned to %(who)s.", "%(n)d cases are assigned to %(who)s.", len(dealt))
    messages.success(request, said % {"n": len(dealt), "who": readers.get(to)})
    return redirect(f"{reverse('worklist:list')}?{request.GET.urlencode() or 'tab=unclaimed'}")


@require_POST
@login_required
def release(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Release a case that one holds unread, from wherever one went on to."""
    guarded(request)
    case = get_object_or_404(cases_for(request.user), pk=pk)
    own = live_claim(request.user, case)
    try:
        worklist.release_study(by=request.user, case=case, claim_token=own and own.token)
    except errors.StaleClaim:
        return page(request, refusal=_("This case is no longer claimed by you."), status=409)
    messages.info(
        request,
        _("Released: %(case)s. Other readers can claim it now.") % {"case": case.scan.study.accession or case.scan},
    )
    return redirect("worklist:list")


@require_POST
@login_required
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep what the list is narrowed to, under a name."""
    guarded(request)
    said = request.POST
    try:
        view = worklist.save_view(
            by=request.user,
            name=said.get("name", ""),
            query=said.get("query", ""),
            default=said.get("default") == "on",
        )
    except Invalid as refused:
        if refused.field == "query":  # out of the page's own address, which nobody can put right in the form
            raise
        return page(request, refusal=refused.sentence, status=400)
    messages.success(request, _("The view “%(name)s” was saved.") % {"name": view.name})
    return redirect(f"{reverse('worklist:list')}?{view.query}")


@require_POST
@login_required
def forget_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Forget one of one's own views."""
    guarded(request)
    view = get_object_or_404(worklist.views_of(request.user), pk=pk)
    worklist.forget_view(by=request.user, view=view)
    messages.info(request, _("The view “%(name)s” was deleted.") % {"name": view.name})
    return redirect(f"{reverse('worklist:list')}?{view.query}")
