"""The networks, defined in code: an artifact brings weights, never a graph.

Every network ends in `maps` (the last feature maps) and a linear `head` on them, and gives both, so that the heat map
needs no second pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow import keras

from mlcore.spec import ModelSpec, SpecDamaged

layers = keras.layers


def _seed_cnn(inputs: Any) -> tuple[Any, Any]:
    """32-64-128 of 3 × 3, each with batch norm, ReLU and max pool; flatten, dropout 0.5, dense (learning.md)."""
    x = inputs
    for number, width in enumerate((32, 64, 128), start=1):
        x = layers.Conv2D(width, 3, padding="same", name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}", momentum=0.9)(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.MaxPooling2D(name="maps" if number == 3 else f"pool{number}")(x)
    return x, layers.Dropout(0.5, name="dropout")(layers.Flatten(name="flatten")(x))


def _convolution(x: Any, width: int, side: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(
        width,
        side,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm", momentum=0.95)(x)


def _block(x: Any, width: int, stride: int, name: str, last: str | None = None) -> Any:
    """Two 3 × 3 convolutions around which the input passes (He et al. 2015, arXiv:1512.03385)."""
    y = layers.ReLU(name=f"{name}a_relu")(_convolution(x, width, 3, stride, f"{name}a"))
    y = _convolution(y, width, 3, 1, f"{name}b")
    if stride > 1 or x.shape[-1] != width:
        # Averaging before the 1 × 1 convolution keeps the pixels that a strided one would skip (arXiv:1812.01187).
        x = layers.AveragePooling2D(stride, padding="same", name=f"{name}s_pool")(x) if stride > 1 else x
        x = _convolution(x, width, 1, 1, f"{name}s")
    return layers.ReLU(name=last or f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _residual(inputs: Any) -> tuple[Any, Any]:
    """16-32-64-128 in seven residual blocks on an eighth of the side, global average pooling: 0.7 M parameters."""
    x = layers.ReLU(name="stem_relu")(_convolution(inputs, 16, 3, 2, "stem"))
    for stage, width in enumerate((32, 64, 128), start=1):
        x = _block(x, width, 2, f"s{stage}b1")
        x = _block(x, width, 1, f"s{stage}b2", last="maps" if stage == 3 else None)
    return x, layers.Dropout(0.3, name="dropout")(layers.GlobalAveragePooling2D(name="pooled")(x))


ARCHITECTURES: dict[str, Callable[[Any], tuple[Any, Any]]] = {"seed_cnn": _seed_cnn, "residual": _residual}
# Side and channels where nothing else is asked for.
INPUTS: dict[str, tuple[int, int]] = {"seed_cnn": (64, 3), "residual": (128, 1)}


def build(spec: ModelSpec) -> keras.Model:
    """Build the network of a spec, with random weights.

    Parameters
    ----------
    spec : ModelSpec
        `architecture`, `size`, `channels` and `leaves` are used.

    Returns
    -------
    keras.Model
        From float32 (N, size, size, channels), 0 to 1, to a dict of `logits` (N, leaves) and `maps` (N, h, w, c).

    Raises
    ------
    SpecDamaged
        Where the architecture is unknown.
    """
    if spec.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise SpecDamaged(f"The architecture {spec.architecture!r} is unknown; known are {known}.")
    inputs = keras.Input((spec.size, spec.size, spec.channels), name="image")
    maps, features = ARCHITECTURES[spec.architecture](inputs)
    logits = layers.Dense(len(spec.leaves), name="head")(features)
    return keras.Model(inputs, {"logits": logits, "maps": maps}, name=spec.architecture)
