"""A measured model goes on learning, now from all images: what is shipped after it was measured on some of them.

Figures need images that a network has not seen; a network gets better with every image that it has. So a model is
first trained and measured in the usual way; then it learns for some epochs more, with validation and test part among
the images. Nothing can be measured with them on the network that comes of it: the figures, and all that was chosen on
the validation part, stay those of the measured one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcore.data.dataset import Item, allowed_masks, data_sha256, read_path
from mlcore.model.config import TrainConfig
from mlcore.model.revision import code_revision
from mlcore.model.spec import ModelSpec
from mlcore.networks import artifact
from mlcore.networks.runtime import NotFinite, limit_threads, published
from mlcore.preprocessing.preprocess import to_tensor
from mlcore.training.checkpoint import Checkpoint
from mlcore.training.crops import CropCache
from mlcore.training.finalize import Choices, finalize, parts_of
from mlcore.training.loop import Fitted, Part, fit
from mlcore.training.progress import Cancelled, Progress, Reporter
from mlcore.training.train import NotTrainable, Trained, networks

_PARITY_IMAGES = 64
# Of the highest rate of the measured training: the network is to learn of more images, not to begin again.
_RATE = 0.4


def refit(
    measured: Path,
    items: Sequence[Item],
    out: Path,
    *,
    epochs: int | None = None,
    keep: bool = False,
    name: str = "",
    threads: int = 2,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_cancel: Callable[[], bool] = lambda: False,
    read: Callable[[Item], bytes] = read_path,
    command: str = "",
) -> Trained:
    """Let a measured model go on learning from all of its images, and write the model that comes of it.

    Parameters
    ----------
    measured : Path
        Folder of a model that `mlcore.training.train` made.
    items : sequence of Item
        The very images and parts that it was trained on.
    out : Path
        The model folder to write.
    epochs : int, optional
        How many; a quarter of those of the measured model where left out.
    keep : bool
        Train nothing: take the weights that lie in `out`, and choose anew what follows from them and from `measured`.
    name : str
        Of the new model; that of the measured one where empty.
    threads : int
        For TensorFlow and OpenCV.
    on_progress : callable
        Called with a `Progress` about once a second.
    should_cancel : callable
        Asked about twice a second.
    read : callable
        Gives an item's bytes.
    command : str
        How this was called, for the report.

    Returns
    -------
    Trained
        The folder, its hash, and the measured model's report with `refit` added.

    Raises
    ------
    NotTrainable
        For other images or parts than those of the measured model, or a model that was not measured itself.
    ArtifactDamaged
        Where a folder is not what it should be.
    Cancelled
        Where `should_cancel` said so.
    """
    begun = time.monotonic()
    spec, report = artifact.load_spec(measured), artifact.load_report(measured)
    config = _course(spec, report, measured, epochs, threads)
    reporter = Reporter(on_progress, should_cancel, config.epochs)
    reporter.at(0.0, "checking the data", now=True)
    limit_threads(threads)
    cache = CropCache.beside(out, spec.size)
    checkpoint = Checkpoint.beside(out, "")
    try:
        kept, crops = cache.fill(
            items,
            read=read,
            on_read=lambda done, total: reporter.at(0.1 * done / total, f"read {done} of {total} images"),
        )
        if data_sha256(kept) != spec.data_sha256:
            raise NotTrainable(
                f"These are not the images and parts that {spec.name} was trained on (or its split had another seed), "
                "so its figures would say nothing of the new model."
            )
        spec = dataclasses.replace(
            spec, name=name or spec.name, measured=artifact.sha256_of(measured), code_revision=code_revision()
        )
        # Beside the settings, the hash says from which measured model it goes on.
        key = hashlib.sha256(f"refit {config.epochs} {spec.to_json()}".encode()).hexdigest()
        checkpoint = Checkpoint.beside(out, key)
        if keep:
            fitted, told = _kept(out, spec)
        else:
            everything = Part(kept, crops, allowed_masks(kept, spec.leaves))
            fitted = fit(networks(spec, config), spec, (everything, None), config, reporter, (0.1, 0.92), checkpoint)
            told = {
                "images": len(kept),
                "epochs": config.epochs,
                "learning_rate": config.learning_rate,
                "history": fitted.history,
                "command": command,
            }
        parts = parts_of(kept, crops, spec.leaves)
        # Only what tells heads from other pictures is of the new network; all else was chosen on images unseen.
        choices = Choices(config.error_rate, config.sensitivity)
        own, detector, finalized = finalize(fitted.model, spec, parts, choices, reporter)
        spec = dataclasses.replace(spec, novelty_threshold=own.novelty_threshold)
        reporter.at(0.985, "preparing the model for serving", now=True)
        some = to_tensor(parts["validation"].crops[:_PARITY_IMAGES], spec.channels)
        engine, report["engine"] = reporter.during(lambda: published(fitted.model, spec, some))
        report["refit"] = {"seconds": round(time.monotonic() - begun, 1), **told}
        report["novelty"] = finalized["novelty"]
        seen = artifact.marks_of(item.sha256 for item in kept)
        sha256 = artifact.save(out, fitted.model, spec, report, detector, engine, seen=seen)
    except (Cancelled, NotFinite, NotTrainable):
        cache.discard()
        checkpoint.discard()
        raise
    cache.discard()
    checkpoint.discard()
    reporter.at(1.0, "done", now=True)
    return Trained(out, sha256, report)


def _course(
    spec: ModelSpec, report: Mapping[str, Any], measured: Path, epochs: int | None, threads: int
) -> TrainConfig:
    """Give the settings: those of the measured model's training but for its beginning, its length and its rate."""
    told = report.get("training", {})
    if spec.measured or not told.get("history"):
        raise NotTrainable(f"{spec.name} was not measured itself, so there are no figures that could be handed on.")
    config = TrainConfig.from_dict({**spec.settings, "weights": None, "warm_start": measured, "threads": threads})
    return dataclasses.replace(
        config,
        # Through `replace` it is checked as any other setting is.
        epochs=epochs if epochs is not None else max(1, round(told["best_epoch"] / 4)),
        learning_rate=config.learning_rate * _RATE,
        minutes=None,
    )


def _kept(out: Path, spec: ModelSpec) -> tuple[Fitted, dict[str, Any]]:
    """Take the network of an earlier refit of the same training on the same images, and what is told of that."""
    model, older = artifact.load(out)
    same = ("architecture", "size", "leaves", "data_sha256", "settings")
    if not older.measured or any(getattr(older, each) != getattr(spec, each) for each in same):
        raise NotTrainable(f"{older.name} is no refit of this model on these images.")
    told = dict(artifact.load_report(out)["refit"])
    return Fitted(model, list(told["history"])), told
