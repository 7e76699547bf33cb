"""The AI's opinion in words. Only ever made from what ``reviews.queries.opinion_for`` gives."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from diagnostics.models import Prediction
from diagnostics.reviews.words import label_in_words
from portal.ui.cautions import caution
from portal.ui.templatetags.overread import percent

CLOSE = 0.15  # an answer at least this probable is worth naming beside the first


@dataclass(frozen=True)
class Bar:
    """One answer and how probable it is."""

    words: str
    value: float
    chosen: bool


@dataclass(frozen=True)
class Opinion:
    """What the page shows of a prediction."""

    prediction: Prediction
    words: str
    bars: list[Bar]
    unsure: str
    warnings: list[str]
    heatmap: str


def in_words(prediction: Prediction) -> Opinion:
    """A ready prediction as a reader meets it."""
    probabilities: dict[str, float] = prediction.probabilities or {}
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return Opinion(
        prediction=prediction,
        words=label_in_words(prediction.label),
        bars=[Bar(label_in_words(label), value, label == prediction.label) for label, value in ranked],
        unsure=_unsure(prediction, ranked),
        warnings=[caution(code) for code in prediction.warnings],
        heatmap=reverse("reading:heatmap", args=[prediction.pk]) if prediction.heatmap else "",
    )


def _unsure(prediction: Prediction, ranked: list[tuple[str, float]]) -> str:
    rivals = [(label, value) for label, value in ranked if label != prediction.label and value >= CLOSE]
    if not rivals:
        return _("No other answer comes close.")
    named = _(" and ").join(f"{label_in_words(label).lower()} ({percent(value)})" for label, value in rivals)
    return _("It is unsure: it also finds %(answers)s possible.") % {"answers": named}
