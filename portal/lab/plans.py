"""Plans and freezes that a worker carries out, as they are waited for."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from diagnostics.datasets import background
from diagnostics.models import DatasetPlan
from diagnostics.scans.access import Permission, require
from portal.ui.requests import HtmxRequest


@require_safe
@login_required
def waited_for(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """How far a worker is; htmx asks for the part that changes, and for the whole page once it has ended."""
    require(request.user, Permission.FREEZE_DATASET)
    work = get_object_or_404(DatasetPlan.objects.select_related("produced"), pk=pk, by=request.user)
    if request.htmx:
        answer = render(request, "lab/_plan_waits.html", {"work": work})
        if not work.active:
            answer["HX-Refresh"] = "true"
        return answer
    if work.produced is not None:
        messages.success(request, _("%(name)s is frozen.") % {"name": str(work.produced).capitalize()})
        return redirect("lab:dataset", pk=work.produced.pk)
    return render(request, "lab/plan.html", {"work": work})


@require_POST
@login_required
def again(request: HttpRequest) -> HttpResponse:
    """Throw away what was worked out, and work it out as things are now."""
    require(request.user, Permission.FREEZE_DATASET)
    background.forget(by=request.user)
    query = request.GET.urlencode()
    page = "lab:conflicts" if request.POST.get("page") == "conflicts" else "lab:freeze"
    return redirect(reverse(page) + (f"?{query}" if query else ""))
