"""Which unlabelled scans would teach the model most: a list for whoever plans labelling and sees opinions unblinded.

It is no worklist. Where reads are blind the worklist stays oldest first: an order by what the AI is unsure of would
tell its readers what it thinks.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, OuterRef, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.datasets.models import DatasetItem
from diagnostics.errors import Conflict
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState, ModelVersion
from diagnostics.scans.folding import folded
from diagnostics.scans.models import Scan
from diagnostics.shadow.models import ShadowOpinion
from mlcore.data import active

from .numbers import watched_by

CANDIDATES = 2000  # the oldest that wait
LABELLED = 1000  # that new ones are held against
MOST = 200


class Order(TextChoices):
    """By what scans are chosen; always with a tenth drawn at random."""

    UNCERTAINTY = "uncertainty", gettext_lazy("Most uncertain for the model")
    DISAGREEMENT = "disagreement", gettext_lazy("Differences between the live model and the challenger")
    DIVERSITY = "diversity", gettext_lazy("Most unlike the labelled scans")
    RANDOM = "random", gettext_lazy("At random")


class NoOrder(Conflict):
    """Scans cannot be ordered so; ``str()`` says what is missing."""

    code = "no_order"


@dataclass(frozen=True)
class Suggested:
    """A scan to label, with the live model's probability of a tumour."""

    scan: uuid.UUID
    case: uuid.UUID
    tumour: float | None


def next_to_label(user: Actor, order: str, *, count: int = 50, institution: str = "") -> list[Suggested]:
    """The scans to label next, of the institutions that ``user`` watches. The draw is another each day.

    Raises
    ------
    NoOrder
        With a sentence that says what is missing.
    """
    live = registry.live()
    if live is None:
        raise NoOrder(_("No model is live, so nothing is known about uncertainty."))
    rows = _waiting(user, live, institution)
    if not rows:
        return []
    left = np.arange(len(rows))
    rng = np.random.default_rng(timezone.localdate().toordinal())
    if order == Order.RANDOM:
        chosen = rng.permutation(left)[:count].tolist()
    else:
        chosen = active.mixed(_ordered(order, rows, count), left, count, rng)
    return [rows[place] for place in chosen]


def _waiting(user: Actor, live: ModelVersion, institution: str) -> list[Suggested]:
    """The oldest scans that wait for their first read and have an opinion."""
    places = watched_by(user)
    if institution:
        places = places.filter(code_folded=folded(institution))
    cases = Case.objects.filter(
        institution__in=places.values("pk"),
        state=CaseState.OPEN,
        stage=Stage.FIRST,
        control=False,
        scan__rejected_code="",
    ).order_by("opened_at", "id")
    waiting = dict(cases.values_list("scan_id", "pk")[:CANDIDATES])
    said = Prediction.objects.filter(scan__in=waiting, model_version=live, state=PredictionState.READY)
    known = dict(said.values_list("scan_id", "tumour_probability"))
    return [Suggested(scan, case, known[scan]) for scan, case in waiting.items() if scan in known]


def _ordered(order: str, rows: Sequence[Suggested], count: int) -> list[int]:
    """Places in the order of how much one would learn, most first."""
    p = np.array([row.tumour for row in rows], np.float64)
    if order == Order.UNCERTAINTY:
        return np.argsort(-active.uncertainty(p), kind="stable").tolist()
    if order == Order.DISAGREEMENT:
        challenger = ModelVersion.objects.filter(state=ModelState.CHALLENGER).first()
        if challenger is None:
            raise NoOrder(_("Nothing to compare with: there is no challenger."))
        shadow = ShadowOpinion.objects.filter(scan__in=[row.scan for row in rows], model_version=challenger)
        other = dict(shadow.values_list("scan_id", "tumour_probability"))
        beside = np.array([other.get(row.scan) if other.get(row.scan) is not None else row.tumour for row in rows])
        return np.argsort(-active.disagreement(np.stack([p, beside.astype(np.float64)])), kind="stable").tolist()
    return _unlike(rows, count)


def _unlike(rows: Sequence[Suggested], count: int) -> list[int]:
    """By the small pictures by which look-alikes are found, each the farthest from all that are labelled or chosen."""
    wanted = [row.scan for row in rows]
    pictures = dict(Scan.objects.filter(pk__in=wanted).values_list("pk", "fingerprint"))
    first = Scan.objects.filter(pk__in=wanted[:1]).values("institution")
    labelled = Scan.objects.filter(Exists(DatasetItem.objects.filter(scan=OuterRef("pk"))), institution__in=first)
    known = list(labelled.order_by("-created_at", "-id").values_list("fingerprint", flat=True)[:LABELLED])
    all_of_them = [bytes(pictures[scan]) for scan in wanted] + [bytes(each) for each in known]
    # Of 32 × 32 pixels the means of 8 × 8 fields: what a head looks like on the whole, and quick for thousands.
    fields = np.stack([np.frombuffer(each, np.uint8) for each in all_of_them]).reshape(-1, 8, 4, 8, 4)
    described = fields.mean(axis=(2, 4), dtype=np.float32).reshape(len(all_of_them), -1)
    described = (described - described.mean(axis=1, keepdims=True)) / (described.std(axis=1, keepdims=True) + 1e-6)
    is_labelled = np.arange(len(described)) >= len(wanted)
    return active.farthest(described, is_labelled, min(count, len(wanted)))
