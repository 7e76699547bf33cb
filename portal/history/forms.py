"""What narrows the lists of patients and of audit events; kept in the address."""

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.audit.sentences import SENTENCES

BUT_LOOKS = "but-looks"


def _search(placeholder: object) -> forms.TextInput:
    return forms.TextInput(attrs={"type": "search", "placeholder": placeholder, "autocomplete": "off"})


class PatientFilterForm(forms.Form):
    patient = forms.CharField(label=_("Pseudonym"), required=False, max_length=64, widget=_search(_("begins with …")))


class AuditFilterForm(forms.Form):
    act = forms.ChoiceField(
        label=_("Act"),
        required=False,
        choices=[
            ("", _("All")),
            (BUT_LOOKS, _("All except viewed images")),
            *((act, act.replace("_", " ")) for act in sorted(SENTENCES)),
        ],
    )
    person = forms.CharField(label=_("Person"), required=False, max_length=150, widget=_search(_("signs in as …")))
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
