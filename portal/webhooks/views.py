"""Webhooks of one's institutions: make one, change it, look at what it was told, send that again."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from diagnostics.errors import Conflict, Invalid
from diagnostics.jobs.retried import JobState
from diagnostics.models import Webhook
from diagnostics.scans.access import Permission, may
from diagnostics.webhooks import services
from portal.accounts.signed_in import person_of
from portal.ui.paging import page_of
from portal.ui.refusals import refusals_in_form

from .forms import ChangeForm, NewWebhookForm, WebhookForm

SHOWN = ("", JobState.FAILED, JobState.WAITING)


def _guarded(request: HttpRequest) -> None:
    if not may(request.user, Permission.ADMINISTER):
        raise PermissionDenied(_("This page is for administrators."))


def _webhook(request: HttpRequest, pk: UUID) -> Webhook:
    _guarded(request)
    return get_object_or_404(services.webhooks_for(request.user), pk=pk)


def _list_page(request: HttpRequest, form: NewWebhookForm, *, status: int = 200) -> HttpResponse:
    rows = list(services.webhooks_for(request.user))
    return render(request, "webhooks/list.html", {"rows": rows, "form": form}, status=status)


def _page(
    request: HttpRequest, hook: Webhook, *, form: ChangeForm | None = None, secret: str = "", status: int = 200
) -> HttpResponse:
    """A webhook with what it was told; ``secret`` is shown in this answer alone."""
    state = request.GET.get("state", "")
    rows = services.deliveries_for(request.user).filter(webhook=hook)
    if state in SHOWN[1:]:
        rows = rows.filter(state=state)
    page = page_of(rows, order=("-created_at", "-id"), after=request.GET.get("after", ""))
    context = {
        "hook": hook,
        "form": form or WebhookForm.of(hook),
        "secret": secret,
        "rows": page.rows,
        "after": page.after,
        "paged": "after" in request.GET,
        "state": state,
    }
    return render(request, "webhooks/webhook.html", context, status=status)


@require_safe
@login_required
def listed(request: HttpRequest) -> HttpResponse:
    """The webhooks of one's institutions, and a form for another one."""
    _guarded(request)
    return _list_page(request, NewWebhookForm(by=person_of(request)))


@require_POST
@never_cache
@login_required
def add(request: HttpRequest) -> HttpResponse:
    """Add a webhook; the answer shows its secret, and no other ever does."""
    _guarded(request)
    form = NewWebhookForm(request.POST, by=person_of(request))
    if form.is_valid():
        with refusals_in_form(form, Invalid, Conflict):
            hook, secret = services.add_webhook(by=request.user, **form.cleaned_data)
            return _page(request, hook, secret=secret, status=201)
    return _list_page(request, form, status=400)


@require_safe
@login_required
def webhook(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One webhook and its deliveries."""
    return _page(request, _webhook(request, pk))


@require_POST
@login_required
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change a webhook."""
    hook = _webhook(request, pk)
    form = WebhookForm.of(hook, request.POST)
    if form.is_valid():
        with refusals_in_form(form, Invalid, Conflict):
            services.change_webhook(by=request.user, webhook=hook, **form.cleaned_data)
            messages.success(request, _("The webhook was changed."))
            return redirect("webhooks:webhook", pk=hook.pk)
    return _page(request, hook, form=form, status=400)


@require_POST
@never_cache
@login_required
def rotate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a webhook another secret, shown in this answer alone."""
    hook = _webhook(request, pk)
    secret = services.rotate_secret(by=request.user, webhook=hook)
    return _page(request, get_object_or_404(services.webhooks_for(request.user), pk=pk), secret=secret)


@require_POST
@login_required
def send_test(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send a test."""
    hook = _webhook(request, pk)
    services.send_test(by=request.user, webhook=hook)
    messages.success(request, _("A test is sent within seconds. Reload the page to see what came of it."))
    return redirect("webhooks:webhook", pk=hook.pk)


@require_POST
@login_required
def redeliver(request: HttpRequest, pk: int) -> HttpResponse:
    """Send an event once more."""
    _guarded(request)
    row = get_object_or_404(services.deliveries_for(request.user), pk=pk)
    services.redeliver(by=request.user, delivery=row)
    messages.success(request, _("The event is sent again within seconds."))
    return redirect("webhooks:webhook", pk=row.webhook_id)
