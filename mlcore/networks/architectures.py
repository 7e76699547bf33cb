"""The networks, defined in code: an artifact brings weights, never a graph.

Every network ends in `maps` (the last feature maps) and a linear `head` on them, and gives both, so that the heat map
needs no second pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorflow import keras

from mlcore.model.spec import ModelSpec, SpecDamaged
from mlcore.networks import lite0
from mlcore.networks.norm import BatchNorm
from mlcore.networks.torch_file import NotTensors

layers = keras.layers


class WeightsMisfit(ValueError):
    """A file of weights that a network cannot begin with."""


def _seed_cnn(inputs: Any) -> tuple[Any, Any]:
    """32-64-128 of 3 × 3, each with batch norm, ReLU and max pool; flatten, dropout 0.5, dense (learning.md)."""
    x = inputs
    for number, width in enumerate((32, 64, 128), start=1):
        x = layers.Conv2D(width, 3, padding="same", name=f"conv{number}")(x)
        x = BatchNorm(name=f"norm{number}", momentum=0.9)(x)
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
    return BatchNorm(name=f"{name}_norm", momentum=0.95)(x)


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


def _seed_cnn_240(inputs: Any) -> tuple[Any, Any]:
    """The forerunner's one block on 240 × 240: 32 of 7 × 7, batch norm, ReLU, two max pools of 4; flatten, dense."""
    x = layers.ZeroPadding2D(2, name="padded")(inputs)
    x = layers.Conv2D(32, 7, name="conv0")(x)
    x = layers.ReLU(name="relu0")(BatchNorm(name="norm0", momentum=0.9)(x))
    x = layers.MaxPooling2D(4, name="maps")(layers.MaxPooling2D(4, name="pool0")(x))
    return x, layers.Flatten(name="flatten")(x)


# Mean blue, green and red of ImageNet, on which the published weights of both were trained.
_IMAGENET = (103.939, 116.779, 123.68)
_KNOWN = {"resnet50": "ResNet50", "vgg16": "VGG16"}


def _known(name: str) -> Callable[[Any], tuple[Any, Any]]:
    """Take a published network (He et al. 2015, arXiv:1512.03385; Simonyan & Zisserman 2014, arXiv:1409.1556)."""

    def build_known(inputs: Any) -> tuple[Any, Any]:
        shifted = layers.Rescaling(255.0, offset=[-mean for mean in _IMAGENET], name="as_imagenet")(inputs)
        whole = getattr(keras.applications, _KNOWN[name])(include_top=False, weights=None, input_tensor=shifted)
        maps = layers.Activation("linear", name="maps")(whole.output)
        return maps, layers.Dropout(0.5, name="dropout")(layers.GlobalAveragePooling2D(name="pooled")(maps))

    return build_known


ARCHITECTURES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "seed_cnn": _seed_cnn,
    "seed_cnn_240": _seed_cnn_240,
    "residual": _residual,
    "lite0": lite0.lite0,
    "resnet50": _known("resnet50"),
    "vgg16": _known("vgg16"),
}


def begin_with(model: keras.Model, architecture: str, weights: Path) -> None:
    """Give `lite0`, `resnet50` or `vgg16` published weights.

    Parameters
    ----------
    model : keras.Model
        Of `build`.
    architecture : str
        Its name.
    weights : Path
        For `lite0` as in `mlcore.networks.lite0.begin_with_published`; otherwise a Keras file of the network without
        its top, such as `vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`. Nothing is ever fetched.

    Raises
    ------
    WeightsMisfit
        Where the architecture has no published weights, or the file holds none of it.
    """
    if architecture == "lite0":
        try:
            lite0.begin_with_published(model, weights)
        except (NotTensors, OSError) as error:
            raise WeightsMisfit(f"{weights.name} holds no weights of lite0: {error}") from error
    elif architecture in _KNOWN:
        _begin_with_keras(model, architecture, weights)
    else:
        names = ("lite0", *_KNOWN)
        raise WeightsMisfit(f"There are no published weights for {architecture}, only for {', '.join(names)}.")


def _begin_with_keras(model: keras.Model, architecture: str, weights: Path) -> None:
    side = model.input_shape[1]
    try:
        with warnings.catch_warnings():
            # Keras warns of what a file lacks, and leaves those layers as chance made them.
            warnings.simplefilter("error", UserWarning)
            donor = getattr(keras.applications, _KNOWN[architecture])(
                include_top=False, weights=str(weights), input_shape=(side, side, 3)
            )
    except (OSError, ValueError, UserWarning) as error:
        raise WeightsMisfit(f"{weights.name} holds no weights of {architecture} without its top.") from error
    for layer in donor.layers[1:]:
        model.get_layer(layer.name).set_weights(layer.get_weights())


def hold_early(model: keras.Model, architecture: str) -> None:
    """Keep the first layers of a network that begins with learned weights, where that is worth while: in `lite0`."""
    if architecture == "lite0":
        lite0.hold_early(model)


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
    # In single precision even where the rest is trained in half.
    logits = layers.Dense(len(spec.leaves), name="head", dtype="float32")(features)
    return keras.Model(inputs, {"logits": logits, "maps": maps}, name=spec.architecture)
