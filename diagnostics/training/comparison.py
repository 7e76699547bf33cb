"""The candidate beside the model in use, on the very same images. Worker only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from django.conf import settings

from diagnostics.datasets.models import DatasetItem
from diagnostics.registry import gate
from diagnostics.registry import services as registry
from diagnostics.registry.models import GateRules, ModelVersion
from mlcore.data.dataset import Item, data_sha256
from mlcore.gate.rules import TOO_FEW, judge
from mlcore.measure.calibrate import softmax
from mlcore.measure.evaluate import compare, evaluate, scored_items
from mlcore.measure.metrics import Scored
from mlcore.model.identity import ArtifactDamaged
from mlcore.networks.artifact import how_many_seen, load
from mlcore.preprocessing.preprocess import to_tensor
from mlcore.serving.predict import Predictor
from mlcore.training.crops import load_crops

from .models import TrainingRun
from .originals import read_original

log = structlog.get_logger(__name__)

_AT_ONCE = 64


@dataclass(frozen=True)
class Compared:
    """What came of measuring a candidate on its test part, beside the model in use.

    ``report`` goes into the candidate's report; ``scored`` are candidate and live model on ``items``, the latter None
    where it could not be measured; ``said`` is the gate's word.
    """

    live: ModelVersion | None
    rules: GateRules
    items: list[Item]
    candidate: Scored | None
    beside: Scored | None
    said: dict[str, Any]
    report: dict[str, Any] | None

    @property
    def test_sha256(self) -> str:
        """Of the test part: hash and label of each image."""
        return data_sha256(self.items)


def beside_live(
    live: ModelVersion | None, candidate: Path, items: Sequence[Item], check: Callable[[], None] = lambda: None
) -> Compared:
    """Measure a candidate and the live model on the candidate's test part, and ask the gate.

    Parameters
    ----------
    live
        The model in use; None where there is none.
    candidate
        Folder of the candidate.
    items
        The test part.
    check
        Called now and then; raises to stop.

    Returns
    -------
    Compared
        ``report`` (None without a live model) has ``version``, ``number``, ``name``, ``sha256`` of the live model;
        ``seen``, how many of these images it is known to have trained on (None where that is not known); ``test``, its
        metrics; ``difference``, candidate minus live, by paired bootstrap. ``problem`` instead of the last two, where
        it cannot be measured.
    """
    rules = gate.current_rules()
    new = Predictor.load(candidate, threads=settings.TRAINING_THREADS)
    kept, scored = _scored(new, items, check)
    report: dict[str, Any] | None = None
    beside: Scored | None = None
    if live is not None:
        report, beside = _live_on(live, kept, scored, check)
    if not kept or len({item.label == "no_tumour" for item in kept}) < 2:
        said = {"verdict": TOO_FEW, "rules": []}
    else:
        said = judge(beside, scored, gate.rules_of(rules))
    return Compared(live, rules, kept, scored if kept else None, beside, said, report)


def _live_on(
    live: ModelVersion, items: Sequence[Item], scored_new: Scored, check: Callable[[], None]
) -> tuple[dict[str, Any], Scored | None]:
    """What is said of the live model on these images, and its scores where it could be measured."""
    answer: dict[str, Any] = {
        "version": str(live.pk),
        "number": live.number,
        "name": live.name,
        "sha256": live.sha256,
        "seen": _seen(live, items),
    }
    if len({item.label == "no_tumour" for item in items}) < 2:
        return {
            **answer,
            "problem": "The test part holds one kind of scan only, so nothing can be compared on it.",
        }, None
    try:
        folder = registry.fetch(live)
        old = Predictor.load(folder, expected_sha256=live.sha256, threads=settings.TRAINING_THREADS)
    except ArtifactDamaged as error:
        log.error("live_model_damaged", model_version=live.number)
        return {**answer, "problem": f"The live model could not be loaded: {error}"}, None
    kept, scored_old = _scored(old, items, check)
    answer["test"] = evaluate(scored_old)
    if [item.sha256 for item in kept] != [item.sha256 for item in items]:
        return answer, None
    answer["difference"] = compare(scored_old, scored_new)
    return answer, scored_old


def _scored(predictor: Predictor, items: Sequence[Item], check: Callable[[], None]) -> tuple[list[Item], Scored]:
    kept: list[Item] = []
    logits: list[np.ndarray] = []
    for start in range(0, len(items), _AT_ONCE):
        check()
        inside, crops = load_crops(items[start : start + _AT_ONCE], predictor.spec.size, read=read_original)
        if inside:
            kept += inside
            logits.append(predictor.logits(to_tensor(crops, predictor.spec.channels))[0])
    leaves = len(predictor.spec.leaves)
    joined = np.concatenate(logits) if logits else np.zeros((0, leaves), np.float32)
    return kept, scored_items(kept, joined, predictor.spec)


def _seen(live: ModelVersion, items: Sequence[Item]) -> int | None:
    """How many of these images the live model was trained or tuned on; None where neither it nor we can say."""
    try:
        told = how_many_seen(registry.fetch(live), [item.sha256 for item in items])
    except ArtifactDamaged:
        told = None
    if told is not None:
        return told
    # A model of before that was noted in it.
    dataset = DatasetItem.objects.filter(dataset__training_runs__produced=live).exclude(split="test")
    if not dataset.exists():
        return None
    known = set(dataset.values_list("scan__sha256", flat=True))
    return sum(item.sha256 in known for item in items)


def with_former(
    former: TrainingRun,
    version: ModelVersion,
    candidate: Path,
    items: Sequence[Item],
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Hold what a run that was run again produced against what it produced the first time.

    Parameters
    ----------
    former, version
        The run that is repeated, and the model that it produced.
    candidate
        Folder of the model made now.
    items
        The dataset; the test part is compared.
    check
        Called now and then; raises to stop.

    Returns
    -------
    dict
        ``run`` and ``version`` that are repeated; ``same_weights``, whether every number of the network is the same;
        ``largest_weight``, the largest difference of any; ``largest_probability``, that of any label's probability on
        ``n`` test images. ``problem`` instead of the rest, where they cannot be compared.
    """
    answer: dict[str, Any] = {"run": former.number, "version": str(version.pk), "number": version.number}
    try:
        folder = registry.fetch(version)
        before, after = load(folder)[0].get_weights(), load(candidate)[0].get_weights()
    except ArtifactDamaged as error:
        return {**answer, "problem": f"The former model could not be loaded: {error}"}
    if [each.shape for each in before] != [each.shape for each in after]:
        return {**answer, "problem": "The two networks have other shapes, so they cannot be compared."}
    apart = max(float(np.max(np.abs(a - b), initial=0.0)) for a, b in zip(before, after, strict=True))
    tested = [item for item in items if item.split == "test"]
    said = []
    for place in (folder, candidate):
        predictor = Predictor.load(place, threads=settings.TRAINING_THREADS)
        said.append(softmax(_scored_logits(predictor, tested, check)))
    return {
        **answer,
        "same_weights": apart == 0.0,
        "largest_weight": apart,
        "largest_probability": float(np.max(np.abs(said[0] - said[1]))) if len(said[0]) else None,
        "n": len(said[0]),
    }


def _scored_logits(predictor: Predictor, items: Sequence[Item], check: Callable[[], None]) -> np.ndarray:
    logits = [np.zeros((0, len(predictor.spec.leaves)), np.float32)]
    for start in range(0, len(items), _AT_ONCE):
        check()
        inside, crops = load_crops(items[start : start + _AT_ONCE], predictor.spec.size, read=read_original)
        if inside:
            logits.append(predictor.logits(to_tensor(crops, predictor.spec.channels))[0])
    return np.concatenate(logits)
