import numpy as np
import pytest
from tensorflow import keras

from mlcore.architectures import ARCHITECTURES, WeightsMisfit, begin_with, build
from mlcore.config import ARCHITECTURE_NAMES, TrainConfig
from mlcore.explain import evidence_weights
from mlcore.labels import BINARY_LEAVES
from mlcore.spec import ModelSpec


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
