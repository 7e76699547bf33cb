"""The model in use, watched: what readers make of it, what comes in, and the alerts; each number opens its cases."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from diagnostics.models import Alert, ModelVersion, Scan
from diagnostics.monitoring import numbers, services
from diagnostics.registry import services as registry
from diagnostics.scans.access import NotAllowed, Permission, require
from portal.ui import charts_over_time
from portal.ui.fields import choose_from
from portal.ui.refusals import refusals_as_messages

PAGE_SIZE = 50
ALERTS_SHOWN = 20
PERIODS = (("28", gettext_lazy("4 weeks")), ("90", gettext_lazy("3 months")), ("365", gettext_lazy("a year")))


class MonitorForm(forms.Form):
    """Which model version, over how long."""

    version = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(),
        to_field_name="number",
        label=gettext_lazy("Model"),
        required=False,
        empty_label=gettext_lazy("The live one"),
    )
    days = forms.ChoiceField(
        label=gettext_lazy("Period"), required=False, choices=[("", gettext_lazy("3 months")), *PERIODS]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choose_from(self, "version", ModelVersion.objects.order_by("-number"))


def _asked(request: HttpRequest) -> tuple[MonitorForm, ModelVersion | None, int]:
    require(request.user, Permission.SEE_MODELS)
    if not numbers.watched_by(request.user).exists():
        raise NotAllowed(gettext_lazy("Readers stay blind to the AI, including its overall figures."))
    form = MonitorForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    return form, form.cleaned_data["version"] or registry.live(), int(form.cleaned_data["days"] or numbers.DAYS)


@require_safe
@login_required
def watched(request: HttpRequest) -> HttpResponse:
    """Shares with intervals, shifts, and weeks of one model version."""
    form, version, days = _asked(request)
    found = numbers.report(request.user, version, days=days) if version is not None else None
    weeks = found.weeks if found else []
    drawn = [
        charts_over_time.over_weeks(
            weeks,
            {"overrides": _("Overrides"), "agreed": _("Blind reads that agree")},
            _("Reader agreement"),
            of="reads",
        ),
        charts_over_time.over_weeks(
            weeks,
            {"tumour": _("Called tumour"), "unlike": _("Unlike the training data"), "failed": _("Failed")},
            _("Incoming scans"),
            of="ready",
        ),
    ]
    alerts = Alert.objects.visible_to(request.user).select_related(
        "institution", "model_version", "owner", "acknowledged_by"
    )
    context = {
        "form": form,
        "report": found,
        "drawings": [chart for chart in drawn if chart is not None],
        "alerts": alerts.order_by("closed_at", "-opened_at")[:ALERTS_SHOWN]
        if request.GET.get("closed")
        else alerts.open()[:ALERTS_SHOWN],
        "limits": services.limits(),
        "few": numbers.FEW,
        "most": numbers.MOST,
        "reference": numbers.REFERENCE,
        "recent_days": numbers.RECENT_DAYS,
    }
    return render(request, "lab/monitor.html", context)


@require_safe
@login_required
def behind(request: HttpRequest) -> HttpResponse:
    """The scans behind one of the numbers."""
    form, version, days = _asked(request)
    found = numbers.drill_down(request.user, version, request.GET.get("key", ""), days=days) if version else []
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    scans = Scan.objects.visible_to(request.user).select_related("patient", "institution")
    rows = scans.in_bulk([scan for scan, _words in page.object_list])
    shown = [(rows[scan], words) for scan, words in page.object_list if scan in rows]
    context = {"rows": shown, "page": page, "total": len(found), "version": version, "form": form}
    return render(request, "lab/monitor_cases.html", context)


@require_POST
@login_required
def acknowledge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an alert on."""
    require(request.user, Permission.SEE_MODELS)
    alert = get_object_or_404(Alert.objects.visible_to(request.user).select_related("institution"), pk=pk)
    with refusals_as_messages(request, services.AlertNotTaken):
        services.acknowledge(by=request.user, alert=alert, note=request.POST.get("note", ""))
        messages.success(request, _("You acknowledged the alert."))
    return redirect("lab:monitor")
