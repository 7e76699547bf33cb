"""Look-alikes whose labels contradict each other: seen side by side, and settled with a reason."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from diagnostics import pipeline
from diagnostics.datasets import conflicts
from diagnostics.models import RuledOut, Scan
from diagnostics.scans.access import Permission, require
from portal.learning.forms import FreezeForm
from portal.ui.refusals import refusals_as_messages

RULINGS_SHOWN = 50


class SettleForm(forms.Form):
    """Which label stands; ``scans`` as "id=label", as the page showed them."""

    scans = forms.CharField(max_length=20_000)
    stands = forms.CharField(max_length=16, required=False)
    reason = forms.CharField(required=False)

    def clean_scans(self) -> dict[UUID, str]:
        try:
            pairs = [each.split("=") for each in self.cleaned_data["scans"].split()]
            return {UUID(scan): label for scan, label in pairs}
        except ValueError:
            raise forms.ValidationError(_("There is no such set of scans.")) from None


@require_safe
@login_required
def listed(request: HttpRequest) -> HttpResponse:
    """The open conflicts of what would be frozen now, and the rulings so far."""
    require(request.user, Permission.FREEZE_DATASET)
    form = FreezeForm(FreezeForm.said_in(request.GET), by=request.user)
    wanted = form.wanted()
    if wanted is None:
        raise BadRequest(_("There is no such filter."))
    look = pipeline.plan_dataset(by=request.user, wanted=wanted)
    counts = look.summary.counts if look.summary else {}
    rulings = RuledOut.objects.visible_to(request.user).standing().select_related("by", "scan")
    context = {
        "work": look.row,
        "planned": look.summary is not None,
        "sets": _sets(request, counts.get("conflicts_listed", [])),
        "open": counts.get("conflicts", 0),
        "rulings": _by_ruling(rulings[:RULINGS_SHOWN]),
        "back": request.GET.urlencode(),
    }
    return render(request, "lab/conflicts.html", context)


def _sets(request: HttpRequest, found: Sequence[Sequence[Mapping[str, str]]]) -> list[dict[str, Any]]:
    """Each conflict with its scans, the labels among which to choose, and what the form sends back."""
    wanted = [row["scan"] for rows in found for row in rows]
    scans = Scan.objects.visible_to(request.user).select_related("patient", "institution").in_bulk(wanted)
    return [
        {
            "rows": [(scans[UUID(row["scan"])], row["label"]) for row in rows if UUID(row["scan"]) in scans],
            "labels": list(dict.fromkeys(row["label"] for row in rows)),
            "seen": " ".join(f"{row['scan']}={row['label']}" for row in rows),
        }
        for rows in found
    ]


def _by_ruling(rows: Any) -> list[list[RuledOut]]:
    found: dict[UUID, list[RuledOut]] = {}
    for row in rows:
        found.setdefault(row.ruling, []).append(row)
    return list(found.values())


@require_POST
@login_required
def settle(request: HttpRequest) -> HttpResponse:
    """Decide which label stands."""
    require(request.user, Permission.FREEZE_DATASET)
    form = SettleForm(request.POST)
    if not form.is_valid():
        raise BadRequest(_("There is no such set of scans."))
    given = form.cleaned_data
    with refusals_as_messages(request, conflicts.NotSettled):
        out = conflicts.finalize(by=request.user, seen=given["scans"], stands=given["stands"], reason=given["reason"])
        words = ngettext(
            "Resolved: %(n)d scan is excluded from datasets.",
            "Resolved: %(n)d scans are excluded from datasets.",
            len(out),
        )
        messages.success(request, words % {"n": len(out)})
    return _back(request)


@require_POST
@login_required
def take_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a ruling back."""
    require(request.user, Permission.FREEZE_DATASET)
    with refusals_as_messages(request, conflicts.NotSettled):
        conflicts.take_back(by=request.user, ruling=pk)
        messages.success(request, _("The ruling was undone. The conflict is open again."))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    query = request.GET.urlencode()
    return redirect(reverse("lab:conflicts") + (f"?{query}" if query else ""))
