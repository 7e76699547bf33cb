"""What a model is, without its weights: one JSON object beside them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from mlcore.data.labels import BINARY_LEAVES, LEAVES


class SpecDamaged(ValueError):
    """A specification that lacks a field, has one too many, or holds a value that cannot be."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that turns weights into a model.

    Attributes
    ----------
    name : str
        For people.
    architecture : str
        A key of `mlcore.networks.architectures.ARCHITECTURES`.
    size : int
        Side of the square input in pixels.
    channels : int
        1, or 3 for a grey image repeated.
    leaves : tuple of str
        `LEAVES` or `BINARY_LEAVES`, in the order of the network's outputs.
    preprocess_version : str
        Must equal `mlcore.preprocessing.preprocess.PREPROCESS_VERSION` where the model is used.
    temperature : float
        Logits are divided by it (Guo et al. 2017, arXiv:1706.04599).
    threshold : float
        Probability of a tumour from which the finding is `tumour`.
    uncertain : (float, float)
        Probabilities of a tumour between which an opinion is called uncertain.
    error_rate : float or None
        Share of scans whose set of labels may lack the truth; None where the model gives no sets.
    cuts : tuple of float
        In the order of the leaves: the probability from which a leaf belongs to the set (`mlcore.measure.conformal`).
    novelty_threshold : float
        Distance of the features above which an image is called out of distribution.
    stack_window : int
        The opinion on a stack is the mean of so many consecutive images (`mlcore.serving.stack_rule`).
    stack_threshold : float or None
        Probability from which the finding of a stack is `tumour`; None: as of an image.
    stack_measured : str
        On which labelled stacks window and threshold were chosen; empty: on none.
    data_sha256 : str
        Over hash, label and part of every item of the training set.
    code_revision : str
        First digits of a hash over the source files of mlcore.
    trained_on : dict
        Counts of items by part, and within by source and label.
    settings : dict
        The training's settings as given.
    measured : str
        Hash of the model on which this one's figures were measured and its choices made, where it was trained by the
        same recipe on all images (see `mlcore.training.refit`); empty where they are its own.
    """

    name: str
    architecture: str
    size: int
    channels: int
    leaves: tuple[str, ...]
    preprocess_version: str
    temperature: float = 1.0
    threshold: float = 0.5
    uncertain: tuple[float, float] = (0.5, 0.5)
    novelty_threshold: float = float("inf")
    error_rate: float | None = None
    cuts: tuple[float, ...] = ()
    data_sha256: str = ""
    code_revision: str = ""
    trained_on: dict[str, dict[str, int]] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    measured: str = ""
    stack_window: int = 3
    stack_threshold: float | None = None
    stack_measured: str = ""

    def __post_init__(self) -> None:
        if self.leaves not in (LEAVES, BINARY_LEAVES):
            raise SpecDamaged(f"The leaves {self.leaves!r} are none of the two known lists.")
        if not (8 <= self.size <= 1024 and self.channels in (1, 3)):
            raise SpecDamaged(f"An input of {self.size} × {self.size} × {self.channels} cannot be.")
        if not (0.0 < self.temperature < 1e6 and 0.0 <= self.threshold <= 1.0):
            raise SpecDamaged("Temperature or threshold are out of range.")
        if (self.error_rate is None) == bool(self.cuts) or len(self.cuts) not in (0, len(self.leaves)):
            raise SpecDamaged("The sets of labels need an error rate, and a cut for each leaf.")
        if self.stack_window < 1 or not 0.0 <= (self.stack_threshold or 0.0) <= 1.0:
            raise SpecDamaged("The rule for stacks is out of range.")

    def to_json(self) -> str:
        """Give the JSON text, keys sorted, so that equal specs are equal bytes."""
        fields = dataclasses.asdict(self)
        # A spec that says nothing of stacks has the bytes that it had before there were any.
        for name in ("stack_window", "stack_threshold", "stack_measured"):
            if fields[name] == getattr(type(self), name):
                del fields[name]
        if self.novelty_threshold == float("inf"):
            fields["novelty_threshold"] = None
        return json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what `to_json` wrote; `SpecDamaged` for anything else."""
        try:
            fields = json.loads(text)
            fields["leaves"] = tuple(fields["leaves"])
            low, high = fields["uncertain"]
            fields["uncertain"] = (float(low), float(high))
            fields["cuts"] = tuple(float(cut) for cut in fields.get("cuts", ()))
            if fields["novelty_threshold"] is None:
                fields["novelty_threshold"] = float("inf")
            return cls(**fields)
        except SpecDamaged:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SpecDamaged(f"The specification cannot be read: {error}.") from error
