"""Let the model look at every image of a stack. Worker only, as :mod:`.inference`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage

from diagnostics.scans import decoding
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Image
from mlcore.images.decoded import Decoded, Refused
from mlcore.images.decoding.process import Ended
from mlcore.serving.predict import Opinion, Predictor
from mlcore.serving.stack_rule import ImageOpinion, StackOpinion, opinion_of_stack

# Around each part of a stack: keeps the claim, and watches that the part does not hang.
Watched = Callable[[], AbstractContextManager[None]]


class Shown(NamedTuple):
    """One image as the worker finds it; ``frame`` is None where the file is the image."""

    original: str
    frame: int | None


def images_of(scan: Scan, revision: int) -> list[Shown]:
    """The images of a revision of a scan, in the order of the stack."""
    rows = Image.objects.filter(scan=scan, revision__lte=revision, index__isnull=False).order_by("index")
    told = list(rows.values_list("original", "frame"))
    in_file = Counter(original for original, _ in told)
    return [Shown(original, frame if frame or in_file[original] > 1 else None) for original, frame in told]


def look_at(
    predictor: Predictor, scan: Scan, revision: int, watched: Watched, *, last_try: bool
) -> tuple[StackOpinion, np.ndarray] | Refused:
    """What the model says of a stack, and the heat map of its peak.

    ``settings.INFERENCE_BATCH`` images are looked at together, so a thousand need no more memory. Where a limit
    ended the decoder, that is the answer, as it may be the machine's fault; unless this is the ``last_try``.

    Raises
    ------
    FileNotFoundError
        An original is missing.
    """
    shown = images_of(scan, revision)
    said: list[ImageOpinion | Refused] = []
    for start in range(0, len(shown), settings.INFERENCE_BATCH):
        with watched():
            part = predictor.predict_decoded(list(_sources(shown[start : start + settings.INFERENCE_BATCH])))
            said += [_kept(opinion, predictor) for opinion in part]
        ended = next((each for each in part if isinstance(each, Ended)), None)
        if ended is not None and not last_try:
            return ended
    opinion = opinion_of_stack(said, predictor.spec)
    if isinstance(opinion, Refused):
        return opinion
    with watched():
        (peak,) = predictor.predict_decoded(list(_sources([shown[opinion.peak]])))
    # It was no refusal a moment ago; where it is one now, the file has changed.
    return peak if isinstance(peak, Refused) else (opinion, peak.heatmap)


def _sources(shown: Sequence[Shown]) -> Iterator[Callable[[], Decoded]]:
    """What decodes each image; a file with several is read once."""
    last, data = "", b""
    for image in shown:
        if image.original != last:
            with default_storage.open(image.original) as file:
                last, data = image.original, file.read()
        yield partial(decoding.decode, data, image.frame)


def _kept(opinion: Opinion | Refused, predictor: Predictor) -> ImageOpinion | Refused:
    if isinstance(opinion, Refused):
        return opinion
    vector = np.array([opinion.probabilities[leaf] for leaf in predictor.spec.leaves])
    return ImageOpinion(vector, opinion.tumour_probability, opinion.warnings)
