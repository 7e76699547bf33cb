"""Choose anew, without training, all that is chosen after it; and measure anew."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tensorflow import keras

from mlcore.data.dataset import Item, data_sha256, read_path
from mlcore.model.revision import code_revision
from mlcore.model.spec import ModelSpec
from mlcore.networks import artifact
from mlcore.networks.ood import Detector
from mlcore.networks.runtime import limit_threads
from mlcore.training.crops import CropCache, CropFile
from mlcore.training.finalize import Choices, finalize, parts_of
from mlcore.training.progress import Progress, Reporter
from mlcore.training.train import NotTrainable, Trained, check_trainable


def recalibrate(
    folder: Path,
    items: Sequence[Item],
    choices: Choices,
    *,
    out: Path | None = None,
    threads: int = 2,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_cancel: Callable[[], bool] = lambda: False,
    read: Callable[[Item], bytes] = read_path,
    command: str = "",
) -> Trained:
    """Choose temperature, threshold, band, sets and the limit of the detector anew, and measure the model.

    Of a model that has seen all images (see `mlcore.training.refit`) only the limit of the detector. The weights
    stay as they are; the model gets a new identity, as its spec is part of that.

    Parameters
    ----------
    folder : Path
        The model.
    items : sequence of Item
        The very images and parts that it was trained on. Others would let a training image choose the threshold, or
        be counted in the test.
    choices : Choices
        What is wanted.
    out : Path, optional
        Where to write the model; in its own place where left out.
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
        The folder, its new hash, and the report.

    Raises
    ------
    NotTrainable
        Where the images or their parts are others than those of the training, or other choices are wanted of a model
        that has seen all images.
    ArtifactDamaged
        Where the folder is not what it should be.
    Cancelled
        Where `should_cancel` said so; the model is then as it was.
    """
    begun = time.monotonic()
    reporter = Reporter(on_progress, should_cancel, 0)
    limit_threads(threads)
    model, spec, _ = artifact.load_all(folder)
    served, report = artifact.load_servable(folder), artifact.load_report(folder)
    if spec.measured and dataclasses.asdict(choices) != report["choices"]:
        raise NotTrainable(
            f"{spec.name} has seen all of its images, so nothing can be chosen by them. Recalibrate the measured "
            "model and carry that over by `refit --keep-weights`."
        )
    place = folder if out is None else out
    cache = CropCache.beside(place, spec.size)
    try:
        kept, crops = cache.fill(
            items,
            read=read,
            on_read=lambda done, total: reporter.at(0.8 * done / total, f"read {done} of {total} images"),
        )
        finalized, detector, measured = _finalized(model, spec, kept, crops, choices, reporter)
    finally:
        cache.discard()
    if spec.measured:
        # Only what is learned from the training part alone can be learned anew here.
        spec = dataclasses.replace(spec, novelty_threshold=finalized.novelty_threshold)
        report["novelty"] = measured["novelty"]
    else:
        spec, report = finalized, report | measured
    report["recalibrated"] = {
        "command": command,
        "code_revision": code_revision(),
        "seconds": round(time.monotonic() - begun, 1),
    }
    # The engine gives logits, which calibration leaves alone.
    engine, seen = served.engine if served is not None else None, artifact.seen_by(folder)
    sha256 = artifact.save(place, model, spec, report, detector, engine, seen=seen)
    reporter.at(1.0, "done", now=True)
    return Trained(place, sha256, report)


def _finalized(
    model: keras.Model,
    spec: ModelSpec,
    kept: Sequence[Item],
    crops: CropFile,
    choices: Choices,
    reporter: Reporter,
) -> tuple[ModelSpec, Detector, dict[str, Any]]:
    check_trainable(kept)
    if data_sha256(kept) != spec.data_sha256:
        raise NotTrainable(
            f"These are not the images and parts that {spec.name} was trained on (or its split had another seed), so "
            "nothing measured on them could be trusted."
        )
    return finalize(model, spec, parts_of(kept, crops, spec.leaves), choices, reporter)
