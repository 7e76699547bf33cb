"""Training from labelled items to a model folder with its report."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow import keras

from mlcore.data.dataset import Item, data_sha256, read_path
from mlcore.data.labels import NO_TUMOUR, leaves_for
from mlcore.data.split import SPLITS
from mlcore.model.config import BadConfig, TrainConfig
from mlcore.model.revision import code_revision
from mlcore.model.spec import ModelSpec
from mlcore.networks import architectures, artifact
from mlcore.networks.runtime import NotFinite, building, limit_threads, published, use_half
from mlcore.preprocessing.preprocess import PREPROCESS_VERSION, to_tensor
from mlcore.training.checkpoint import Checkpoint
from mlcore.training.crops import CropCache
from mlcore.training.finalize import PART_NAMES, Choices, finalize, parts_of
from mlcore.training.loop import Fitted, Part, fit
from mlcore.training.progress import Cancelled, Progress, Reporter

__all__ = ["BadConfig", "Cancelled", "NotTrainable", "Progress", "TrainConfig", "Trained", "train"]

_PARITY_IMAGES = 64


class NotTrainable(ValueError):
    """Data from which nothing can be learned; the sentence says what is missing."""


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes
    ----------
    folder : Path
        The model folder.
    sha256 : str
        The model's identity.
    report : dict
        As in `report.json`: `training`, `validation`, `test` (None where too little), `novelty`, `uncertain`,
        `sets`, `choices`, `engine`; after `mlcore.training.recalibrate` also `recalibrated`.
    """

    folder: Path
    sha256: str
    report: dict[str, Any]


def train(
    items: Sequence[Item],
    config: TrainConfig,
    out: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_cancel: Callable[[], bool] = lambda: False,
    read: Callable[[Item], bytes] = read_path,
    command: str = "",
    resume: bool = True,
) -> Trained:
    """Train, calibrate and measure a model, and write its folder.

    Parameters
    ----------
    items : sequence of Item
        Labelled images with their parts; a group lies in one part only.
    config : TrainConfig
        The settings.
    out : Path
        The model folder to write; an older one there is replaced, and only at the very end.
    on_progress : callable
        Called with a `Progress` about once a second.
    should_cancel : callable
        Asked about twice a second, whatever is being done: reading, learning, calibrating, drawing intervals.
    read : callable
        Gives an item's bytes.
    command : str
        How the training was called, for the report.
    resume : bool
        Whether to go on where a training of the same settings, data and code into the same folder was broken off.
        Its state and the crops lie in files beside the folder, which are removed when the training ends or is
        cancelled. So memory is the same for any number of images.

    Returns
    -------
    Trained
        The folder, its hash, and what was measured.

    Raises
    ------
    NotTrainable
        For no data, data of one class, a training or validation part without one class, a group in two parts, or a
        warm start that does not fit.
    Cancelled
        Where `should_cancel` said so.
    """
    begun = time.monotonic()
    reporter = Reporter(on_progress, should_cancel, config.epochs)
    reporter.at(0.0, "checking the data", now=True)
    check_trainable(items)
    limit_threads(config.threads)
    cache = CropCache.beside(out, config.side)
    if not resume:
        cache.discard()
        Checkpoint.beside(out, "").discard()
    try:
        kept, crops = cache.fill(
            items,
            read=read,
            on_read=lambda done, total: reporter.at(0.1 * done / total, f"read {done} of {total} images"),
        )
        check_trainable(kept)
        spec = _spec(kept, config)
        parts = parts_of(kept, crops, spec.leaves)
        checkpoint = Checkpoint.beside(out, _key(spec))
        both = (parts["train"], parts["validation"])
        fitted = fit(networks(spec, config), spec, both, config, reporter, (0.1, 0.92), checkpoint)
        reporter.at(0.92, "calibrating and measuring", now=True)
        choices = Choices(config.error_rate, config.sensitivity)
        spec, detector, report = finalize(fitted.model, spec, parts, choices, reporter)
        reporter.at(0.985, "preparing the model for serving", now=True)
        some = to_tensor(parts["validation"].crops[:_PARITY_IMAGES], spec.channels)
        engine, report["engine"] = reporter.during(lambda: published(fitted.model, spec, some))
        report["training"] = {
            **_told(fitted, config, parts),
            **_began_with(config),
            "command": command,
            "seconds": round(time.monotonic() - begun, 1),
            "left_out": len(items) - len(kept),
        }
        reporter.at(0.99, "writing the model", now=True)
        sha256 = artifact.save(out, fitted.model, spec, report, detector, engine, seen=_seen(kept, config))
    except (Cancelled, NotFinite, NotTrainable):
        cache.discard()
        Checkpoint.beside(out, "").discard()
        raise
    cache.discard()
    checkpoint.discard()
    reporter.at(1.0, "done", now=True)
    return Trained(out, sha256, report)


def _seen(items: Sequence[Item], config: TrainConfig) -> np.ndarray | None:
    """Mark the images that the network has seen, those of the model that it began with among them."""
    seen = artifact.marks_of(item.sha256 for item in items if item.split != "test")
    if config.warm_start is None:
        return seen
    older = artifact.seen_by(config.warm_start)
    return None if older is None else np.unique(np.concatenate((seen, older)), axis=0)


def _began_with(config: TrainConfig) -> dict[str, Any]:
    """Say of which model the weights were that the training began with, and how that was made."""
    if config.warm_start is None:
        return {}
    older = artifact.load_report(config.warm_start).get("training", {})
    return {
        "began_with": {
            "name": artifact.load_spec(config.warm_start).name,
            "sha256": artifact.sha256_of(config.warm_start),
            "command": older.get("command", ""),
            "epochs": len(older.get("history", [])),
        }
    }


def _key(spec: ModelSpec) -> str:
    """Say which training this is: by settings, data and code."""
    return hashlib.sha256(spec.to_json().encode()).hexdigest()


def _told(fitted: Fitted, config: TrainConfig, parts: dict[str, Part]) -> dict[str, Any]:
    """Give what the report says of the course of a training."""
    return {
        "settings": config.to_dict(),
        "parameters": int(fitted.model.count_params()),
        "history": fitted.history,
        "best_epoch": fitted.best_epoch,
        "stopped": fitted.stopped,
        "groups": {name: len({item.group or item.sha256 for item in parts[name].items}) for name in SPLITS},
    }


def check_trainable(items: Sequence[Item]) -> None:
    """Raise `NotTrainable` where nothing can be learned from these items or nothing measured."""
    if not items:
        raise NotTrainable("There are no labelled images to train on.")
    found = {"tumour" if item.label != NO_TUMOUR else NO_TUMOUR for item in items}
    if len(found) < 2:
        missing = "without a tumour" if "tumour" in found else "with a tumour"
        raise NotTrainable(f"All images are of one class; images {missing} are missing.")
    for part in ("train", "validation"):
        inside = [item.label != NO_TUMOUR for item in items if item.split == part]
        for wanted, words in ((True, "with a tumour"), (False, "without a tumour")):
            if wanted not in inside:
                raise NotTrainable(
                    f"The {PART_NAMES[part]} part holds no image {words}; more images, or more patients, are needed."
                )
    parts: dict[str, str] = {}
    for item in items:
        if item.split not in SPLITS:
            raise NotTrainable(f"The part {item.split!r} is unknown; known are {', '.join(SPLITS)}.")
        if item.group and parts.setdefault(item.group, item.split) != item.split:
            raise NotTrainable(f"The group {item.group} lies in two parts, so the measured figures would mislead.")


def _spec(items: Sequence[Item], config: TrainConfig) -> ModelSpec:
    data = data_sha256(items)
    counts: dict[str, dict[str, int]] = {}
    for part in SPLITS:
        inside = Counter(f"{item.source or 'data'}/{item.label}" for item in items if item.split == part)
        counts[part] = dict(sorted(inside.items()))
    return ModelSpec(
        name=config.name or f"{config.architecture}-{data[:8]}",
        architecture=config.architecture,
        size=config.side,
        channels=config.channels,
        leaves=leaves_for([item.label for item in items if item.split == "train"]),
        preprocess_version=PREPROCESS_VERSION,
        data_sha256=data,
        code_revision=code_revision(),
        trained_on=counts,
        settings=config.to_dict(),
    )


def networks(spec: ModelSpec, config: TrainConfig) -> tuple[keras.Model, keras.Model]:
    """Build the network and the twin that takes its average, from the seed, published weights or an older model.

    Raises
    ------
    NotTrainable
        Where the weights to begin with do not fit.
    """
    keras.utils.set_random_seed(config.seed)
    with building(use_half(config.precision)):
        model = architectures.build(spec)
    averaged = architectures.build(spec)
    if config.weights is not None:
        try:
            architectures.begin_with(model, config.architecture, config.weights)
        except architectures.WeightsMisfit as misfit:
            raise NotTrainable(str(misfit)) from misfit
    if config.warm_start is not None:
        older, older_spec = artifact.load(config.warm_start)
        if (older_spec.architecture, older_spec.size, older_spec.leaves) != (
            spec.architecture,
            spec.size,
            spec.leaves,
        ):
            raise NotTrainable(
                f"The model {older_spec.name} cannot be the start: its architecture, size or labels are others."
            )
        model.set_weights(older.get_weights())
    if config.weights is not None or config.warm_start is not None:
        architectures.hold_early(model, config.architecture)
    averaged.set_weights(model.get_weights())
    return model, averaged
