"""Which live cases the challenger still has to score, and how its word is kept."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from diagnostics.scans.models import Scan

from .models import ShadowOpinion


def due(challenger: ModelVersion) -> QuerySet[Scan]:
    """Live cases without the challenger's word: what the model in use has spoken of since the challenge began."""
    if challenger.challenged_at is None:
        return Scan.objects.none()
    spoken = Prediction.objects.filter(
        scan=OuterRef("pk"), state=PredictionState.READY, finished_at__gte=challenger.challenged_at
    ).exclude(model_version=challenger)
    scored = ShadowOpinion.objects.filter(scan=OuterRef("pk"), model_version=challenger)
    return Scan.objects.filter(Exists(spoken), ~Exists(scored)).order_by("created_at")


def anything_due() -> bool:
    """Whether a challenger waits for a worker."""
    challenger = registry.challenger()
    return challenger is not None and due(challenger).exists()


def live_scans_wait() -> bool:
    """Whether somebody's scan waits for its opinion, or is being looked at: the shadow steps aside then."""
    return Prediction.objects.filter(state__in=[PredictionState.QUEUED, PredictionState.RUNNING]).exists()


def keep(*, scan: Scan, version: ModelVersion, weights_sha256: str, **said: Any) -> bool:
    """Keep the challenger's word; whether it was the first. ``said``: the opinion's fields, or ``failure``."""
    with transaction.atomic():
        _row, made = ShadowOpinion.objects.get_or_create(
            scan=scan, model_version=version, defaults={"weights_sha256": weights_sha256, **said}
        )
    return made
