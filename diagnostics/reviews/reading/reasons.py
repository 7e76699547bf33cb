"""Which reasons fit a difference between what a reader says and what the AI says.

A reason explains a difference in one direction: whoever sees no tumour cannot say that the AI missed one. The table
below is the rule for pages, API, amendments and drafts alike. Reads that were stored before it stay as they are.

==================  =====================  ==========================================================================
reader says         the AI says            reasons that fit, besides the four that always do
==================  =====================  ==========================================================================
a tumour            no tumour              ``missed_lesion``
no tumour           a tumour               ``false_positive``
one type            another type           ``wrong_type``
not assessable      anything               ``out_of_scope``
out of scope        anything               ``out_of_scope``
the same, or less   (they do not differ)   none at all, not even the four
anything            (there is no opinion)  none at all
==================  =====================  ==========================================================================

The four are ``artefact``, ``wrong_sequence``, ``clinical_context`` and ``other``: what misled the AI may have misled
it either way.
"""

from collections.abc import Mapping
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.predictions.models import Prediction
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.labels import TUMOUR_TYPES, differs
from diagnostics.reviews.models import Label, Reason
from diagnostics.reviews.words import label_in_words

TUMOURS = (Label.TUMOUR, *TUMOUR_TYPES)
ALWAYS = (Reason.ARTEFACT, Reason.WRONG_SEQUENCE, Reason.CLINICAL_CONTEXT, Reason.OTHER)


class Direction(StrEnum):
    """How a reader's label differs from the AI's."""

    MORE = "more"  # the reader sees a tumour, the AI none
    LESS = "less"  # the AI sees a tumour, the reader none
    OTHER_TYPE = "other_type"  # two types
    NO_ANSWER = "no_answer"  # not assessable, or out of scope


FITTING: dict[Direction, tuple[Reason, ...]] = {
    Direction.MORE: (Reason.MISSED_LESION, *ALWAYS),
    Direction.LESS: (Reason.FALSE_POSITIVE, *ALWAYS),
    Direction.OTHER_TYPE: (Reason.WRONG_TYPE, *ALWAYS),
    Direction.NO_ANSWER: (Reason.OUT_OF_SCOPE, *ALWAYS),
}


def direction_of(label: str, prediction: Prediction | None) -> Direction | None:
    """How ``label`` differs from the opinion; None where it does not, or where there is none."""
    if label not in Label.values or prediction is None or not differs(label, prediction):
        return None
    if label in TUMOURS:
        return Direction.MORE if prediction.label == Label.NO_TUMOUR else Direction.OTHER_TYPE
    return Direction.LESS if label == Label.NO_TUMOUR else Direction.NO_ANSWER


def fitting_reasons(label: str, prediction: Prediction | None) -> tuple[Reason, ...]:
    """The reasons that may stand beside ``label`` where the AI says ``prediction``; none where nothing differs."""
    direction = direction_of(label, prediction)
    return () if direction is None else FITTING[direction]


def offered_reasons(prediction: Prediction | None) -> tuple[Reason, ...]:
    """All reasons that fit some label beside this opinion, in their usual order."""
    some = {reason for label in Label for reason in fitting_reasons(label, prediction)}
    return tuple(reason for reason in Reason if reason in some)


def check_reason(label: str, reason: str, comment: str, prediction: Prediction | None) -> None:
    """Refuse a read whose reason is missing where it differs from the opinion, or does not fit how it differs.

    Raises
    ------
    InvalidRead
        With the reasons that fit as ``accepted``.
    """
    fitting = fitting_reasons(label, prediction)
    if fitting and not reason:
        sentence = gettext_lazy("Your read differs from the AI result. Choose the best reason.")
        raise InvalidRead("reason", sentence, accepted=fitting)
    check_fits(label, reason, prediction)
    if reason == Reason.OTHER and not comment.strip():
        raise InvalidRead("comment", gettext_lazy("Name the other reason in the comment."))


def check_fits(label: str, reason: str, prediction: Prediction | None) -> None:
    """Refuse a reason that does not fit how ``label`` differs; empty fits always.

    Raises
    ------
    InvalidRead
    """
    fitting = fitting_reasons(label, prediction)
    if reason and reason not in fitting:
        raise InvalidRead("reason", _why_not(label, reason, fitting, prediction), accepted=fitting)


def check_draft(entries: Mapping[str, str], own: str, prediction: Prediction | None) -> None:
    """Refuse a draft whose reason contradicts it; ``own`` is the label of the reader's blind read, or empty.

    Where no label is chosen yet the reason must fit some label. Without an opinion nothing is checked: whoever is
    still blind must not learn from a refusal what the AI says.

    Raises
    ------
    InvalidRead
    """
    reason = entries.get("reason", "")
    if not reason or reason not in Reason.values or prediction is None:
        return
    label = {"keep": own, "adopt": str(prediction.label)}.get(entries.get("choice", ""), entries.get("label", ""))
    if label in Label.values:
        check_fits(label, reason, prediction)
    elif reason not in (offered := offered_reasons(prediction)):
        sentence = gettext_lazy("“%(reason)s” fits no answer here: the AI says %(ai)s.")
        said = {"reason": Reason(reason).label, "ai": label_in_words(str(prediction.label))}
        raise InvalidRead("reason", sentence, said, accepted=offered)


def _why_not(label: str, reason: str, fitting: tuple[Reason, ...], prediction: Prediction | None) -> str:
    if prediction is None or not prediction.label:
        return _("There is no AI result to disagree with. Leave the reason empty.")
    said = {"own": Label(label).label, "ai": label_in_words(str(prediction.label)), "reason": Reason(reason).label}
    if not fitting:
        return _("Your read (%(own)s) agrees with the AI (%(ai)s). Leave the reason empty.") % said
    said["fitting"] = "; ".join(str(each.label) for each in fitting)
    return _("“%(reason)s” does not fit: you say %(own)s, the AI %(ai)s. Choose one of: %(fitting)s.") % said
