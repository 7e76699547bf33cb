"""What a reader states. The domain decides what is acceptable; these forms only say what was meant."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.reviews.models import Certainty, Label, Reason

KEEP, ADOPT, OTHER = "keep", "adopt", "other"

LABELS = [(label.value, label.label) for label in Label]
CERTAINTIES = [(certainty.value, certainty.label) for certainty in Certainty]
REASONS = [("", _("Choose a reason")), *((reason.value, reason.label) for reason in Reason)]


def _label(*, required: bool) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("What do you see?"),
        choices=LABELS,
        required=required,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose what you see, or “Not assessable” or “Out of scope”."),
            "invalid_choice": _("Choose one of the labels."),
        },
    )


def _certainty() -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("How certain are you?"),
        choices=CERTAINTIES,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Say how certain you are: certain, probable or unsure."),
            "invalid_choice": _("Choose certain, probable or unsure."),
        },
    )


def _comment(help_text: Any = "", *, required: bool = False) -> forms.CharField:
    return forms.CharField(
        label=_("Comment"),
        required=required,
        help_text=help_text,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3, "data-comment": ""}),
        error_messages={"required": _("Say why you amend your read.")},
    )


class BlindForm(forms.Form):
    """The read before the AI's opinion is shown."""

    label = _label(required=True)
    certainty = _certainty()
    comment = _comment()
    claim_token = forms.CharField(widget=forms.HiddenInput)


class FinalForm(forms.Form):
    """The read that ends the case. ``choice`` is asked where there is something to keep or to adopt.

    ``opinion`` names the opinion that the page showed, so that nobody ends a case beside one that they never saw.
    """

    choice = forms.ChoiceField(
        label=_("Your final read"),
        required=False,
        choices=[(KEEP, _("Keep mine")), (ADOPT, _("Adopt the AI's")), (OTHER, _("Another label"))],
        widget=forms.RadioSelect,
        error_messages={"invalid_choice": _("Choose one of the answers on this page.")},
    )
    label = _label(required=False)
    certainty = _certainty()
    reason = forms.ChoiceField(label=_("Why does it differ from the AI's?"), choices=REASONS, required=False)
    comment = _comment()
    may_train = forms.BooleanField(label=_("This case may be used for training"), required=False)
    without_ai = forms.BooleanField(label=_("Finish without the AI's opinion"), required=False)
    heatmap_seen = forms.BooleanField(required=False, widget=forms.HiddenInput)
    opinion = forms.CharField(required=False, widget=forms.HiddenInput)
    claim_token = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, own: str = "", ai: str = "", **kwargs: Any) -> None:
        """``own``: the label of the reader's blind read; ``ai``: the label of the opinion shown; each may be empty."""
        super().__init__(*args, **kwargs)
        self.meant = {KEEP: own, ADOPT: ai}

    def clean(self) -> dict[str, Any]:
        """Work out which label is meant, as ``final_label``."""
        cleaned = super().clean() or {}
        choice, label = cleaned.get("choice", ""), cleaned.get("label", "")
        if not choice and label:
            choice = cleaned["choice"] = OTHER
        if not choice and "choice" not in self.errors:
            asked = "choice" if any(self.meant.values()) else "label"
            self.add_error(asked, _("Choose your final read."))
        elif choice == OTHER and not label:
            self.add_error("label", _("Choose the other label."))
        elif choice in self.meant and not self.meant[choice]:
            self.add_error("choice", _("Choose one of the answers on this page."))
        cleaned["final_label"] = label if choice == OTHER else self.meant.get(choice, "")
        return cleaned


class AmendForm(forms.Form):
    """A new revision of one's own final read."""

    label = _label(required=True)
    certainty = _certainty()
    reason = forms.ChoiceField(label=_("Why does it differ from the AI's?"), choices=REASONS, required=False)
    comment = _comment(_("Say why you amend your read. The former one stays in the history."), required=True)
    may_train = forms.BooleanField(label=_("This case may be used for training"), required=False)


class TakeOverForm(forms.Form):
    """Why a case is taken from whoever holds it."""

    reason = forms.CharField(
        label=_("Why do you take it over?"),
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Say why, so that its holder can understand it.")},
    )


class AdjudicationForm(forms.Form):
    """The label that settles a disagreement. The AI's opinion plays no part in it."""

    label = _label(required=True)
    certainty = _certainty()
    comment = _comment()
    may_train = forms.BooleanField(label=_("This case may be used for training"), required=False)
    claim_token = forms.CharField(widget=forms.HiddenInput)


class CommentForm(forms.Form):
    """A question for a second reader, or an answer for the adjudicator. Its field is named apart from a read's."""

    words = forms.CharField(
        label=_("Comment"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _("Write what you would like to know.")},
    )


class RemarkForm(forms.Form):
    """A word in the thread."""

    text = forms.CharField(max_length=4000, error_messages={"required": _("Write what you want to say.")})


class ReturnForm(CommentForm):
    """Why a case goes back to one of its readers."""

    reader = forms.ChoiceField(
        choices=[("a", _("Reader A")), ("b", _("Reader B"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose the reader to whom it goes back.")},
    )
