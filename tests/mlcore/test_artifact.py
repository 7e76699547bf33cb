import dataclasses
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mlcore.data.labels import LEAVES
from mlcore.model.card import card
from mlcore.model.spec import ModelSpec, SpecDamaged
from mlcore.networks import artifact
from mlcore.networks.artifact import ArtifactDamaged

BUNDLED = Path(__file__).resolve().parents[2] / "mlcore" / "bundled_model"


@pytest.fixture
def copy(toy, tmp_path):
    return shutil.copytree(toy.folder, tmp_path / "copy")


def test_load_gives_the_weights_that_were_saved(toy):
    model, spec = artifact.load(toy.folder, expected_sha256=toy.sha256)
    stored = np.load(toy.folder / "weights.npz")
    for variable in model.weights:
        assert np.array_equal(variable.numpy(), stored[variable.path])
    assert spec.name.startswith("seed_cnn")


def test_saving_twice_gives_the_same_bytes(toy, tmp_path):
    model, spec, detector = artifact.load_all(toy.folder)
    served = artifact.load_servable(toy.folder)
    engine = served.engine if served is not None else None
    seen = artifact.seen_by(toy.folder)
    assert artifact.save(tmp_path / "again", model, spec, toy.report, detector, engine, seen=seen) == toy.sha256


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.8, 0.999])
def test_one_flipped_byte_in_the_weights_is_found(copy, toy, share):
    path = copy / "weights.npz"
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactDamaged, match="hash"):
        artifact.load(copy, expected_sha256=toy.sha256)


def test_an_altered_spec_is_found(copy, toy):
    spec = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps({**spec, "threshold": 0.9}))
    with pytest.raises(ArtifactDamaged, match="hash"):
        artifact.load(copy, expected_sha256=toy.sha256)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architecture": "unheard_of"}, "unknown"),
        ({"architecture": "residual"}, "do not fit"),
        ({"size": 32}, "do not fit"),
        ({"preprocess_version": "0"}, "preprocessing 0"),
        ({"leaves": ["cat", "dog"]}, "none of the two"),
        ({"temperature": -1.0}, "out of range"),
        ({"surprise": 1}, "cannot be read"),
    ],
)
def test_a_spec_that_does_not_fit_is_named(copy, change, sentence):
    spec = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps({**spec, **change}))
    with pytest.raises(ArtifactDamaged, match=sentence):
        artifact.load(copy)


def rewrite(path, change):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.pop("head/kernel"), "do not fit"),
        (lambda a: a.update(extra=np.zeros(3)), "do not fit"),
        (lambda a: a.update({"head/bias": np.zeros(7)}), "do not fit"),
        (lambda a: a.update({"head/bias": np.full(2, np.nan)}), "no numbers"),
        (lambda a: a.update({"head/bias": np.array([None, {}], dtype=object)}), "cannot be read"),
        (lambda a: a.pop("novelty/means"), "incomplete"),
        (lambda a: a.update({"novelty/precision": np.zeros((2, 2))}), "does not fit this code"),
        (lambda a: a.pop("novelty/scale"), "incomplete"),
        (lambda a: a.update({"novelty/line": np.zeros((4, 7))}), "of strangers does not fit"),
    ],
)
def test_weights_that_do_not_fit_are_named(copy, change, sentence):
    rewrite(copy / "weights.npz", change)
    with pytest.raises(ArtifactDamaged, match=sentence):
        artifact.load(copy)


@pytest.mark.parametrize("name", ["weights.npz", "spec.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ArtifactDamaged, match=name):
        artifact.load(copy)


def test_a_pickle_is_never_opened(copy, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(copy / "weights.npz", "w") as archive:
        archive.writestr("head/bias.npy", buffer.getvalue())
    with pytest.raises(ArtifactDamaged):
        artifact.load(copy)
    assert not (tmp_path / "sprung").exists()


def test_a_spec_comes_back_as_it_was_written():
    spec = ModelSpec("n", "residual", 128, 1, LEAVES, "1", trained_on={"train": {"a/tumour": 3}}, uncertain=(0.3, 0.6))
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert dataclasses.replace(spec, novelty_threshold=2.5).to_json() != spec.to_json()
    with pytest.raises(SpecDamaged):
        ModelSpec.from_json("[]")


def test_the_card_in_the_box_is_of_its_report_and_tells_every_wrong_finding():
    spec, report = artifact.load_spec(BUNDLED), artifact.load_report(BUNDLED)
    text = card(spec, report, artifact.sha256_of(BUNDLED))
    assert (BUNDLED / "card.md").read_text(encoding="utf-8") == text
    measured = report["test"]
    wrong = round((1.0 - measured["metrics"]["accuracy"]["value"]) * measured["n"])
    told = re.findall(r"^- (\d+) of \d+ .*(?:a tumour missed|a false alarm)", text, re.MULTILINE)
    assert sum(int(count) for count in told) == wrong
    assert f"Of {wrong} wrong findings" in text
    drawn = re.findall(r"^ \d\.\d{3}  \d\.\d{3}  +(\d+)  (\S{51})$", text, re.MULTILINE)
    assert sum(int(count) for count, _ in drawn) == measured["n"]
    assert all(("*" in row) != ("|" in row and "o" in row) for _, row in drawn)
