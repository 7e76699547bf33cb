"""Let the challenger look at live cases. Worker only, on the training queue: imported inside a task body."""

import os

import structlog
from django.core.files.storage import default_storage

from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from mlcore.images.decode import Refused
from mlcore.networks.artifact import ArtifactDamaged
from mlcore.serving.predict import Opinion, Predictor

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
            **_said(predictor, scan.original, challenger),
        )
    return scored


def _said(predictor: Predictor, key: str, challenger: ModelVersion) -> dict[str, object]:
    """The opinion's fields, or why there is none."""
    try:
        with default_storage.open(key) as file:
            content = file.read()
    except FileNotFoundError:
        return {"failure": "The stored image is missing."}
    try:
        opinion: Opinion | Refused = predictor.predict([content])[0]
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
