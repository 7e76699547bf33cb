"""Let the challenger look at live cases. Worker only, on the training queue: imported inside a task body."""

import contextlib
import os

import structlog
from django.core.files.storage import default_storage

from diagnostics.predictions import stacks
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan
from mlcore.images.decode import Refused
from mlcore.networks.artifact import ArtifactDamaged
from mlcore.serving.predict import Opinion, Predictor
from mlcore.serving.stack_rule import StackOpinion

from . import services

log = structlog.get_logger(__name__)

NICENESS = 10
_AT_MOST = 64  # scans a task: a training that waits behind it must not wait long


def score_waiting() -> int:
    """Score what is due, one scan at a time, until somebody's own scan waits; how many were scored."""
    # It shares the cache of loaded models with live predictions, though hardly ever their process.
    from diagnostics.predictions.inference import predictor_for

    challenger = registry.challenger()
    if challenger is None or not services.due(challenger).exists():
        return 0
    os.nice(max(0, NICENESS - os.nice(0)))
    try:
        predictor = predictor_for(challenger)
    except ArtifactDamaged as error:
        log.error("challenger_damaged", model_version=challenger.number, error=str(error))
        registry.raise_alarm(version=challenger, stand_in=None)
        return 0
    scored = 0
    for scan in services.due(challenger)[:_AT_MOST]:
        if services.live_scans_wait():
            break
        scored += services.keep(
            scan=scan,
            version=challenger,
            weights_sha256=predictor.sha256,
            **_said(predictor, scan, challenger),
        )
    return scored


def _said(predictor: Predictor, scan: Scan, challenger: ModelVersion) -> dict[str, object]:
    """The opinion's fields, or why there is none."""
    try:
        opinion = _look(predictor, scan)
    except FileNotFoundError:
        return {"failure": "The stored image is missing."}
    except Exception as error:
        # The edge of the task: a scan that breaks the challenger is told of it, and harms neither scan nor reader.
        log.exception("challenger_broke", model_version=challenger.number)
        return {"failure": f"The challenger broke off ({type(error).__name__})."}
    if isinstance(opinion, Refused):
        return {"failure": opinion.sentence}
    return {
        "label": opinion.label,
        "finding": opinion.finding,
        "probabilities": opinion.probabilities,
        "tumour_probability": min(1.0, max(0.0, opinion.tumour_probability)),
    }


def _look(predictor: Predictor, scan: Scan) -> Opinion | StackOpinion | Refused:
    """The challenger looks at what the model in use has looked at: the image, or every image of the stack."""
    if scan.image_count == 1:
        with default_storage.open(scan.original) as file:
            return predictor.predict([file.read()])[0]
    found = stacks.look_at(predictor, scan, scan.revision, contextlib.nullcontext, last_try=True)
    return found if isinstance(found, Refused) else found[0]
