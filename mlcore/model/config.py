"""The settings of a training, checked with a sentence for each fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURE_NAMES = ("seed_cnn", "seed_cnn_240", "residual", "lite0", "resnet50", "vgg16")
AUGMENT_LEVELS = ("none", "light", "strong")
PRECISIONS = ("auto", "float32", "float16")
_SIZES = {"seed_cnn": 64, "seed_cnn_240": 240, "residual": 128, "lite0": 128, "resnet50": 224, "vgg16": 224}
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 1000),
    "batch_size": (2, 512),
    "learning_rate": (1e-6, 1.0),
    "seed": (0, 2**31 - 1),
    "size": (16, 512),
    "patience": (1, 1000),
    "threads": (1, 256),
    "minutes": (0.01, 60 * 24 * 7),
    "least_share": (0.0, 0.5),
    "mixup": (0.0, 4.0),
    "implant": (0.0, 1.0),
    "error_rate": (0.001, 0.5),
    "sensitivity": (0.5, 1.0),
}
_WHOLE = ("epochs", "batch_size", "seed", "size", "patience", "threads")


class BadConfig(ValueError):
    """Settings with which no training can start; the sentence names the setting and what it may be."""


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training.

    Attributes
    ----------
    architecture : str
        `seed_cnn`, `seed_cnn_240`, `residual`, `lite0`, `resnet50` or `vgg16`.
    epochs : int
        At most.
    batch_size : int
        Images a step.
    learning_rate : float
        At its highest; it warms up over an epoch and falls along a cosine.
    seed : int
        Of weights, order and augmentation.
    size : int or None
        Side of the input in pixels; that of the architecture where None.
    augment : str
        `none`, `light` or `strong`.
    class_weights : bool
        Whether a rare leaf weighs more.
    patience : int
        Epochs without a better validation loss after which training stops.
    threads : int
        For TensorFlow and OpenCV.
    warm_start : Path or None
        Model folder whose weights to begin with.
    weights : Path or None
        File of published weights to begin with, for `lite0`, `resnet50` and `vgg16`.
    minutes : float or None
        Time for all epochs: none is begun that would end well after it, and the learning rate has fallen by then.
    least_share : float
        Share of an epoch that each source should have; a small one is repeated up to ten times.
    mixup : float
        How much images are blended in pairs: the parameter of the beta distribution; 0 for not at all.
    implant : float
        Share of the healthy heads into which a lesion is drawn, so that no sequence means "healthy". The name is that
        under which stored recipes and models hold it; the command line says `--synthetic-lesions`.
    error_rate : float
        Share of scans whose set of labels may lack the truth.
    sensitivity : float or None
        Share of the validation part's tumours that the threshold must find; None for the best threshold near a half.
    precision : str
        `float32`; `float16` for mixed precision; `auto` for that where there is a GPU, and only there.
    name : str
        Of the model; made from architecture and data where empty.
    """

    architecture: str = "seed_cnn"
    epochs: int = 12
    batch_size: int = 32
    learning_rate: float = 0.001
    seed: int = 1
    size: int | None = None
    augment: str = "light"
    class_weights: bool = True
    patience: int = 6
    threads: int = 2
    warm_start: Path | None = None
    weights: Path | None = None
    minutes: float | None = None
    least_share: float = 0.15
    mixup: float = 0.0
    implant: float = 0.0
    error_rate: float = 0.1
    sensitivity: float | None = None
    precision: str = "auto"
    name: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURE_NAMES:
            raise BadConfig(_choice("architecture", self.architecture, ARCHITECTURE_NAMES))
        if self.augment not in AUGMENT_LEVELS:
            raise BadConfig(_choice("augment", self.augment, AUGMENT_LEVELS))
        if self.precision not in PRECISIONS:
            raise BadConfig(_choice("precision", self.precision, PRECISIONS))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in ("size", "minutes", "sensitivity"):
                continue
            wanted = int if name in _WHOLE else (int, float)
            if isinstance(value, bool) or not isinstance(value, wanted):
                kind = "a whole number" if name in _WHOLE else "a number"
                raise BadConfig(f"The setting {name} must be {kind}, not {value!r}.")
            if not low <= value <= high:
                raise BadConfig(f"The setting {name} must lie between {low:g} and {high:g}, not at {value:g}.")
        if not isinstance(self.class_weights, bool):
            raise BadConfig(f"The setting class_weights must be true or false, not {self.class_weights!r}.")

    @property
    def side(self) -> int:
        """Side of the input in pixels."""
        return self.size if self.size is not None else _SIZES[self.architecture]

    @property
    def channels(self) -> int:
        """Channels of the input: one where the network is our own, or repeats the grey picture itself."""
        return 1 if self.architecture in ("residual", "lite0") else 3

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainConfig:
        """Make settings from a mapping, such as a form's or a request's.

        Raises
        ------
        BadConfig
            For an unknown name, a wrong type or a value out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            known_words = ", ".join(sorted(known))
            raise BadConfig(f"The setting {unknown[0]!r} is unknown; known are {known_words}.")
        values = dict(settings)
        for name in ("warm_start", "weights"):
            if isinstance(values.get(name), str):
                values[name] = Path(values[name]) if values[name] else None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain JSON values; of paths only the last name, never a machine's path."""
        values = dataclasses.asdict(self)
        for name in ("warm_start", "weights"):
            values[name] = values[name].name if values[name] is not None else None
        return values


def _choice(name: str, value: object, known: tuple[str, ...]) -> str:
    return f"The setting {name} must be one of {', '.join(known)}, not {value!r}."
