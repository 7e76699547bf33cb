"""What is entered about a webhook."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.models import Institution, Webhook
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.webhooks.models import CHOSEN
from portal.accounts.models import User
from portal.ui.fields import choose_from


class WebhookForm(forms.Form):
    """Where to send, and what."""

    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("https://, at a public address. Redirects are not followed."),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(label=_("Description"), max_length=120, required=False)
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(each.value, each.label) for each in CHOSEN],
        widget=forms.CheckboxSelectMultiple,
    )
    with_patient = forms.BooleanField(
        label=_("With patient data"),
        required=False,
        help_text=_("Events of scans and cases also carry pseudonym, accession number and study date."),
    )

    @classmethod
    def of(cls, webhook: Webhook, data: Any = None) -> "ChangeForm":
        """The form of a webhook that is there."""
        now = {name: getattr(webhook, name) for name in ChangeForm.base_fields}
        return ChangeForm(data, initial=now)


class NewWebhookForm(WebhookForm):
    """A new one, of one of the person's institutions."""

    institution = forms.ModelChoiceField(label=_("Institution"), queryset=Institution.objects.none())
    field_order = ("institution", "url", "description", "events", "with_patient")

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places = institutions_where(by, Permission.ADMINISTER)
        choose_from(self, "institution", places)
        only = list(places[:2])
        if len(only) == 1:
            self.fields["institution"].initial = only[0]


class ChangeForm(WebhookForm):
    """One that is there."""

    active = forms.BooleanField(label=_("Active"), required=False, help_text=_("An inactive webhook is told nothing."))
