"""The batches of an epoch: which images in which order, each changed anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mlcore.data.dataset import Item
from mlcore.preprocessing.preprocess import to_tensor
from mlcore.training.augment import augment
from mlcore.training.synthetic_lesions import draw_lesion

# The baseline showed its network each image seven to ten times an epoch, as augmented files; in a set this small an
# epoch without that would be a handful of steps.
_LEAST_IMAGES = 1000
_MOST_TIMES = 10
_MOST_OF_A_SOURCE = 10


def epoch_order(items: Sequence[Item], rng: np.random.Generator, least_share: float) -> np.ndarray:
    """Shuffle the items of an epoch; items of a small source, or of a small set, come up to ten times.

    Parameters
    ----------
    items : sequence of Item
        The training part.
    rng : numpy.random.Generator
        Decides the order.
    least_share : float
        Share of an epoch that each source should have.

    Returns
    -------
    numpy.ndarray, shape (M,), dtype int64
        Indices into the items.
    """
    sources = np.array([item.source for item in items])
    picked = []
    for source in sorted(set(sources)):
        inside = np.flatnonzero(sources == source)
        wanted = least_share / (1.0 - least_share) * (len(items) - len(inside))
        times = int(np.clip(round(wanted / len(inside)), 1, _MOST_OF_A_SOURCE))
        picked.append(np.tile(inside, times))
    once = np.concatenate(picked)
    times = int(np.clip(_LEAST_IMAGES // len(once), 1, _MOST_TIMES))
    return rng.permutation(np.tile(once, times))


def training_batches(
    crops: Any,
    masks: np.ndarray,
    weights: np.ndarray,
    order: np.ndarray,
    *,
    level: str,
    channels: int,
    batch_size: int,
    seed: tuple[int, int],
    lesion_share: float = 0.0,
) -> tf.data.Dataset:
    """Give augmented batches of one epoch, prepared in the background.

    Parameters
    ----------
    crops : numpy.ndarray or CropFile, shape (N, s, s), dtype uint8
        Cropped heads.
    masks : numpy.ndarray, shape (N, leaves), dtype float32
        Allowed leaves.
    weights : numpy.ndarray, shape (N,), dtype float32
        Weight of each item in the loss.
    order : numpy.ndarray, dtype int64
        Indices of the epoch.
    level : str
        Augmentation.
    channels, batch_size : int
        Of the batches; the last one is dropped where it holds a single image, which batch norm cannot bear.
    seed : (int, int)
        Seed of the training and number of the epoch.
    lesion_share : float
        Share of the healthy heads into which a lesion is drawn (`synthetic_lesions`); their label becomes "tumour".

    Returns
    -------
    tf.data.Dataset
        Of (image (B, s, s, c), allowed (B, leaves), weight (B,)), all float32.
    """
    healthy = [1.0] + [0.0] * (masks.shape[1] - 1)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            if len(chosen) < 2 <= len(order):
                return
            changed, allowed = [], masks[chosen].copy()
            for k, i in enumerate(chosen):
                rng = np.random.default_rng((*seed, start + k))
                square = crops[i]
                if lesion_share > 0.0 and allowed[k].tolist() == healthy and rng.random() < lesion_share:
                    drawn = draw_lesion(square, rng)
                    if drawn is not None:
                        # A tumour of whatever type.
                        square, allowed[k] = drawn, 1.0 - allowed[k]
                changed.append(augment(square, level, rng))
            yield to_tensor(np.stack(changed), channels), allowed, weights[chosen]

    side = crops.shape[1]
    signature = (
        tf.TensorSpec((None, side, side, channels), tf.float32),
        tf.TensorSpec((None, masks.shape[1]), tf.float32),
        tf.TensorSpec((None,), tf.float32),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(4)
