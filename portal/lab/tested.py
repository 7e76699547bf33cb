"""The scans behind a candidate's numbers: those of a cell of its confusion matrix, or those whose opinion changes."""

from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnostics.models import ModelVersion
from diagnostics.reviews.models import Label
from diagnostics.scans.access import Permission, require
from diagnostics.training import tested_queries as queries
from portal.learning.labels import LABELS

PAGE_SIZE = 50


class CellForm(forms.Form):
    """Which cell; none for the scans whose opinion changes."""

    truth = forms.ChoiceField(required=False, choices=[("", ""), *Label.choices])
    opinion = forms.ChoiceField(required=False, choices=[("", ""), *Label.choices])
    page = forms.IntegerField(required=False, min_value=1)


@require_safe
@login_required
def behind(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The scans of one cell, or those whose opinion changes, as far as this person may open them."""
    require(request.user, Permission.SEE_MODELS)
    version = get_object_or_404(ModelVersion, pk=pk)
    form = CellForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    truth, opinion = form.cleaned_data["truth"], form.cleaned_data["opinion"]
    if truth and opinion:
        rows = queries.behind_cell(request.user, version, truth, opinion)
        title = _("%(truth)s called %(opinion)s") % {"truth": LABELS[truth], "opinion": LABELS[opinion]}
    else:
        rows = queries.changed(request.user, version)
        title = _("Scans with a changed AI result")
    page = Paginator(rows, PAGE_SIZE).get_page(form.cleaned_data["page"] or 1)
    return render(request, "lab/tested.html", {"version": version, "title": title, "page": page})
