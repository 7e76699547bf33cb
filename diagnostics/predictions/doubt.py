"""How sure an opinion is: the one source of what pages say of its doubts, so that no two sentences contradict.

An opinion is uncertain where the model gave it that warning. Other answers are named where they are probable in
themselves; where it is uncertain at least the next one is, or the page would say that it is wrong more often and not
what else it may be. That no other answer comes close is never said.
"""

from dataclasses import dataclass

from .models import Prediction

UNCERTAIN = "uncertain"  # the warning's code, as mlcore gives it
CLOSE = 0.15  # an answer at least this probable is worth naming beside the first


@dataclass(frozen=True)
class Doubt:
    """``uncertain``: wrong more often than elsewhere. ``rivals``: (label, probability) of other answers to name."""

    uncertain: bool
    rivals: tuple[tuple[str, float], ...]


def doubt_of(prediction: Prediction) -> Doubt:
    """The doubts of a ready prediction, the most probable other answer first."""
    uncertain = UNCERTAIN in prediction.warnings
    ranked = sorted((prediction.probabilities or {}).items(), key=lambda item: -item[1])
    others = [(label, value) for label, value in ranked if label != prediction.label]
    close = [(label, value) for label, value in others if value >= CLOSE]
    return Doubt(uncertain, tuple(close or (others[:1] if uncertain else ())))
