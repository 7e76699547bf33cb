"""What a reader states. The domain decides what is acceptable; these forms only say what was meant."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import Prediction
from diagnostics.reviews.models import Certainty, Label, Reason
from diagnostics.reviews.services import offered_reasons

KEEP, ADOPT, OTHER = "keep", "adopt", "other"

LABELS = [(label.value, label.label) for label in Label]
CERTAINTIES = [(certainty.value, certainty.label) for certainty in Certainty]
CHOOSE_REASON = ("", _("Choose a reason"))
REASONS = [CHOOSE_REASON, *((reason.value, reason.label) for reason in Reason)]


def _label(*, required: bool) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("Finding"),
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
        label=_("Confidence"),
        choices=CERTAINTIES,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Say how certain you are: certain, probable or unsure."),
            "invalid_choice": _("Choose certain, probable or unsure."),
        },
    )


def _reason() -> forms.ChoiceField:
    return forms.ChoiceField(label=_("Reason for disagreeing with the AI"), choices=REASONS, required=False)


def _offer(form: forms.Form, opinion: Prediction | None) -> None:
    """Show the reasons that fit some label beside this opinion; which fits the label chosen is the domain's to say."""
    offered = [CHOOSE_REASON, *((reason.value, reason.label) for reason in offered_reasons(opinion))]
    form.fields["reason"].widget.choices = offered


def _comment(help_text: Any = "", *, required: bool = False) -> forms.CharField:
    return forms.CharField(
        label=_("Comment"),
        required=required,
        help_text=help_text,
        max_length=LONGEST_TEXT,
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
        choices=[(KEEP, _("Keep my read")), (ADOPT, _("Accept AI")), (OTHER, _("Change to…"))],
        widget=forms.RadioSelect,
        error_messages={"invalid_choice": _("Choose one of the answers on this page.")},
    )
    label = _label(required=False)
    certainty = _certainty()
    reason = _reason()
    comment = _comment()
    may_train = forms.BooleanField(label=_("This case may be used for training"), required=False)
    without_ai = forms.BooleanField(label=_("Finish without the AI result"), required=False)
    heatmap_seen = forms.BooleanField(required=False, widget=forms.HiddenInput)
    opinion = forms.CharField(required=False, widget=forms.HiddenInput)
    claim_token = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, own: str = "", opinion: Prediction | None = None, **kwargs: Any) -> None:
        """``own``: the label of the reader's blind read, or empty; ``opinion``: the one that is shown."""
        super().__init__(*args, **kwargs)
        self.meant = {KEEP: own, ADOPT: opinion.label if opinion is not None else ""}
        _offer(self, opinion)

    def clean(self) -> dict[str, object]:
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
    reason = _reason()
    comment = _comment(_("Say why you amend your read. The former one stays in the history."), required=True)
    may_train = forms.BooleanField(label=_("This case may be used for training"), required=False)

    def __init__(self, *args: Any, opinion: Prediction | None = None, **kwargs: Any) -> None:
        """``opinion``: the one that the reader had seen."""
        super().__init__(*args, **kwargs)
        _offer(self, opinion)


class TakeOverForm(forms.Form):
    """Why a case is taken from whoever holds it."""

    reason = forms.CharField(
        label=_("Why do you take it over?"),
        max_length=LONGEST_TEXT,
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
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _("Write what you would like to know.")},
    )


class RemarkForm(forms.Form):
    """A word in the thread."""

    text = forms.CharField(max_length=LONGEST_TEXT, error_messages={"required": _("Write what you want to say.")})


class ReturnForm(CommentForm):
    """Why a case goes back to one of its readers."""

    reader = forms.ChoiceField(
        choices=[("a", _("Reader A")), ("b", _("Reader B"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose the reader to whom it goes back.")},
    )
