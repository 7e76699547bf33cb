"""One step of the optimisation: the loss over the tree of labels, the update, and at which rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

from mlcore.model.config import TrainConfig

_WEIGHT_DECAY = 0.02

Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def _tree_losses(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """Give -log of the summed probabilities of the allowed leaves, (B,), without ever leaving the logarithm."""
    barred = (1.0 - masks) * -1e9
    return tf.reduce_logsumexp(logits, axis=1) - tf.reduce_logsumexp(logits + barred, axis=1)


def compiled_step(
    model: keras.Model, averaged: keras.Model, optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...]
) -> Step:
    """Compile one step: mixing, loss over the tree of labels, update, running average of every weight."""
    leaves = model.output["logits"].shape[-1]

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *shape), tf.float32),
            tf.TensorSpec((None, leaves), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((), tf.float32),
        ],
        autograph=False,
    )
    def step(images: tf.Tensor, masks: tf.Tensor, weights: tf.Tensor, own: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
        # Partial labels cannot be mixed, but the losses under each of the two can (arXiv:1710.09412).
        part = own[:, None, None, None]
        mixed = part * images + (1.0 - part) * tf.reverse(images, [0])
        with tf.GradientTape() as tape:
            logits = model(mixed, training=True)["logits"]
            losses = own * weights * _tree_losses(logits, masks)
            losses += (1.0 - own) * tf.reverse(weights, [0]) * _tree_losses(logits, tf.reverse(masks, [0]))
            loss = tf.reduce_mean(losses)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for mean, weight in zip(averaged.weights, model.weights, strict=True):
            mean.assign(keep * mean + (1.0 - keep) * weight)
        return loss

    return step


def optimizer_of(config: TrainConfig, half: bool) -> keras.optimizers.Optimizer:
    """Make AdamW; for half precision with its gradients scaled, so that none vanishes."""
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=_WEIGHT_DECAY, global_clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # Up before the step and back in it (arXiv:1710.03740).
    return keras.optimizers.LossScaleOptimizer(optimizer) if half else optimizer


def learning_rate(highest: float, behind: float, warm: float) -> float:
    """Give the rate of a step.

    Parameters
    ----------
    highest : float
        The rate at its highest.
    behind : float
        Share of the training that is behind, 0 to 1. It falls along a cosine to a hundredth (arXiv:1608.03983).
    warm : float
        Share of the warm-up that is behind, 0 to 1; it rises from a twentieth.
    """
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(behind, 1.0)))
    return highest * max(cosine, 0.01) * (0.05 + 0.95 * min(warm, 1.0))
