"""Forms of the learning loop, in the lab and in the admin; what they may say is declared in the domain."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.datasets.queries import readers_for
from diagnostics.models import Institution
from diagnostics.scans.access import Permission, institutions_where
from diagnostics.training.recipe import HYPERPARAMETERS
from portal.ui.fields import choose_from


class FreezeForm(forms.Form):
    """Of whose scans, in which lineage."""

    institutions = forms.ModelMultipleChoiceField(
        queryset=Institution.objects.none(),
        to_field_name="code",
        label=_("Institutions"),
        widget=forms.CheckboxSelectMultiple,
    )
    lineage = forms.CharField(
        label=_("Lineage"),
        max_length=40,
        initial="main",
        help_text=_("Versions of one lineage share a test set that never changes. Another name starts a new lineage."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        help_text=_("Determines how new groups are split."),
    )
    include_imported = forms.BooleanField(
        label=_("Include imported reference labels of unread scans"), required=False, initial=True
    )
    include_demo = forms.BooleanField(label=_("Include synthetic phantoms"), required=False)
    exclude_readers = forms.ModelMultipleChoiceField(
        queryset=get_user_model().objects.none(),
        to_field_name="username",
        label=_("Leave these readers out"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Leaves out every scan whose label one of them gave. All other items stay as they are."),
    )
    exclude_institutions = forms.ModelMultipleChoiceField(
        queryset=Institution.objects.none(),
        to_field_name="code",
        label=_("Leave these institutions out"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Excluded after the split, so that the other items stay where they are."),
    )

    @classmethod
    def said_in(cls, query: QueryDict) -> QueryDict | None:
        """The query where it says anything of ours; what else stands in an address asks for nothing."""
        return query if any(name in query for name in cls.base_fields) else None

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = institutions_where(by, Permission.FREEZE_DATASET)
        for name in ("institutions", "exclude_institutions"):
            choose_from(self, name, theirs)
        choose_from(self, "exclude_readers", readers_for(by))
        self.fields["institutions"].initial = [place.code for place in theirs]

    def defaults(self) -> dict[str, Any]:
        """What the form says before anybody has touched it."""
        return {
            "institutions": list(self.fields["institutions"].queryset),  # type: ignore[attr-defined]
            "lineage": "main",
            "seed": 0,
            "include_imported": True,
            "include_demo": False,
            "exclude_readers": [],
            "exclude_institutions": [],
        }

    def wanted(self) -> dict[str, Any] | None:
        """What is asked of the domain; None where the form says something that cannot be."""
        if not self.is_bound:
            return self.defaults()
        if not self.is_valid():
            return None
        several = ("institutions", "exclude_readers", "exclude_institutions")
        return {**self.cleaned_data, **{name: list(self.cleaned_data[name]) for name in several}}


class TrainForm(forms.Form):
    """The recipe of a training, field by field as the domain declares it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for each in HYPERPARAMETERS:
            shared: dict[str, Any] = {"label": each.label, "help_text": each.help, "initial": each.default}
            if each.kind == "choice":
                self.fields[each.name] = forms.ChoiceField(choices=each.choices, **shared)
            elif each.kind == "whole":
                self.fields[each.name] = forms.IntegerField(
                    min_value=int(each.low), max_value=int(each.high), **shared
                )
            elif each.kind == "number":
                self.fields[each.name] = forms.FloatField(min_value=each.low, max_value=each.high, **shared)
            else:
                self.fields[each.name] = forms.BooleanField(required=False, **shared)

    def chosen(self) -> dict[str, Any]:
        """The recipe as far as the form says one: for the plan, which is shown whatever else is wrong."""
        said = {each.name: self[each.name].value() for each in HYPERPARAMETERS}
        architecture = str(said["architecture"])
        try:
            epochs = int(said["epochs"])
        except (TypeError, ValueError):
            return {"architecture": architecture}
        return {"architecture": architecture, "epochs": epochs if 0 < epochs <= 1000 else 1}


class ReasonForm(forms.Form):
    """Why something is decided."""

    reason = forms.CharField(
        label=_("Reason"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("Stored with the decision."),
        required=False,  # the domain asks for it, with a sentence of its own
    )


class RollBackForm(ReasonForm):
    """Why, and to which model: the one that the page had named."""

    to = forms.CharField(widget=forms.HiddenInput, required=False)


class _IdentityForm(forms.Form):
    """The model's name where the gate has not let it through, and once more who decides: as far as it is asked."""

    name = forms.CharField(
        label=_("Type the model's name"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        required=False,
    )
    password = forms.CharField(
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text=_("Promoting a model needs a recent sign-in."),
        required=False,
        strip=False,
    )

    def __init__(self, *args: Any, name_asked: bool, password_asked: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, asked in (("name", name_asked), ("password", password_asked)):
            if not asked:
                del self.fields[name]


class PromotionForm(_IdentityForm, ReasonForm):
    """Why a model goes into use."""

    field_order = ("reason", "name", "password")


class DecisionForm(_IdentityForm):
    """Why a proposal is approved although the gate held the model, or why it is declined."""

    exception = forms.CharField(
        label=_("Written exception, or reason for declining"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("Required to approve what failed the gate (at least 20 characters), and to decline."),
        required=False,
    )
    field_order = ("exception", "name", "password")
