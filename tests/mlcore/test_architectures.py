import numpy as np
import pytest
from tensorflow import keras

from mlcore.data.labels import BINARY_LEAVES
from mlcore.model.config import ARCHITECTURE_NAMES, TrainConfig
from mlcore.model.spec import ModelSpec
from mlcore.networks.architectures import ARCHITECTURES, WeightsMisfit, begin_with, build, hold_early
from mlcore.networks.norm import BatchNorm
from mlcore.serving.explain import evidence_weights


def built(name: str, size: int | None = None) -> keras.Model:
    config = TrainConfig(architecture=name, size=size)
    return build(ModelSpec("n", name, config.side, config.channels, BINARY_LEAVES, "1"))


def test_every_name_that_may_be_asked_for_can_be_built():
    assert set(ARCHITECTURE_NAMES) == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "parameters", "maps"),
    [
        ("seed_cnn", 110_530, (8, 8, 128)),
        # The forerunner's 11,137 with one output more.
        ("seed_cnn_240", 11_137 + 14 * 14 * 32 + 1, (14, 14, 32)),
        ("residual", None, (8, 8, 128)),
        ("lite0", 716_928 + 2 * 112 + 2, (8, 8, 112)),
        ("resnet50", 23_587_712 + 2 * 2048 + 2, (7, 7, 2048)),
        ("vgg16", 14_714_688 + 2 * 512 + 2, (7, 7, 512)),
    ],
)
def test_a_network_is_what_its_papers_say_and_its_head_is_linear_in_its_maps(name, parameters, maps):
    model = built(name)
    assert model.output["maps"].shape[1:] == maps
    assert parameters in (None, model.count_params())
    assert len({variable.path for variable in model.weights}) == len(model.weights)
    kernel = model.get_layer("head").kernel.numpy()
    assert evidence_weights(kernel, maps, BINARY_LEAVES).shape == (2, maps[2])
    assert tuple(model.get_layer("maps").output.shape[1:]) == maps


@pytest.mark.slow  # networks of many millions of weights
def test_published_weights_come_from_a_file_alone(tmp_path):
    path = tmp_path / "vgg16_notop.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None, input_shape=(48, 48, 3)).save_weights(path)
    before, after = built("vgg16", 48), built("vgg16", 48)
    begin_with(before, "vgg16", path)
    begin_with(after, "vgg16", path)
    name = "block5_conv3"
    assert np.array_equal(before.get_layer(name).get_weights()[0], after.get_layer(name).get_weights()[0])
    for model, architecture, file, sentence in (
        (built("seed_cnn"), "seed_cnn", path, "no published weights for seed_cnn"),
        (before, "vgg16", tmp_path / "missing.h5", "holds no weights of vgg16"),
        (built("resnet50", 48), "resnet50", path, "holds no weights of resnet50"),
    ):
        with pytest.raises(WeightsMisfit, match=sentence):
            begin_with(model, architecture, file)


def test_a_network_that_begins_with_learned_weights_keeps_its_first_blocks():
    model = built("lite0", 32)
    everything = len(model.trainable_variables)
    hold_early(model, "lite0")
    held = [layer.name for layer in model.layers if layer.weights and not layer.trainable]
    assert {name.split("_")[0] for name in held} == {"stem", "block0", "block1", "block2"}
    assert len(model.trainable_variables) < everything
    other = built("residual", 32)
    hold_early(other, "residual")
    assert all(layer.trainable for layer in other.layers)


def test_our_batch_norm_is_keras_own_but_for_its_speed():
    images = np.random.default_rng(1).normal(3.0, 2.0, (8, 6, 6, 5)).astype(np.float32)
    ours, theirs = BatchNorm(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for _ in range(3):
        assert np.allclose(ours(images, training=True), theirs(images, training=True), atol=1e-4)
    assert np.allclose(ours.moving_mean, theirs.moving_mean, atol=1e-4)
    # The running variance is that of the population, not of the sample: larger by 1 in 287 here.
    assert np.allclose(ours.moving_variance, theirs.moving_variance, rtol=0.01)
    assert np.allclose(ours(images), theirs(images), rtol=0.01, atol=0.01)
    ours.trainable = False
    before = ours.moving_mean.numpy()
    assert np.allclose(ours(images, training=True), ours(images))
    assert np.array_equal(before, ours.moving_mean.numpy())
