import numpy as np
import pytest
import tensorflow as tf

from benchmarks.heatmaps import BOX, likeness, randomised
from mlcore import artifact
from mlcore.architectures import build
from mlcore.decode import decode
from mlcore.explain import evidence_weights, tumour_map
from mlcore.labels import LEAVES
from mlcore.preprocess import prepare
from mlcore.spec import ModelSpec
from tests.mlcore.phantom import head, png


@pytest.mark.parametrize(("architecture", "channels"), [("seed_cnn", 3), ("residual", 1)])
def test_the_direct_sum_equals_grad_cam_by_gradient(architecture, channels):
    tf.keras.utils.set_random_seed(3)
    spec = ModelSpec("toy", architecture, 32, channels, LEAVES, "1")
    model = build(spec)
    image = tf.random.uniform((1, 32, 32, channels), seed=1)
    maps = model(image, training=False)["maps"]
    after = model.layers[[layer.name for layer in model.layers].index("maps") + 1 :]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        x = maps
        for layer in after:
            x = layer(x, training=False)
        evidence = x[0, 2] - x[0, 0]
    by_gradient = tf.reduce_mean(tape.gradient(evidence, maps), axis=(1, 2)).numpy()[0]
    kernel = model.get_layer("head").kernel.numpy()
    direct = evidence_weights(kernel, tuple(maps.shape[1:]), LEAVES)
    assert direct[2] == pytest.approx(by_gradient, rel=1e-4, abs=1e-7)
    assert not direct[0].any()


def test_the_map_is_as_strong_as_the_probability_of_a_tumour():
    maps = np.zeros((4, 4, 2), np.float32)
    maps[1, 2, 0] = 3.0
    weights = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    heat = tumour_map(maps, weights, np.array([0.1, 0.7, 0.1, 0.1]), LEAVES)
    assert heat[1, 2] == pytest.approx(0.9)
    assert np.count_nonzero(heat) == 1
    assert not tumour_map(maps, -weights, np.array([0.1, 0.7, 0.1, 0.1]), LEAVES).any()


def test_a_head_of_another_network_is_refused():
    with pytest.raises(ValueError, match="not linear"):
        evidence_weights(np.zeros((7, 4)), (2, 2, 3), LEAVES)


def test_the_map_falls_apart_when_the_weights_are_made_random():
    model, spec = artifact.load(BOX)
    rng = np.random.default_rng(1)
    heads = [head(seed, tumour=True, side=200) for seed in range(4)]
    tensors = np.stack([prepare(decode(png(each)), spec).tensor for each in heads])
    shares, alike = zip(*randomised(model, spec, tensors, steps=2), strict=True)
    assert (shares[0], alike[0], shares[-1]) == (0.0, pytest.approx(1.0), 1.0)
    assert alike[-1] < 0.8
    assert likeness(rng.random((8, 8)), np.zeros((8, 8))) == 0.0
