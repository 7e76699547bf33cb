"""The optimisation: epochs, a running average of the weights, and early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from mlcore.data.dataset import Item
from mlcore.measure.calibrate import softmax, tree_loss, tumour_probability
from mlcore.measure.metrics import ranking
from mlcore.model.config import TrainConfig
from mlcore.model.spec import ModelSpec
from mlcore.networks.ood import describe
from mlcore.networks.runtime import Forward, NotFinite, forward, in_half
from mlcore.preprocessing.preprocess import to_tensor
from mlcore.training.batches import epoch_order, training_batches
from mlcore.training.checkpoint import Checkpoint
from mlcore.training.crops import CropFile
from mlcore.training.progress import Reporter
from mlcore.training.step import compiled_step, learning_rate, optimizer_of

# The last epochs see true images only, neither blended nor with drawn lesions, so that the network ends on what it
# will meet.
_MIXED_UNTIL = 0.85
# Steps by which the pace of a training is known.
_PACED_STEPS = 5
# Seconds from which a step is too long to be left alone with.
_LONG_STEP = 0.3


@dataclass(frozen=True)
class Part:
    """One part of a dataset.

    Attributes
    ----------
    items : sequence of Item
        N images.
    crops : numpy.ndarray or CropFile, shape (N, s, s), dtype uint8
        Their heads.
    masks : numpy.ndarray, shape (N, leaves), dtype float32
        Their allowed leaves.
    """

    items: Sequence[Item]
    crops: np.ndarray | CropFile
    masks: np.ndarray

    def some(self, chosen: np.ndarray) -> Part:
        """Give a part of only these items, in this order."""
        return Part([self.items[i] for i in chosen], self.crops[chosen], self.masks[chosen])


@dataclass
class Fitted:
    """What the loop ends with: the averaged network at its best epoch, and how it went."""

    model: keras.Model
    history: list[dict[str, float | None]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "all epochs done"


def item_weights(masks: np.ndarray, enabled: bool) -> np.ndarray:
    """Weigh items so that every leaf counts the same, float32 (N,) of mean 1.

    An item that allows several leaves weighs as the average of them.
    """
    weights = np.ones(len(masks), np.float32)
    if enabled:
        share = masks / masks.sum(axis=1, keepdims=True)
        by_leaf = len(masks) / (masks.shape[1] * np.maximum(share.sum(axis=0), 1.0))
        weights = (share @ np.minimum(by_leaf, 10.0)).astype(np.float32)
    return np.asarray(weights / weights.mean(), np.float32)


def logits_of(
    run: Forward, crops: np.ndarray | CropFile, channels: int, *, tick: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Give logits (N, leaves) and descriptions (N, d; see `mlcore.networks.ood`) of uint8 crops; `tick` may raise."""
    logits, described = [], []
    for start in range(0, len(crops), 64):
        tensors = to_tensor(crops[start : start + 64], channels)
        out, maps = run(tensors)
        logits.append(out)
        described.append(describe(tensors, maps))
        tick()
    return np.concatenate(logits), np.concatenate(described)


def fit(
    networks: tuple[keras.Model, keras.Model],
    spec: ModelSpec,
    parts: tuple[Part, Part | None],
    config: TrainConfig,
    reporter: Reporter,
    span: tuple[float, float],
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Train a network and keep the average of its weights at the epoch with the least validation loss.

    Parameters
    ----------
    networks : (keras.Model, keras.Model)
        The network that learns, and its twin that takes the average.
    spec : ModelSpec
        Gives size, channels and leaves.
    parts : (Part, Part or None)
        To learn from, and to choose the epoch by; without the latter the last epoch is kept.
    config : TrainConfig
        Settings.
    reporter : Reporter
        Told of each step; raises `Cancelled`.
    span : (float, float)
        The fractions of the whole work at which this begins and ends.
    checkpoint : Checkpoint, optional
        Where to keep the state after each epoch, and from where to go on.

    Returns
    -------
    Fitted
        With the averaged network at its best.
    """
    course = _Course(networks, spec, parts, config, reporter, span)
    if checkpoint is not None:
        course.take_up(checkpoint)
    while course.goes_on():
        course.one_epoch()
        if checkpoint is not None:
            course.put_down(checkpoint)
    course.fitted.model.set_weights(course.best_weights)
    return course.fitted


class _Course:
    """A training under way: parameters as of `fit`."""

    def __init__(
        self,
        networks: tuple[keras.Model, keras.Model],
        spec: ModelSpec,
        parts: tuple[Part, Part | None],
        config: TrainConfig,
        reporter: Reporter,
        span: tuple[float, float],
    ) -> None:
        self._model, self._averaged = networks
        self._spec, self._config, self._reporter, self._span = spec, config, reporter, span
        self._train, self._validation = parts
        self._weights = item_weights(self._train.masks, config.class_weights)
        self._steps = -(-len(self._order(0)) // config.batch_size)
        self._optimizer = optimizer_of(config, in_half(self._model))
        self._optimizer.build(self._model.trainable_variables)
        self._step = compiled_step(self._model, self._averaged, self._optimizer, (spec.size, spec.size, spec.channels))
        self._run = forward(self._averaged, spec)
        self.fitted = Fitted(self._averaged)
        self.best_weights: list[np.ndarray] = self._averaged.get_weights()
        self._best = float("inf")
        self._epoch = 0
        # Seconds before this process took the training up, and since when it has it.
        self._before, self._since = 0.0, time.monotonic()
        self._longest = 0.0
        # When this process had done its first step, which compiles and counts for nothing, and after how many epochs.
        self._paced: tuple[float, float] | None = None
        self._validating = 0.0
        self._step_took = float("inf")

    def goes_on(self) -> bool:
        """Tell whether another epoch is to be begun; where not, `fitted.stopped` says why."""
        patience, minutes = self._config.patience, self._config.minutes
        if self._epoch >= self._config.epochs:
            return False
        if self._epoch and self._epoch - self.fitted.best_epoch >= patience:
            self.fitted.stopped = f"no better validation loss for {patience} epochs"
            return False
        # An epoch that would end nearer to the time than the last one did is still begun.
        if minutes is not None and self._epoch and self._spent() + self._longest / 2.0 > minutes * 60.0:
            self.fitted.stopped = f"{minutes:g} minutes were over"
            return False
        return True

    def one_epoch(self) -> None:
        """Train for an epoch, measure on the validation part, keep the weights where they are the best so far."""
        begun = time.monotonic()
        self._epoch += 1
        loss = self._pass()
        if self._validation is None:
            val_loss = val_auroc = None
        else:
            validated = time.monotonic()
            val_loss, val_auroc = _validate(self._run, self._validation, self._spec, self._reporter)
            self._validating = time.monotonic() - validated
        if not (math.isfinite(loss) and math.isfinite(val_loss or 0.0)):
            raise NotFinite("The loss is no number any more; a lower learning rate may help.")
        self._reporter.epoch, self._reporter.val_loss, self._reporter.val_auroc = self._epoch, val_loss, val_auroc
        self._say(1.0, now=True)
        self.fitted.history.append(
            {"epoch": self._epoch, "loss": round(loss, 5), "val_loss": val_loss, "val_auroc": val_auroc}
        )
        if val_loss is None or val_loss < self._best:
            self._best = self._best if val_loss is None else val_loss
            self.best_weights, self.fitted.best_epoch = self._averaged.get_weights(), self._epoch
        self._longest = max(self._longest, time.monotonic() - begun)

    def take_up(self, checkpoint: Checkpoint) -> None:
        """Go on from a kept state, where there is one of this training."""
        found = checkpoint.load()
        if found is None:
            return
        arrays, notes = found
        for name, variables in self._variables().items():
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        self.best_weights = arrays["best"]
        self._epoch, self._best, self._before = notes["epoch"], notes["best"], notes["spent"]
        self._longest = notes["longest"]
        self.fitted.best_epoch, self.fitted.history = notes["best_epoch"], notes["history"]
        last = self.fitted.history[-1]
        self._reporter.epoch, self._reporter.val_loss = self._epoch, last["val_loss"]
        self._reporter.val_auroc = last["val_auroc"]
        self._say(0.0, "taken up again after ", now=True)

    def put_down(self, checkpoint: Checkpoint) -> None:
        """Keep the state."""
        arrays = {name: [np.asarray(each) for each in some] for name, some in self._variables().items()}
        notes = {
            "epoch": self._epoch,
            "best": self._best,
            "best_epoch": self.fitted.best_epoch,
            "history": self.fitted.history,
            "spent": self._spent(),
            "longest": self._longest,
        }
        checkpoint.save({**arrays, "best": self.best_weights}, notes)

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "model": self._model.variables,
            "averaged": self._averaged.weights,
            "optimizer": self._optimizer.variables,
        }

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._since

    def _behind(self, epochs: float) -> float:
        """Give the share of the training that is behind, by epochs or by the clock, whichever is further.

        So the learning rate has fallen when the time is over, on a fast machine and on a slow one.
        """
        behind = epochs / self._config.epochs
        if self._config.minutes is not None:
            behind = max(behind, self._spent() / (self._config.minutes * 60.0))
        return min(behind, 1.0)

    def _left(self, epochs: float) -> float | None:
        """Give the seconds until all is done; None while too little is known."""
        moment = time.monotonic()
        if self._paced is None or epochs < self._paced[1]:
            self._paced = (moment, epochs)
        since, before = self._paced
        if epochs - before < _PACED_STEPS / self._steps:
            return None
        pace = (moment - since) / (epochs - before)
        rest = math.ceil(epochs) - epochs
        more = self._config.epochs - math.ceil(epochs)
        if self._config.minutes is not None:
            # As many whole epochs as `goes_on` will begin.
            room = self._config.minutes * 60.0 - self._spent() - rest * pace
            more = min(more, max(math.floor(room / max(pace, 1e-9) + 0.5), 0))
        left = (rest + more) * pace
        if self._validation is None:
            return left
        # Then every part is measured as the validation part was.
        return left + self._validating * (1.0 + len(self._train.items) / len(self._validation.items))

    def _say(self, done: float, before: str = "", *, now: bool = False) -> None:
        """Report, `done` being the share of the running epoch."""
        low, high = self._span
        epochs = max(self._epoch - 1, 0) + done
        left = self._left(epochs) if done > 0.0 else None
        if left is not None:
            self._reporter.ends_in(left)
        most = "" if self._config.minutes is None else "at most "
        words = f"{before}epoch {self._epoch} of {most}{self._config.epochs}"
        self._reporter.at(low + (high - low) * self._behind(epochs), words, now=now)

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self._config.seed, epoch))
        return epoch_order(self._train.items, rng, self._config.least_share)

    def _pass(self) -> float:
        """Show every item of an epoch once; give the mean loss."""
        config = self._config
        batches = training_batches(
            self._train.crops,
            self._train.masks,
            self._weights,
            self._order(self._epoch),
            level=config.augment,
            channels=self._spec.channels,
            batch_size=config.batch_size,
            seed=(config.seed, self._epoch),
            lesion_share=config.implant if self._behind(self._epoch - 1) <= _MIXED_UNTIL else 0.0,
        )
        mixing = np.random.default_rng((config.seed, self._epoch, 1))
        warm = min(self._steps, max(1, self._steps * config.epochs // 10))
        total, seen = 0.0, 0
        for images, masks, weight in batches:
            taken = (self._epoch - 1) * self._steps + seen
            behind = self._behind(taken / self._steps)
            self._optimizer.learning_rate.assign(learning_rate(config.learning_rate, behind, taken / warm))
            # About an epoch of memory, less at the beginning so that the first random weights are soon forgotten.
            keep = min(1.0 - 1.0 / max(self._steps, 10), (1.0 + taken) / (10.0 + taken))
            own = self._own_parts(mixing, int(images.shape[0]), behind)
            total += self._stepped((images, masks, weight, tf.constant(own), tf.constant(keep, tf.float32)))
            seen += 1
            self._reporter.loss = total / seen
            self._say(min(seen / self._steps, 1.0))
        return total / max(seen, 1)

    def _stepped(self, given: tuple[tf.Tensor, ...]) -> float:
        """Take one step; give the loss. The first compiles, and those of large networks are long: ask meanwhile."""
        begun = time.monotonic()
        if self._step_took > _LONG_STEP:
            loss = self._reporter.during(lambda: self._step_once(given))
        else:
            loss = self._step_once(given)
        self._step_took = time.monotonic() - begun
        return loss

    def _step_once(self, given: tuple[tf.Tensor, ...]) -> float:
        return float(self._step(*given))

    def _own_parts(self, mixing: np.random.Generator, count: int, behind: float) -> np.ndarray:
        """Give how much of each image is its own, float32 (count,); the rest is of its partner in the batch."""
        if self._config.mixup <= 0.0 or behind > _MIXED_UNTIL:
            return np.ones(count, np.float32)
        share = mixing.beta(self._config.mixup, self._config.mixup, count)
        return np.maximum(share, 1.0 - share).astype(np.float32)


def _validate(run: Forward, part: Part, spec: ModelSpec, reporter: Reporter) -> tuple[float, float]:
    """Give tree loss and AUROC on a part."""
    logits = []
    for start in range(0, len(part.crops), 64):
        logits.append(run(to_tensor(part.crops[start : start + 64], spec.channels))[0])
        reporter.at(0.0, "measuring on the validation part")
    probabilities = softmax(np.concatenate(logits))
    tumour = np.array([item.label != "no_tumour" for item in part.items], dtype=bool)
    scores = tumour_probability(probabilities, spec.leaves)
    auroc = ranking(scores, tumour, np.ones((1, len(tumour))))["auroc"][0]
    return round(tree_loss(probabilities, part.masks), 5), round(float(auroc), 5)
