"""What a reader states. The domain decides what is acceptable; these forms only say what was meant."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import Prediction, Read
from diagnostics.reviews.models import Label
from diagnostics.reviews.reading import Door, Field, Kind, Said, Step, at, offered_reasons, without_leftovers

KEEP, ADOPT, OTHER = "keep", "adopt", "other"

CHOOSE_REASON = ("", _("Choose a reason"))
# What is asked beside the fields themselves, where it is asked.
HELP = {(Step.AMEND, "comment"): _("Give a reason for the amendment. The earlier read stays in the history.")}
NEEDED = {(Step.AMEND, "comment"): _("Give a reason for the amendment.")}


def _field(each: Field, step: Step) -> forms.Field:
    """One field of the statement as a form asks for it at this step."""
    if Door.API_WRITE not in each.doors:  # the page says it by itself
        return forms.BooleanField(required=False, widget=forms.HiddenInput)
    if each.kind == Kind.YES_NO:
        return forms.BooleanField(label=each.label, required=False)
    if each.kind == Kind.TEXT:
        return forms.CharField(
            label=each.label,
            required=(step, each.name) in NEEDED,
            help_text=HELP.get((step, each.name), ""),
            max_length=each.limit,
            widget=forms.Textarea(attrs={"rows": 3, "data-comment": ""}),
            error_messages={"required": NEEDED.get((step, each.name), "")},
        )
    if each.kind == Kind.IMAGES:
        shown = {"inputmode": "numeric", "autocomplete": "off", "placeholder": "12, 14", "data-key-images": ""}
        return forms.CharField(
            label=each.label, required=False, max_length=each.limit, widget=forms.TextInput(attrs=shown)
        )
    choices = each.choices.choices if each.choices is not None else []
    return forms.ChoiceField(
        label=each.label,
        choices=choices if each.required or each.default else [CHOOSE_REASON, *choices],
        # Where there is something to keep or to adopt, the label hangs on that choice.
        required=each.required and (step, each.name) != (Step.FINAL, "label"),
        widget=forms.RadioSelect if each.required else forms.Select,
        error_messages={"required": each.missing, "invalid_choice": each.unknown} if each.required else {},
    )


def _labels_of(each: Field) -> str:
    """The labels beside which this field applies, for the script."""
    return " ".join(label for label in Label.values if each.applies(label, None))


class StatementForm(forms.Form):
    """What may be stated at one step, made of the table of :mod:`diagnostics.reviews.reading.statement`."""

    step: ClassVar[Step]
    opinion_seen: Prediction | None = None

    def __init__(self, *args: Any, images: int = 1, **kwargs: Any) -> None:
        """``images``: how many the scan has."""
        super().__init__(*args, **kwargs)
        self.stated = [each for each in at(self.step) if images > 1 or each.kind != Kind.IMAGES]
        self.fields = {**{each.name: _field(each, self.step) for each in self.stated}, **self.fields}
        if reason := self.fields.get("reason"):
            # Those that fit some label beside this opinion; which fits the one chosen is the domain's to say.
            offered = [(each.value, each.label) for each in offered_reasons(self.opinion_seen)]
            reason.widget.choices = [CHOOSE_REASON, *offered]

    @property
    def optional(self) -> list[tuple[forms.BoundField, str]]:
        """The short answers that may be left open, each with the labels beside which it applies."""
        fields = (each for each in self.stated if each.default or each.kind == Kind.IMAGES)
        return [(self[each.name], _labels_of(each)) for each in fields]

    @property
    def said(self) -> Said:
        """What a valid form states, in the domain's words."""
        # A box that is not ticked is not sent. Whatever else was not sent was not asked for: nobody has emptied it.
        sent = [each for each in self.stated if each.kind == Kind.YES_NO or self.add_prefix(each.name) in self.data]
        said: Any = {each.name: self.cleaned_data[each.name] or each.default for each in sent}
        said["label"] = self.label_meant
        return without_leftovers(said, self.opinion_seen)

    @property
    def label_meant(self) -> str:
        return str(self.cleaned_data["label"])


class BlindForm(StatementForm):
    """The read before the AI's opinion is shown."""

    step = Step.BLIND
    claim_token = forms.CharField(widget=forms.HiddenInput)


class FinalForm(StatementForm):
    """The read that ends the case. ``choice`` is asked where there is something to keep or to adopt.

    ``opinion`` names the opinion that the page showed, so that nobody ends a case beside one that they never saw.
    """

    step = Step.FINAL
    choice = forms.ChoiceField(
        label=_("Your final read"),
        required=False,
        choices=[(KEEP, _("Keep my read")), (ADOPT, _("Accept AI")), (OTHER, _("Change to…"))],
        widget=forms.RadioSelect,
        error_messages={"invalid_choice": _("Choose one of the answers on this page.")},
    )
    without_ai = forms.BooleanField(label=_("Finish without the AI result"), required=False)
    opinion = forms.CharField(required=False, widget=forms.HiddenInput)
    claim_token = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, own: str = "", opinion: Prediction | None = None, **kwargs: Any) -> None:
        """``own``: the label of the reader's blind read, or empty; ``opinion``: the one that is shown."""
        self.opinion_seen = opinion
        super().__init__(*args, **kwargs)
        self.order_fields(["choice"])
        self.meant = {KEEP: own, ADOPT: opinion.label if opinion is not None else ""}

    @property
    def label_meant(self) -> str:
        return str(self.cleaned_data["final_label"])

    def clean(self) -> dict[str, object]:
        """Work out which label is meant, as ``final_label``."""
        cleaned = super().clean() or {}
        choice, label = cleaned.get("choice", ""), cleaned.get("label", "")
        if not choice and label:
            choice = cleaned["choice"] = OTHER
        if not choice and "choice" not in self.errors:
            asked = "choice" if any(self.meant.values()) else "label"
            self.add_error(asked, _("Choose your final label."))
        elif choice == OTHER and not label:
            self.add_error("label", _("Choose the other label."))
        elif choice in self.meant and not self.meant[choice]:
            self.add_error("choice", _("Choose one of the answers on this page."))
        cleaned["final_label"] = label if choice == OTHER else self.meant.get(choice, "")
        return cleaned


class AmendForm(StatementForm):
    """A new revision of one's own final read, begun with what the former one says."""

    step = Step.AMEND

    def __init__(self, *args: Any, read: Read, **kwargs: Any) -> None:
        self.opinion_seen = read.prediction
        kept = {each.name: getattr(read, each.name) for each in at(self.step) if not each.anew}
        super().__init__(*args, initial=kept, **kwargs)


class TakeOverForm(forms.Form):
    """Why a case is taken from whoever holds it."""

    reason = forms.CharField(
        label=_("Reason for taking it over"),
        max_length=LONGEST_TEXT,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give a reason. The current reader will see it.")},
    )


class AdjudicationForm(StatementForm):
    """The label that settles a disagreement. The AI's opinion plays no part in it."""

    step = Step.ADJUDICATE
    claim_token = forms.CharField(widget=forms.HiddenInput)


class CommentForm(forms.Form):
    """A question for a second reader, or an answer for the adjudicator. Its field is named apart from a read's."""

    words = forms.CharField(
        label=_("Comment"),
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _("Enter a question.")},
    )


class RemarkForm(forms.Form):
    """A word in the thread."""

    text = forms.CharField(max_length=LONGEST_TEXT, error_messages={"required": _("Enter a comment.")})


class ReturnForm(CommentForm):
    """Why a case goes back to one of its readers."""

    reader = forms.ChoiceField(
        choices=[("a", _("Reader A")), ("b", _("Reader B"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose the reader.")},
    )
