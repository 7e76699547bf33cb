"""The AI's opinion in words. Only ever made from what ``reviews.visible_scans.opinion_for`` gives."""

import json
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from diagnostics.models import Prediction
from diagnostics.predictions.doubt import UNCERTAIN, Doubt, doubt_of
from diagnostics.reviews.words import label_in_words
from portal.ui.templatetags.overread import percent
from portal.ui.warnings import warning_sentence


@dataclass(frozen=True)
class Answer:
    """One answer and how probable it is."""

    words: str
    value: float


@dataclass(frozen=True)
class Opinion:
    """What the page shows of a prediction: its answer, the others, and its doubts as warnings or ``also``."""

    prediction: Prediction
    words: str
    first: Answer
    rest: list[Answer]
    also: str
    warnings: list[str]
    heatmap: str
    profile: str = ""
    peak_number: int = 0


def in_words(prediction: Prediction) -> Opinion:
    """A ready prediction as a reader meets it."""
    probabilities: dict[str, float] = prediction.probabilities or {}
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    doubt = doubt_of(prediction)
    also = _also(doubt)
    warnings = [warning_sentence(code) for code in prediction.warnings if code != UNCERTAIN]
    if doubt.uncertain:
        warnings.append(f"{warning_sentence(UNCERTAIN)} {also}".strip())
    return Opinion(
        prediction=prediction,
        words=label_in_words(prediction.label),
        first=Answer(label_in_words(prediction.label), probabilities.get(prediction.label, 0.0)),
        rest=[Answer(label_in_words(label), value) for label, value in ranked if label != prediction.label],
        also="" if doubt.uncertain else also,
        warnings=warnings,
        heatmap=reverse("reading:heatmap", args=[prediction.pk]) if prediction.heatmap else "",
        profile=json.dumps(_rounded(prediction.profile)) if prediction.profile else "",
        peak_number=(prediction.peak or 0) + 1,
    )


def _rounded(profile: list[float | None]) -> list[float | None]:
    """As many digits as a small plot can show."""
    return [None if each is None else round(each, 3) for each in profile]


def _also(doubt: Doubt) -> str:
    """The other answers to name; empty where there is none."""
    named = ", ".join(f"{label_in_words(label)} ({percent(value)})" for label, value in doubt.rivals)
    return _("Also possible: %(answers)s.") % {"answers": named} if named else ""
