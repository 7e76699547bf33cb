"""What the worklist can be narrowed to. Nothing here tells what the AI thinks, only how far it is."""

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.scans.models import Priority

STATES = [
    ("", _("Any")),
    ("queued", _("Queued")),
    ("analysing", _("Analysing")),
    ("ready", _("Ready")),
    ("failed", _("No AI result")),
]


class FilterForm(forms.Form):
    """The filters, as they stand in the address."""

    patient = forms.CharField(
        label=_("Patient or accession"),
        required=False,
        max_length=64,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": _("P-0042"), "data-search": "", "autocomplete": "off"}
        ),
    )
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("Any")), *Priority.choices],
    )
    due = forms.ChoiceField(label=_("Due"), required=False, choices=[("", _("Any")), ("overdue", _("Overdue"))])
    analysis = forms.ChoiceField(label=_("Analysis"), required=False, choices=STATES)
