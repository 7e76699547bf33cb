"""How readers did on control cases, whose answer was known: one line a reader, and the cases behind it."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from diagnostics.models import Case
from diagnostics.reviews import controls, double_reading

PAGE_SIZE = 50


@require_safe
@login_required
def results(request: HttpRequest) -> HttpResponse:
    """Share right by reader with its interval; ``reader`` and ``wrong`` narrow the cases below."""
    if not controls.may_see_results(request.user):
        raise PermissionDenied(_("Control cases are open to readers and their managers."))
    answers = controls.answers_for(request.user)
    rows = controls.results_of(answers)
    wanted, wrong = request.GET.get("reader", ""), request.GET.get("wrong", "")
    if wanted and wanted not in {str(row.reader) for row in rows}:
        raise BadRequest(_("There is no such reader here."))
    shown = [each for each in answers if wanted in ("", str(each.reader)) and not (wrong and each.right)]
    page = Paginator(shown, PAGE_SIZE).get_page(request.GET.get("page"))
    found = Case.objects.visible_to(request.user).filter(pk__in=[each.case for each in page.object_list])
    cases = {case.pk: case for case in found.select_related("scan__study", "scan__patient")}
    context = {
        "rows": rows,
        "page": page,
        "behind": [(cases[each.case], each) for each in page.object_list if each.case in cases],
        "wanted": wanted,
        "wrong": wrong,
        "few": double_reading.FEW,
    }
    return render(request, "lab/controls.html", context)
