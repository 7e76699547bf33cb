"""What files a batch of scans, and what narrows the list of them."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.errors import Invalid
from diagnostics.models import Institution
from diagnostics.predictions.queries import STATUSES
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.scans.filing import EARLIEST_STUDY, MAX_ACCESSION, filing, latest_study
from diagnostics.scans.models import Priority
from portal.ui.fields import choose_from
from portal.ui.refusals import add_to

STATUS_NAMES = {
    "arriving": _("Arriving"),
    "queued": _("Queued"),
    "analysing": _("Analysing"),
    "ready": _("Ready"),
    "failed": _("No AI result"),
    "rejected": _("Not readable"),
    "not_analysed": _("Not analysed"),
}


class FilingForm(forms.Form):
    """Where the scans of a batch are filed; the files themselves come beside it."""

    patient = forms.CharField(
        label=_("Patient ID (pseudonym)"),
        max_length=64,
        help_text=_(
            "Letters, digits, dot, hyphen and underscore, for example P-0042. Never a name or a date of birth."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    study_date = forms.DateField(
        label=_("Study date"),
        required=False,
        help_text=_("If empty, the date in the DICOM file is used."),
        error_messages={"invalid": _("Enter the date as year-month-day, for example 2026-03-31.")},
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    accession = forms.CharField(
        label=_("Accession number"),
        required=False,
        max_length=MAX_ACCESSION,
        help_text=_("Scans with the same number belong to one study."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        choices=Priority.choices[::-1],
        coerce=lambda value: Priority(int(value)),
        initial=Priority.ROUTINE,
        help_text=_("STAT is read first, then urgent, then routine."),
    )
    institution = forms.ModelChoiceField(
        label=_("Institution"), queryset=Institution.objects.none(), empty_label=None, to_field_name="code"
    )

    def __init__(self, *args: Any, user: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = institutions_where(user, Permission.SUBMIT_SCAN)
        several = list(theirs[:2])
        self.only = several[0] if len(several) == 1 else None
        if self.only is not None:
            del self.fields["institution"]
        else:
            choose_from(self, "institution", theirs)
        self.fields["study_date"].widget.attrs.update(
            {"min": EARLIEST_STUDY.isoformat(), "max": latest_study().isoformat()}
        )

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if "patient" in cleaned and "accession" in cleaned and "study_date" in cleaned:
            try:
                # The domain's own rules, asked early so that each field can show what it accepts.
                filing(patient=cleaned["patient"], accession=cleaned["accession"], study_date=cleaned["study_date"])
            except Invalid as refusal:
                add_to(self, refusal)
        if self.only is not None:
            cleaned["institution"] = self.only
        return cleaned


class FilterForm(forms.Form):
    """Filters of the list, kept in the address."""

    patient = forms.CharField(
        label=_("Patient"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("begins with …"), "autocomplete": "off"}),
    )
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("All")), *((name, STATUS_NAMES[name]) for name in STATUSES)]
    )
    priority = forms.TypedChoiceField(
        label=_("Priority"), required=False, choices=[("", _("All")), *Priority.choices], coerce=int, empty_value=None
    )


class CompleteForm(forms.Form):
    """The scans whose series are all here, as ids with commas."""

    scan = forms.CharField(max_length=40 * 1000)

    def clean_scan(self) -> list[UUID]:
        try:
            return [UUID(word) for word in self.cleaned_data["scan"].split(",")]
        except ValueError:
            raise forms.ValidationError(_("There is no such scan.")) from None
