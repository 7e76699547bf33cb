"""TensorFlow as a guest: as many threads as it was given, batches padded to a few known sizes."""

from __future__ import annotations

import contextlib
import platform
import tempfile
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from tensorflow import keras

from mlcore.model.revision import code_revision
from mlcore.model.spec import ModelSpec
from mlcore.networks.engine import (
    PARITY,
    Engine,
    EngineFailed,
    Forward,
    NotFinite,
    checked,
    largest_difference,
    probe_image,
    started,
)

__all__ = [
    "Forward",
    "NotFinite",
    "building",
    "forward",
    "in_half",
    "limit_threads",
    "published",
    "surroundings",
    "use_half",
]

BUCKETS = (1, 2, 4, 8, 16, 32, 64)


def surroundings() -> dict[str, Any]:
    """Tell by what a training is carried out, so that it can be repeated: Python, machine, packages, code."""
    packages = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless", "pillow", "scikit-learn")
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": found,
        "core": code_revision(),
    }


def limit_threads(threads: int) -> int:
    """Limit TensorFlow and OpenCV to a number of threads.

    Parameters
    ----------
    threads : int
        1 or more.

    Returns
    -------
    int
        What holds: TensorFlow fixes its threads with its first operation, so a later wish may come too late;
        0 means that TensorFlow chose for itself.
    """
    cv2.setNumThreads(threads)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(max(2, threads))
    except RuntimeError:
        # Set once for the process by whoever came first; the answer below says what holds.
        pass
    return int(tf.config.threading.get_intra_op_parallelism_threads())


def use_half(precision: str) -> bool:
    """Tell whether to train in half precision: as asked, or where there is a GPU, which it makes quicker."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # All of its memory at once would leave none to whoever serves beside the training; fixed with the first
        # operation, as the threads are.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    return precision == "float16" or (precision == "auto" and bool(gpus))


@contextlib.contextmanager
def building(half: bool) -> Iterator[None]:
    """Within it, networks are built to compute in half precision, their weights kept in single; or as always."""
    before = keras.mixed_precision.dtype_policy()
    if half:
        keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def in_half(model: keras.Model) -> bool:
    """Tell whether a network was built to compute in half precision."""
    return any(layer.compute_dtype == "float16" for layer in model.layers)


def forward(model: keras.Model, spec: ModelSpec) -> Forward:
    """Compile a network for inference.

    Returns
    -------
    callable
        From float32 (N, size, size, channels) to logits (N, leaves) and maps (N, h, w, c), for any N of 1 or more.
        Raises `NotFinite`.
    """

    @tf.function(
        input_signature=[tf.TensorSpec((None, spec.size, spec.size, spec.channels), tf.float32)],
        autograph=False,
    )
    def compiled(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        out = model(images, training=False)
        return out["logits"], out["maps"]

    def run(tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers = []
        for start in range(0, len(tensors), BUCKETS[-1]):
            part = tensors[start : start + BUCKETS[-1]]
            # oneDNN prepares each shape once, so a handful of batch sizes serves faster than every size there is.
            bucket = next(size for size in BUCKETS if size >= len(part))
            filled = np.zeros((bucket, *part.shape[1:]), np.float32)
            filled[: len(part)] = part
            logits, maps = compiled(tf.constant(filled))
            answers.append((logits.numpy()[: len(part)], maps.numpy()[: len(part)]))
        return checked(answers)

    return run


def published(model: keras.Model, spec: ModelSpec, tensors: np.ndarray) -> tuple[Engine | None, dict[str, Any]]:
    """Convert a network for LiteRT, and hold the result against the network itself.

    Parameters
    ----------
    model : keras.Model
        The network.
    spec : ModelSpec
        Its description.
    tensors : numpy.ndarray, shape (N, size, size, channels), dtype float32
        Images to compare on.

    Returns
    -------
    Engine or None
        None where LiteRT is missing, or its probabilities are further than `PARITY` from the network's.
    dict
        For the report: `engine` that will serve, and what was found.
    """
    wanted = forward(model, spec)
    with tempfile.TemporaryDirectory(prefix="overread-engine-") as folder:
        # By way of a saved model: the way from concrete functions has given NaN at full speed.
        model.export(folder, verbose=False)
        content = bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())
    probe, _ = wanted(probe_image(spec.size, spec.channels))
    engine = Engine(content, probe[0])
    try:
        apart = largest_difference(started(engine, spec.size, spec.channels, 1), wanted, tensors)
    except (EngineFailed, NotFinite) as error:
        return None, {"engine": "tensorflow", "why": str(error)}
    found = {"version": metadata.version("ai-edge-litert"), "largest_difference": apart, "images": len(tensors) + 3}
    if not apart <= PARITY:
        return None, {"engine": "tensorflow", "why": "LiteRT gives other probabilities.", **found}
    return engine, {"engine": "litert", **found}
