"""The label tree as readers use it: when does a statement contradict the AI's opinion?"""

from diagnostics.predictions.models import Prediction

from .models import Label

TUMOUR_TYPES = (Label.GLIOMA, Label.MENINGIOMA, Label.PITUITARY)


def contradicts(label: str, other: str) -> bool:
    """Whether two statements of one scan cannot both be right.

    "Tumour" without a type agrees with each type. "Not assessable" and "out of scope" agree with themselves only.
    """
    if label == other:
        return False
    if label == Label.TUMOUR:
        return other not in TUMOUR_TYPES
    if label in TUMOUR_TYPES:
        return other != Label.TUMOUR
    return True


def differs(label: str, prediction: Prediction | None) -> bool:
    """Whether ``label`` contradicts the opinion; False where there is none.

    A reader may say less than the AI ("tumour" where it says "glioma") or more (a type where it only says "tumour")
    without contradicting it. "Not assessable" and "out of scope" always differ.
    """
    if prediction is None or not prediction.label:
        return False
    return contradicts(label, str(prediction.label))
