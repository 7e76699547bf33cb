import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcore.images.decode import Refused
from mlcore.measure.calibrate import softmax
from mlcore.networks.artifact import ArtifactDamaged, load
from mlcore.networks.runtime import forward
from mlcore.serving.predict import NotFinite, Opinion, Predictor
from mlcore.training.crops import load_crops
from mlcore.training.loop import logits_of
from tests.mlcore.phantom import DATA, head, png

BUNDLED = Path(__file__).resolve().parents[2] / "mlcore" / "bundled_model"
WARNINGS = {"out_of_distribution", "low_quality", "uncertain"}


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor.load(toy.folder, expected_sha256=toy.sha256)


@pytest.fixture(scope="module")
def box():
    return Predictor.load(BUNDLED)


def test_an_opinion_is_whole(predictor):
    picture = np.pad(head(3, tumour=True, side=300), ((0, 0), (50, 250)))
    opinion = predictor.predict([png(picture)])[0]
    assert isinstance(opinion, Opinion)
    assert opinion.finding == opinion.label == "tumour"
    assert sum(opinion.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    assert opinion.tumour_probability == pytest.approx(1 - opinion.probabilities["no_tumour"])
    assert set(opinion.warnings) <= WARNINGS
    assert (opinion.heatmap.dtype, opinion.heatmap.shape) == (np.uint8, (128, 256))
    scale = 256 / 600
    outside = opinion.heatmap.copy()
    x0, y0, x1, y1 = (round(v * scale) for v in opinion.box)
    outside[y0:y1, x0:x1] = 0
    assert not outside.any()


def test_inference_walks_the_road_of_evaluation(predictor, toy, toy_items):
    files = [Path(item.path).read_bytes() for item in toy_items]
    said = predictor.predict(files)
    model, spec = load(toy.folder)
    _, crops = load_crops(toy_items, spec.size)
    logits, _ = logits_of(forward(model, spec), crops, spec.channels)
    for opinion, expected in zip(said, softmax(logits, spec.temperature), strict=True):
        assert list(opinion.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_alone_or_in_a_batch_the_opinion_is_the_same(predictor, toy_items):
    files = [Path(item.path).read_bytes() for item in toy_items] * 2
    together = predictor.predict(files)
    for data, opinion in zip(files[:9], together, strict=False):
        alone = predictor.predict([data])[0]
        assert alone.tumour_probability == pytest.approx(opinion.tumour_probability, abs=1e-5)


def test_bad_files_harm_no_others(predictor):
    good = png(head(1, tumour=True))
    blank = png(np.zeros((64, 64), np.uint8))
    said = predictor.predict([b"", good, b"nonsense", good[:50], blank, good])
    assert [each.code if isinstance(each, Refused) else each.finding for each in said] == [
        "empty",
        "tumour",
        "not_an_image",
        "truncated",
        "blank",
        "tumour",
    ]
    assert predictor.predict([]) == []
    assert isinstance(predictor.predict([b"x"])[0], Refused)


def test_a_network_that_gives_no_numbers_raises_a_named_error(toy):
    model, spec = load(toy.folder)
    model.get_layer("head").bias.assign(np.full(len(spec.leaves), np.nan, np.float32))
    with pytest.raises(NotFinite):
        Predictor.of_network(model, spec, None, "", 1)


def test_another_hash_is_refused(toy):
    with pytest.raises(ArtifactDamaged, match="hash"):
        Predictor.load(toy.folder, expected_sha256="0" * 64)


def test_the_model_in_the_box_gives_an_opinion(box):
    opinion = box.predict([png(head(1, tumour=False, side=200))])[0]
    assert isinstance(opinion, Opinion)
    assert set(opinion.probabilities) == {"no_tumour", "glioma", "meningioma", "pituitary"}


@pytest.mark.parametrize("kind", ["noise", "stripes", "page"])
def test_the_model_in_the_box_flags_what_is_no_scan(box, kind):
    rng = np.random.default_rng(1)
    pictures = {
        "noise": rng.integers(0, 256, (200, 200), dtype=np.uint8),
        "stripes": np.tile((np.arange(200) // 5 % 2 * 255).astype(np.uint8), (200, 1)),
        "page": np.where(rng.random((200, 200)) < 0.15, 0, 255).astype(np.uint8),
    }
    said = box.predict([png(pictures[kind])])[0]
    assert isinstance(said, Refused) or "out_of_distribution" in said.warnings


def test_the_model_in_the_box_reads_real_scans(box):
    if not DATA.is_dir():
        pytest.skip("the shared images are not here")
    for folder, finding in (("notumor", "no_tumour"), ("pituitary", "tumour")):
        files = [path.read_bytes() for path in sorted((DATA / "nickparvar" / folder).glob("*"))[::100]]
        said = [each.finding for each in box.predict(files) if isinstance(each, Opinion)]
        assert said.count(finding) / len(files) > 0.8


@pytest.fixture(scope="module")
def by_tensorflow(toy):
    return Predictor.load(toy.folder, engine="tensorflow")


def test_litert_and_tensorflow_are_of_one_opinion(predictor, by_tensorflow, toy_items):
    pytest.importorskip("ai_edge_litert")
    assert (predictor.engine, by_tensorflow.engine) == ("litert", "tensorflow")
    files = [Path(item.path).read_bytes() for item in toy_items[:23]]
    for one, other in zip(predictor.predict(files), by_tensorflow.predict(files), strict=True):
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-5)
        assert np.abs(one.heatmap.astype(int) - other.heatmap.astype(int)).max() <= 1
        assert (one.label, one.warnings) == (other.label, other.warnings)


def test_the_report_says_how_near_litert_is_to_the_network(toy):
    pytest.importorskip("ai_edge_litert")
    assert toy.report["engine"]["engine"] == "litert"
    assert 0.0 <= toy.report["engine"]["largest_difference"] <= 1e-5
    assert toy.report["engine"]["images"] == 15


def rewritten(folder: Path, **arrays: np.ndarray | None) -> Path:
    with np.load(folder / "weights.npz") as stored:
        kept = dict(stored) | {name.replace("__", "/"): array for name, array in arrays.items()}
    np.savez(folder / "weights.npz", **{name: array for name, array in kept.items() if array is not None})
    return folder


@pytest.mark.parametrize(
    "fault",
    [
        {"engine__litert": None, "engine__probe": None},
        {"engine__litert": np.zeros(100, np.uint8)},
        {"engine__probe": np.array([9.0, -9.0], np.float32)},
    ],
    ids=["no engine", "an engine that is none", "an engine that answers otherwise"],
)
def test_tensorflow_takes_over_where_litert_cannot_serve(toy, tmp_path, fault):
    pytest.importorskip("ai_edge_litert")
    folder = rewritten(shutil.copytree(toy.folder, tmp_path / "model"), **fault)
    served = Predictor.load(folder)
    assert served.engine == "tensorflow"
    assert isinstance(served.predict([png(head(1, tumour=True))])[0], Opinion)


def test_tensorflow_takes_over_where_litert_is_not_installed(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert Predictor.load(toy.folder).engine == "tensorflow"


def test_an_engine_without_its_probe_is_damage(toy, tmp_path):
    pytest.importorskip("ai_edge_litert")
    folder = rewritten(shutil.copytree(toy.folder, tmp_path / "model"), engine__probe=None)
    with pytest.raises(ArtifactDamaged, match="incomplete"):
        Predictor.load(folder)


def test_serving_by_litert_never_imports_tensorflow(toy):
    pytest.importorskip("ai_edge_litert")
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from mlcore.serving.predict import Predictor;"
            "print(Predictor.load(Path(sys.argv[1])).engine, 'tensorflow' in sys.modules)",
            str(toy.folder),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["litert", "False"]
