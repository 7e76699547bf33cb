import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from benchmarks.heatmaps import BUNDLED, randomised, similarity
from mlcore.data.labels import LEAVES
from mlcore.images.decode import decode
from mlcore.model.spec import ModelSpec
from mlcore.networks import artifact
from mlcore.networks.architectures import build
from mlcore.preprocessing.preprocess import prepare
from mlcore.serving.explain import evidence_weights, tumour_map
from mlcore.serving.predict import Predictor
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


@pytest.fixture(scope="module")
def box_and_heads():
    model, spec = artifact.load(BUNDLED)
    heads = [head(seed, tumour=True, side=200) for seed in range(4)]
    return model, spec, np.stack([prepare(decode(png(each)), spec).tensor for each in heads])


def coarse_picture(run, model, spec, tensors):
    """Show the image and not the network: what a map that ignores the weights amounts to."""
    return tensors[..., 0].reshape(len(tensors), 8, 16, 8, 16).mean(axis=(2, 4))


def falls_apart(found) -> bool:
    """Tell whether, on average over the draws, little of the map is left without the head, and nothing at the end."""
    (none, whole), (head_alone, by_head), (all_of_it, by_all) = found
    assert (none, whole, all_of_it) == (0.0, [pytest.approx(1.0)], 1.0)
    assert 0 < head_alone < 0.05
    # Over 20 draws the means are 0.27 and 0.01, the standard deviations of one draw 0.24 and 0.33.
    return np.mean(by_head) < 0.5 and abs(np.mean(by_all)) < 0.35


def test_the_map_falls_apart_when_the_weights_are_made_random(box_and_heads):
    model, spec, tensors = box_and_heads
    before = model.get_weights()
    assert falls_apart(list(randomised(model, spec, tensors, steps=2, draws=8)))
    assert not falls_apart(list(randomised(model, spec, tensors, steps=2, draws=1, drawn=coarse_picture)))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_maps_that_are_nought_nearly_everywhere_are_not_alike_for_that():
    one, other = np.zeros((8, 8)), np.zeros((8, 8))
    one[1, 1], other[6, 6] = 1.0, 1.0
    assert similarity(one, other) == pytest.approx(-1 / 63)
    assert similarity(one, np.zeros((8, 8))) == 0.0


def bright_finder() -> tuple[keras.Model, ModelSpec]:
    """Build a network that calls a tumour whatever is brighter than a skull, and nothing else."""
    spec = ModelSpec("bright", "seed_cnn", 64, 3, LEAVES, "1", threshold=0.5)
    model = build(spec)
    for number, cut in ((1, 0.9), (2, 0.0), (3, 0.0)):
        kernel, bias = (np.zeros_like(each) for each in model.get_layer(f"conv{number}").get_weights())
        kernel[1, 1, 0, 0], bias[0] = 1.0, -cut
        model.get_layer(f"conv{number}").set_weights([kernel, bias])
    kernel, bias = (np.zeros_like(each) for each in model.get_layer("head").get_weights())
    kernel[::128, LEAVES.index("glioma")], bias[LEAVES.index("no_tumour")] = 400.0, 4.0
    model.get_layer("head").set_weights([kernel, bias])
    return model, spec


def test_the_strongest_point_of_the_map_lies_in_the_lesion_wherever_the_head_lies_on_the_image():
    predictor = Predictor.of_network(*bright_finder(), None, "", 1)
    rng = np.random.default_rng(2)
    pointed = []
    for seed in range(12):
        side = 160
        drawn, (x, y) = head(seed, tumour=False, side=side), rng.uniform(0.35, 0.65, 2) * side
        down, across = np.mgrid[0:side, 0:side]
        drawn[np.hypot(across - x, down - y) < 16] = 240
        # The head stands off the middle, on an image that is no square.
        above, left = (int(each) for each in rng.integers(0, 120, 2))
        page = np.pad(drawn, ((above, 0), (left, int(rng.integers(0, 60)))))
        (said,) = predictor.predict([png(page)])
        assert said.finding == "tumour"
        scale = max(page.shape) / max(said.heatmap.shape)
        where = np.unravel_index(int(said.heatmap.argmax()), said.heatmap.shape)
        away = np.hypot(*((np.array(where) + 0.5) * scale - (above + y, left + x)))
        # A cell of the map is an eighth of the crop's side; its middle stands for all of it.
        cell = max(said.box[2] - said.box[0], said.box[3] - said.box[1]) / 8
        pointed.append(away <= 16 + cell / 2)
    assert all(pointed)
