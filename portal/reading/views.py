"""The reading page and its acts. The domain keeps the order blind, reveal, final; a page only shows where one is."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from diagnostics.errors import Conflict, Invalid
from diagnostics.models import Claim, Read
from diagnostics.reviews import reading, worklist
from diagnostics.reviews.controls import feedback_for
from diagnostics.reviews.errors import NewImages
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import cases_for
from diagnostics.scans.access import Permission, may
from portal.ui.refusals import add_to, in_json
from portal.ui.requests import HtmxRequest

from .forms import TakeOverForm
from .pages import CasePage, entries_of, only_entered, show


def page_of(request: HttpRequest, pk: UUID) -> CasePage:
    """The case as this person meets it; 404 for a stranger, 403 for a colleague who does not work with cases."""
    # The predictions come with the page's own look at the scan.
    case = get_object_or_404(cases_for(request.user).prefetch_related(None), pk=pk)
    wanted = (Permission.READ_CASE, Permission.ADJUDICATE, Permission.SEE_READS)
    if not any(may(request.user, permission, case.institution) for permission in wanted):
        raise PermissionDenied(_("Cases are open to readers and data managers."))
    return CasePage(request.user, case)


def on_conflict_as_it_is_now(view: Callable[[HttpRequest, Any], HttpResponse]) -> Callable[..., HttpResponse]:
    """Where the case is not, or no longer, where the page thought: the page as it is now, with what happened and what
    the reader had entered."""

    @wraps(view)
    def told(request: HttpRequest, pk: UUID) -> HttpResponse:
        try:
            return view(request, pk)
        except NewImages as refused:
            page = page_of(request, pk)
            form = page.form(kept=entries_of(request.POST))
            return show(request, page, form=form, refusal=refused.sentence, status=409)
        except Conflict as refused:
            page, entries = page_of(request, pk), entries_of(request.POST)
            return show(request, page, refusal=refused.sentence, entries=entries, status=409)

    return told


def revision_of(request: HttpRequest) -> int | None:
    """The revision of the scan's images that the page showed, where its form says so."""
    said = request.POST.get("scan_revision", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


def attempt(request: HttpRequest, page: CasePage, form: Any, act: Callable[[], Read]) -> Read | HttpResponse:
    """The read that ``act`` records, or the page whose form says why it cannot be stored."""
    try:
        return act()
    except Invalid as refused:
        add_to(form, refused)
        return show(request, page, form=form, status=400)


@require_safe
@login_required
def case(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """One case: image, where the reader stands, what happened so far. Asked by htmx: has the opinion landed?"""
    page = page_of(request, pk)
    if request.htmx:
        if page.pending:
            return HttpResponse(status=204)
        return render(request, "reading/_panel.html", {**page.context(), "form": page.form()})
    return show(request, page)


@require_POST
@login_required
@on_conflict_as_it_is_now
def blind(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Lock the blind read; until the reveal it can be undone."""
    page = page_of(request, pk)
    if entered := only_entered(request, page):
        return entered
    form = page.blind_form(request.POST)
    if not form.is_valid():
        return show(request, page, form=form if page.step == "blind" else None, status=400)
    act = partial(
        reading.record_read,
        by=request.user,
        case=page.case,
        claim_token=form.cleaned_data["claim_token"],
        kind=ReadKind.BLIND,
        scan_revision=revision_of(request),
        **form.said,
    )
    outcome = attempt(request, page, form, act)
    return outcome if isinstance(outcome, HttpResponse) else redirect("reading:case", pk)


@require_POST
@login_required
@on_conflict_as_it_is_now
def reveal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the AI's opinion; the blind read stands from now on."""
    page = page_of(request, pk)
    reading.reveal(by=request.user, case=page.case, claim_token=request.POST.get("claim_token", ""))
    return redirect("reading:case", pk)


@require_POST
@login_required
@on_conflict_as_it_is_now
def final(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Record the final read; ``then=next`` goes on with the next case."""
    page = page_of(request, pk)
    if entered := only_entered(request, page):
        return entered
    form = page.final_form(request.POST)
    shown = str(page.prediction.pk) if page.prediction is not None else ""
    if page.step == "final" and shown != request.POST.get("opinion", ""):
        # Ending the case now would store that the reader had seen an opinion which they had not.
        kept = page.final_form(kept=entries_of(request.POST))
        news = _("The AI result arrived after you opened this page. Review it, then submit. Your entries are kept.")
        return show(request, page, form=kept, refusal=news, status=409)
    if form.is_valid() and page.pending and not form.cleaned_data["without_ai"]:
        form.add_error("without_ai", _("The analysis is running. Wait for it, or select this to finish without it."))
    if not form.is_valid():
        return show(request, page, form=form if page.step == "final" else None, status=400)
    act = partial(
        reading.record_read,
        by=request.user,
        case=page.case,
        claim_token=form.cleaned_data["claim_token"],
        kind=ReadKind.FINAL,
        scan_revision=revision_of(request),
        **form.said,
        seen=page.prediction.pk if page.prediction is not None else None,
    )
    read = attempt(request, page, form, act)
    if isinstance(read, HttpResponse):
        return read
    messages.success(request, _("Read recorded: %(said)s.") % {"said": reading.headline(read)})
    if request.POST.get("then") == "next":
        _tell_if_control(request, read)
        return redirect("worklist:next", preserve_request=True)
    return redirect("reading:case", pk)


def _tell_if_control(request: HttpRequest, read: Read) -> None:
    """Tell the answer of a control case on the next case's page; whoever stays finds it on this one."""
    read.case.refresh_from_db(fields=["state"])
    known = feedback_for(request.user, read.case)
    if known is not None:
        (messages.success if known.right else messages.warning)(request, known.sentence)


@require_POST
@login_required
@on_conflict_as_it_is_now
def amend(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put a new revision beside one's own final read."""
    page = page_of(request, pk)
    form = page.amend_form(request.POST)
    if form is None or page.own_final is None:
        raise PermissionDenied(_("Only the reader of a final read can amend it."))
    if entered := only_entered(request, page, form=form):
        return entered
    if not form.is_valid():
        return show(request, page, form=form, status=400)
    amended = attempt(request, page, form, partial(reading.amend, by=request.user, read=page.own_final, **form.said))
    if isinstance(amended, HttpResponse):
        return amended
    messages.success(request, _("Your read was amended. The earlier one stays in the history."))
    return redirect("reading:case", pk)


@require_POST
@login_required
@on_conflict_as_it_is_now
def release(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the case back unread."""
    page = page_of(request, pk)
    worklist.release_study(by=request.user, case=page.case, claim_token=request.POST.get("claim_token", ""))
    messages.info(request, _("The case is back in the worklist."))
    return redirect("worklist:list")


@require_POST
@login_required
@in_json
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Extend the lease while the reader is at work; 409 with a sentence when it has ended."""
    page = page_of(request, pk)
    lease = worklist.renew(by=request.user, case=page.case, claim_token=request.POST.get("claim_token", ""))
    local = timezone.localtime(lease.expires_at)
    told = {"expires_at": lease.expires_at.isoformat(), "until": f"{local:%H:%M}"}
    return JsonResponse({**told, "scan_revision": page.scan.revision})


def _claimed(request: HttpRequest, pk: UUID, _lease: Claim) -> HttpResponse:
    """On with the case; where something had been entered before, it stands in the form again."""
    entries = entries_of(request.POST) if "kept" in request.POST else {}
    if not entries:
        return redirect("reading:case", pk)
    page = page_of(request, pk)
    return show(request, page, form=page.form(kept=entries))


@require_POST
@login_required
@on_conflict_as_it_is_now
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Claim the case again after the lease has ended, with what had been entered."""
    page = page_of(request, pk)
    return _claimed(request, pk, worklist.claim_study(by=request.user, case=page.case))


@require_POST
@login_required
@on_conflict_as_it_is_now
def take_over(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take the case from whoever holds it, saying why."""
    page = page_of(request, pk)
    form = TakeOverForm({"reason": request.POST.get("why", "")})
    entries = entries_of(request.POST)
    if not form.is_valid():
        return show(request, page, take_over=form, entries=entries, status=400)
    try:
        lease = worklist.take_over_study(by=request.user, case=page.case, reason=form.cleaned_data["reason"])
    except Invalid as refused:
        add_to(form, refused)
        return show(request, page, take_over=form, entries=entries, status=400)
    return _claimed(request, pk, lease)
