import dataclasses
import json
import shutil

import numpy as np
import pytest

from mlcore.cli.main import main
from mlcore.data.dataset import write_manifest
from mlcore.networks import artifact
from mlcore.networks.ood import BESIDE, BESIDE_WITHOUT_TEXTURE
from mlcore.serving.predict import Opinion, Predictor
from mlcore.training.recalibrate import Choices, recalibrate
from mlcore.training.train import NotTrainable
from tests.mlcore.phantom import head, png


@pytest.fixture
def copy(toy, tmp_path):
    return shutil.copytree(toy.folder, tmp_path / "copy")


def test_choosing_anew_the_same_gives_the_same_model(toy, toy_items, copy):
    again = recalibrate(copy, toy_items, Choices())
    assert again.sha256 == toy.sha256 == artifact.sha256_of(copy)
    for part in ("validation", "test", "sets", "novelty", "uncertain", "training", "engine"):
        assert again.report[part] == toy.report[part], part
    assert again.report["recalibrated"]["code_revision"]
    assert "chosen anew" in (copy / "card.md").read_text()


def test_another_wish_gives_another_model_with_the_same_weights(toy, toy_items, copy, tmp_path):
    out = tmp_path / "other"
    other = recalibrate(copy, toy_items, Choices(error_rate=0.4, sensitivity=1.0), out=out)
    assert artifact.sha256_of(copy) == toy.sha256 != other.sha256
    spec = artifact.load_spec(out)
    assert (spec.error_rate, len(spec.cuts)) == (0.4, 2)
    assert other.report["validation"]["metrics"]["sensitivity"]["value"] == 1.0
    assert "to find 100.0% of its tumours" in (out / "card.md").read_text()
    before, after = (np.load(folder / "weights.npz") for folder in (copy, out))
    assert all(np.array_equal(before[name], after[name]) for name in before.files)


def test_other_images_or_another_split_are_refused(toy_items, copy):
    moved = [dataclasses.replace(item, split="train") if item.split == "test" else item for item in toy_items]
    for items in (moved, toy_items[:-1]):
        with pytest.raises(NotTrainable, match="not the images and parts"):
            recalibrate(copy, items, Choices())


def test_a_model_of_before_sets_and_texture_still_serves_and_can_be_brought_up_to_date(toy, toy_items, copy):
    fields = json.loads((copy / "spec.json").read_text())
    del fields["error_rate"], fields["cuts"]
    del fields["settings"]["error_rate"], fields["settings"]["sensitivity"]
    (copy / "spec.json").write_text(json.dumps(fields))
    with np.load(copy / "weights.npz") as stored:
        arrays = dict(stored)
    numbers = arrays["novelty/means"].shape[1] - BESIDE + BESIDE_WITHOUT_TEXTURE
    arrays["novelty/means"] = arrays["novelty/means"][:, :numbers]
    arrays["novelty/precision"] = arrays["novelty/precision"][:numbers, :numbers]
    # Nor had it seen strangers.
    del arrays["novelty/line"], arrays["novelty/scale"]
    np.savez(copy / "weights.npz", **arrays)
    opinion = Predictor.load(copy).predict([png(head(1, tumour=True))])[0]
    assert isinstance(opinion, Opinion)
    assert opinion.label_set == ()
    recalibrate(copy, toy_items, Choices())
    again = Predictor.load(copy).predict([png(head(1, tumour=True))])[0]
    assert again.label in again.label_set
    assert again.probabilities == opinion.probabilities


def test_the_command_recalibrates_in_place(toy_items, copy, tmp_path, capsys):
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(toy_items, manifest)
    assert main(["--json", "--quiet", "recalibrate", str(copy), str(manifest), "--error-rate", "0.2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == artifact.sha256_of(copy)
    assert told["report"]["choices"] == {"error_rate": 0.2, "sensitivity": None}
    assert main(["recalibrate", str(copy), str(manifest), "--sensitivity", "7"]) == 2
    assert "sensitivity must lie between" in capsys.readouterr().err
