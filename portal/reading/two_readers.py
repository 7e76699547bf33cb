"""What two readers and an adjudicator do on the reading page: settle, send back, ask, answer, take back."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from diagnostics.errors import Invalid
from diagnostics.reviews import double_reading, reading
from diagnostics.reviews.models import ReadKind
from portal.ui.refusals import add_to

from .forms import CommentForm, ReturnForm, TakeOverForm
from .pages import CasePage, entries_of, only_entered, show
from .views import attempt, on_conflict_as_it_is_now, page_of, revision_of


@require_POST
@login_required
@on_conflict_as_it_is_now
def adjudicate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Settle a disagreement; ``then=next`` goes on with the next case."""
    page = page_of(request, pk)
    if entered := only_entered(request, page):
        return entered
    form = page.adjudication_form(request.POST)
    if not form.is_valid():
        return show(request, page, form=form if page.step == "adjudicate" else None, status=400)
    act = partial(
        reading.record_read,
        by=request.user,
        case=page.case,
        claim_token=form.cleaned_data["claim_token"],
        kind=ReadKind.FINAL,
        scan_revision=revision_of(request),
        **form.said,
    )
    read = attempt(request, page, form, act)
    if isinstance(read, HttpResponse):
        return read
    messages.success(request, _("Resolved: %(label)s.") % {"label": read.get_label_display()})
    if request.POST.get("then") == "next":
        return redirect("worklist:next", preserve_request=True)
    return redirect("reading:case", pk)


def _say(
    request: HttpRequest, page: CasePage, form: forms.Form, name: str, act: Callable[..., object], done: str
) -> HttpResponse | None:
    """Do what ``form`` asks for; the page that says why it was refused, or None where it was done.

    What had been entered for the read itself is kept and shown again.
    """
    entries = entries_of(request.POST)
    try:
        if form.is_valid():
            act()
            messages.success(request, done)
            return None
    except Invalid as refused:
        add_to(form, refused)
    return show(request, page, form=page.form(kept=entries), extra={name: form}, status=400)


@require_POST
@login_required
@on_conflict_as_it_is_now
def second_opinion(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for a second reader; the read of one's own is still to be given."""
    page = page_of(request, pk)
    form = CommentForm(request.POST)
    act = lambda: double_reading.ask_second_opinion(  # noqa: E731 - the form is read only where it is valid
        by=request.user,
        case=page.case,
        claim_token=request.POST.get("claim_token", ""),
        comment=form.cleaned_data["words"],
    )
    refused = _say(
        request, page, form, "question", act, _("A second reader will read this case without seeing your read.")
    )
    if refused is not None:
        return refused
    page = page_of(request, pk)
    return show(request, page, form=page.form(kept=entries_of(request.POST)))


@require_POST
@login_required
@on_conflict_as_it_is_now
def send_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return a disagreement to one of its readers."""
    page = page_of(request, pk)
    form = ReturnForm(request.POST)
    if entered := only_entered(request, page, extra={"send_back": form}):
        return entered
    act = lambda: double_reading.return_case(  # noqa: E731
        by=request.user,
        case=page.case,
        claim_token=request.POST.get("claim_token", ""),
        reader=form.cleaned_data["reader"],
        comment=form.cleaned_data["words"],
    )
    refused = _say(request, page, form, "send_back", act, _("The case was sent back to its reader with your comment."))
    return redirect("worklist:list") if refused is None else refused


@require_POST
@login_required
@on_conflict_as_it_is_now
def answer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Answer the adjudicator who returned the case."""
    page = page_of(request, pk)
    form = CommentForm(request.POST)
    act = lambda: double_reading.answer(by=request.user, case=page.case, comment=form.cleaned_data["words"])  # noqa: E731
    refused = _say(request, page, form, "reply", act, _("Your answer was saved for the adjudicator."))
    if refused is not None:
        return refused
    page = page_of(request, pk)
    return show(request, page, form=page.form(kept=entries_of(request.POST)))


@require_POST
@login_required
@on_conflict_as_it_is_now
def recall(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a returned case back, to settle it."""
    page = page_of(request, pk)
    form = TakeOverForm({"reason": request.POST.get("why", "")})
    act = lambda: double_reading.recall(by=request.user, case=page.case, reason=form.cleaned_data["reason"])  # noqa: E731
    refused = _say(request, page, form, "take_over", act, _("The case awaits adjudication again."))
    return redirect("reading:case", pk) if refused is None else refused
