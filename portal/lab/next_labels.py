"""Which scans to label next: a list for whoever plans labelling."""

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from diagnostics.models import Scan
from diagnostics.monitoring import campaign, numbers
from diagnostics.scans.access import NotAllowed, Permission, require

AT_FIRST = {"order": campaign.Order.UNCERTAINTY, "count": "50", "institution": ""}


class NextForm(forms.Form):
    """By what, how many, where."""

    order = forms.ChoiceField(label=gettext_lazy("By"), required=False, choices=campaign.Order.choices)
    count = forms.TypedChoiceField(
        label=gettext_lazy("Number"),
        required=False,
        coerce=int,
        choices=[(n, n) for n in (20, 50, 100, campaign.MOST)],
    )
    institution = forms.ChoiceField(label=gettext_lazy("Institution"), required=False)


@require_safe
@login_required
def next_labels(request: HttpRequest) -> HttpResponse:
    """The scans from whose labels the model would learn most, a tenth of them drawn at random."""
    require(request.user, Permission.FREEZE_DATASET)
    places = numbers.watched_by(request.user)
    if not places.exists():
        raise NotAllowed(gettext_lazy("Readers stay blind to the AI, including its overall figures."))
    # What was not asked for is filled in, so that the form says what the list is.
    form = NextForm({**AT_FIRST, **{name: value for name, value in request.GET.items() if value}})
    form.fields["institution"].choices = [("", _("All")), *places.values_list("code", "name")]  # type: ignore[attr-defined]
    if not form.is_valid():
        raise BadRequest(_("There is no such filter."))
    given, problem, found = form.cleaned_data, "", []
    try:
        found = campaign.next_to_label(
            request.user,
            given["order"],
            count=given["count"],
            institution=given["institution"],
        )
    except campaign.NoOrder as refusal:
        problem = str(refusal)
    scans = Scan.objects.visible_to(request.user).select_related("patient", "institution", "study")
    rows = scans.in_bulk([each.scan for each in found])
    shown = [(rows[each.scan], each) for each in found if each.scan in rows]
    return render(request, "lab/next_labels.html", {"form": form, "rows": shown, "problem": problem})
