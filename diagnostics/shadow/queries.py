"""The challenger beside the model in use, on the cases of which a person may know the AI's opinion."""

from dataclasses import dataclass, field

import numpy as np
from django.conf import settings
from django.db.models import Prefetch

from diagnostics.actors import Actor
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry.models import ModelVersion
from diagnostics.reviews.labels import contradicts
from diagnostics.reviews.models import Label
from diagnostics.reviews.queries import deciding_reads
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.scans.models import Scan
from mlcore.measure.agreement import Measured, share
from mlcore.measure.metrics import group_weights

from .models import ShadowOpinion

_JUDGED = tuple(label for label in Label.values if label not in (Label.NOT_ASSESSABLE, Label.OUT_OF_SCOPE))
_DRAWS = 1000
MOST = 2000  # newest scans that are looked at


@dataclass(frozen=True)
class Share:
    """So many of so many, with the 95 % interval."""

    hits: int
    n: int
    measured: Measured


@dataclass(frozen=True)
class Apart:
    """One scan of which the two models say different things."""

    scan: Scan
    live: str
    challenger: str
    read: str


@dataclass(frozen=True)
class Beside:
    """Both models on the same live cases.

    ``difference`` is the challenger's accuracy minus the live model's on cases with a final read, with its 95 %
    interval by paired bootstrap over patients. ``enough``: as many were scored as the installation wants to see.
    """

    agreement: Share
    live: Share
    challenger: Share
    difference: Measured | None
    wanted: int
    failed: int
    apart: list[Apart] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        return self.agreement.n >= self.wanted


def beside_live(user: Actor, version: ModelVersion, live: ModelVersion, *, shown: int = 50) -> Beside:
    """Compare ``version`` with ``live`` on the scans that both have scored and whose opinion ``user`` may know."""
    mine = ShadowOpinion.objects.filter(model_version=version)
    theirs = Prediction.objects.filter(model_version=live, state=PredictionState.READY)
    known = scans_for(user).filter(blinded=False, patient__is_synthetic=False)  # type: ignore[misc]
    scans = list(
        known.filter(shadow_opinions__in=mine.filter(failure=""), predictions__in=theirs)
        .distinct()
        .order_by("-created_at")
        .select_related(None)
        .prefetch_related(None)
        .prefetch_related(
            Prefetch("shadow_opinions", queryset=mine, to_attr="challenged"),
            Prefetch("predictions", queryset=theirs, to_attr="live_opinions"),
        )[:MOST]
    )
    reads = dict(
        deciding_reads()
        .filter(case__scan__in=[scan.pk for scan in scans], label__in=_JUDGED)
        .values_list("case__scan", "label")
    )
    same, apart, judged, patients = 0, [], [], []
    for scan in scans:
        new, old, read = scan.challenged[0].label, scan.live_opinions[0].label, reads.get(scan.pk, "")
        if contradicts(new, old):
            apart.append(Apart(scan, old, new, read))
        else:
            same += 1
        if read:
            judged.append((not contradicts(read, old), not contradicts(read, new)))
            patients.append(str(scan.patient_id))
    return Beside(
        agreement=_share(same, len(scans)),
        live=_share(sum(old for old, _new in judged), len(judged)),
        challenger=_share(sum(new for _old, new in judged), len(judged)),
        difference=_difference(judged, patients),
        wanted=settings.CHALLENGER_CASES,
        failed=known.filter(shadow_opinions__in=mine.exclude(failure="")).count(),
        apart=apart[:shown],
    )


def _share(hits: int, n: int) -> Share:
    return Share(hits, n, share(hits, n))


def _difference(judged: list[tuple[bool, bool]], patients: list[str]) -> Measured | None:
    """Accuracy of the challenger minus that of the live model; None before both a few cases are read."""
    if len(set(patients)) < 2:
        return None
    apart = np.array([int(new) - int(old) for old, new in judged], dtype=float)
    weights = group_weights(patients, 1, _DRAWS)
    drawn = (weights @ apart) / weights.sum(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Measured(float(apart.mean()), float(low), float(high))
