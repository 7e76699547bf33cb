"""From what a model says of each image of a stack to what it says of the stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.images.decoded import Refused
from mlcore.measure.metrics import opinions as labels_of
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.quality import FIRST_FRAME, OUT_OF_DISTRIBUTION

NOT_MEASURED_ON_STACKS = "not_measured_on_stacks"
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class ImageOpinion:
    """What is kept of the opinion on one image.

    Attributes
    ----------
    probabilities : numpy.ndarray, shape (leaves,)
        Calibrated, summing to 1.
    tumour_probability : float
        1 - p(no_tumour).
    warnings : tuple of str
        As of `mlcore.serving.predict.Opinion`.
    """

    probabilities: np.ndarray
    tumour_probability: float
    warnings: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Tell whether the stack's opinion may rest on it: the model knows images like it."""
        return OUT_OF_DISTRIBUTION not in self.warnings


@dataclass(frozen=True)
class StackOpinion:
    """What a model says of a stack.

    Attributes
    ----------
    label, finding, probabilities, tumour_probability, warnings
        As of `mlcore.serving.predict.Opinion`.
    profile : tuple of float or None
        Probability of a tumour of each image; None where it shows too little, cannot be read, or is strange to the
        model.
    peak : int
        Index of the most suspicious image of those that the opinion rests on.
    """

    label: str
    finding: str
    probabilities: dict[str, float]
    tumour_probability: float
    warnings: tuple[str, ...]
    profile: tuple[float | None, ...]
    peak: int


def opinion_of_stack(images: Sequence[ImageOpinion | Refused], spec: ModelSpec) -> StackOpinion | Refused:
    """Give the opinion on a stack: the mean of its most suspicious consecutive images.

    Parameters
    ----------
    images : sequence of ImageOpinion or Refused
        In the order of the stack, at least one.
    spec : ModelSpec
        `stack_window` says how many images, `stack_threshold` from which probability on the finding is a tumour.

    Returns
    -------
    StackOpinion or Refused
        The commonest refusal where every image was refused.

    Notes
    -----
    Consecutive among the usable images: one that shows too little between two others parts nothing. Where all images
    are strange to the model they are used all the same, and the warning says so.
    """
    known = [(index, each) for index, each in enumerate(images) if isinstance(each, ImageOpinion)]
    if not known:
        return _commonest([each for each in images if isinstance(each, Refused)])
    usable = [(index, each) for index, each in known if each.usable] or known
    start, width = _most_suspicious([each.tumour_probability for _, each in usable], spec.stack_window)
    window = usable[start : start + width]
    probabilities = np.mean([each.probabilities for _, each in window], axis=0)
    score = float(np.mean([each.tumour_probability for _, each in window]))
    threshold = spec.threshold if spec.stack_threshold is None else spec.stack_threshold
    label = labels_of(probabilities[None], spec.leaves, threshold)[0]
    low, high = spec.uncertain
    codes = {code for _, each in window for code in each.warnings} - {FIRST_FRAME, UNCERTAIN}
    codes |= {UNCERTAIN} if low <= score <= high else set()
    codes |= set() if spec.stack_measured else {NOT_MEASURED_ON_STACKS}
    told = {index for index, _ in usable}
    return StackOpinion(
        label=label,
        finding=NO_TUMOUR if label == NO_TUMOUR else TUMOUR,
        probabilities={leaf: float(p) for leaf, p in zip(spec.leaves, probabilities, strict=True)},
        tumour_probability=score,
        warnings=tuple(sorted(codes)),
        profile=tuple(
            each.tumour_probability if index in told and isinstance(each, ImageOpinion) else None
            for index, each in enumerate(images)
        ),
        peak=max(window, key=lambda pair: pair[1].tumour_probability)[0],
    )


def _most_suspicious(scores: Sequence[float], window: int) -> tuple[int, int]:
    """Where the window of the highest mean begins, and how wide it is; the first of several."""
    width = min(window, len(scores))
    sums = np.convolve(np.asarray(scores, dtype=np.float64), np.ones(width), mode="valid")
    return int(sums.argmax()), width


def _commonest(refused: Sequence[Refused]) -> Refused:
    code = Counter(each.code for each in refused).most_common(1)[0][0]
    return next(each for each in refused if each.code == code)
