"""How far readers agree, and what the reveal does to them: one page of numbers, and the cases behind each."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from diagnostics.models import Case
from diagnostics.reviews import double_reading
from diagnostics.reviews.models import ReadKind
from diagnostics.scans.access import Permission, may, require

PAGE_SIZE = 50


class AgreementForm(forms.Form):
    """Which reads count, in the address."""

    said = forms.ChoiceField(
        label=gettext_lazy("Reads"),
        required=False,
        choices=[("", gettext_lazy("Final reads, as first given")), ("blind", gettext_lazy("Blind reads"))],
    )
    cases = forms.ChoiceField(
        label=gettext_lazy("Cases"),
        required=False,
        choices=[
            ("", gettext_lazy("Double-read by policy or at random")),
            ("all", gettext_lazy("All double-read cases")),
        ],
    )


class BehindForm(AgreementForm):
    """Which number's cases."""

    key = forms.CharField(required=False, max_length=64)
    disagreed = forms.BooleanField(required=False)
    flip = forms.ChoiceField(required=False, choices=[("", ""), ("right", ""), ("wrong", "")])


def _asked(request: HttpRequest, kind: type[AgreementForm]) -> tuple[AgreementForm, dict[str, Any]]:
    """The form, and what it asks of the domain."""
    if not may(request.user, Permission.ADJUDICATE):
        require(request.user, Permission.SEE_READS)
    form = kind(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    said = form.cleaned_data["said"] or ReadKind.FINAL
    return form, {"kind": said, "all_cases": form.cleaned_data["cases"] == "all"}


@require_safe
@login_required
def numbers(request: HttpRequest) -> HttpResponse:
    """Percent, Cohen's and Fleiss' kappa overall, by class and by pair; right-flips and wrong-flips."""
    form, asked = _asked(request, AgreementForm)
    context = {"form": form, "report": double_reading.report(request.user, **asked), "few": double_reading.FEW}
    return render(request, "lab/agreement.html", {**context, "most": double_reading.MOST_CASES})


@require_safe
@login_required
def behind(request: HttpRequest) -> HttpResponse:
    """The cases behind one of the numbers."""
    form, asked = _asked(request, BehindForm)
    given = form.cleaned_data
    found = double_reading.cases_behind(
        request.user, **asked, key=given["key"], disagreed=given["disagreed"], flip=given["flip"]
    )
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    cases = Case.objects.visible_to(request.user).select_related("scan__study", "scan__patient", "institution")
    rows = cases.in_bulk([case for case, _one, _other in page.object_list])
    shown = [(rows[case], one, other) for case, one, other in page.object_list if case in rows]
    context = {"rows": shown, "page": page, "total": len(found), "flip": given["flip"], "form": form}
    return render(request, "lab/agreement_cases.html", context)
