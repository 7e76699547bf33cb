import dataclasses
import json
import shutil

import numpy as np
import pytest

from mlcore.cli.main import main
from mlcore.data.dataset import write_manifest
from mlcore.model.config import BadConfig
from mlcore.networks import artifact
from mlcore.serving.predict import Opinion, Predictor
from mlcore.training.finalize import Choices
from mlcore.training.recalibrate import recalibrate
from mlcore.training.refit import refit
from mlcore.training.train import NotTrainable, train
from tests.mlcore.conftest import TOY
from tests.mlcore.phantom import head, png


@pytest.fixture(scope="module")
def refitted(toy, toy_items, tmp_path_factory):
    return refit(toy.folder, toy_items, tmp_path_factory.mktemp("refit") / "all", name="all", command="the command")


def test_a_refit_learns_from_all_and_its_figures_are_those_of_the_measured_model(toy, toy_items, refitted):
    spec, measured = artifact.load_spec(refitted.folder), artifact.load_spec(toy.folder)
    assert spec.measured == toy.sha256
    for own in ("temperature", "threshold", "uncertain", "cuts", "error_rate", "trained_on", "data_sha256"):
        assert getattr(spec, own) == getattr(measured, own), own
    for part in ("validation", "test", "sets", "uncertain", "training"):
        assert refitted.report[part] == toy.report[part], part
    told = refitted.report["refit"]
    assert told["images"] == len(toy_items)
    assert told["epochs"] == len(told["history"]) == 1
    before, after = (np.load(folder / "weights.npz") for folder in (toy.folder, refitted.folder))
    assert not np.array_equal(before["head/kernel"], after["head/kernel"])
    hashes = [item.sha256 for item in toy_items]
    assert artifact.how_many_seen(refitted.folder, hashes) == len(set(hashes))
    assert isinstance(Predictor.load(refitted.folder).predict([png(head(1, tumour=True))])[0], Opinion)


def test_the_card_of_a_refit_says_that_its_figures_are_another_models(toy, refitted):
    card = (refitted.folder / "card.md").read_text()
    assert "Its weights have seen all" in card
    assert toy.sha256[:16] in card
    assert "`the command`" in card
    assert "Its weights have seen all" not in (toy.folder / "card.md").read_text()


def test_a_model_says_which_images_it_has_seen(toy, toy_items):
    by_part = {
        part: [item.sha256 for item in toy_items if item.split == part] for part in ("train", "validation", "test")
    }
    assert artifact.how_many_seen(toy.folder, by_part["train"] + by_part["validation"]) == len(
        set(by_part["train"] + by_part["validation"])
    )
    assert artifact.how_many_seen(toy.folder, by_part["test"]) == 0


def test_a_model_that_began_with_another_has_seen_what_that_one_has(refitted, toy_items, tmp_path):
    config = dataclasses.replace(TOY, epochs=1, warm_start=refitted.folder)
    done = train(toy_items, config, tmp_path / "next")
    hashes = {item.sha256 for item in toy_items}
    assert artifact.how_many_seen(done.folder, hashes) == len(hashes)


def test_a_model_of_before_that_was_noted_does_not_say(toy, tmp_path):
    copy = shutil.copytree(toy.folder, tmp_path / "copy")
    with np.load(copy / "weights.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "training/seen"}
    np.savez(copy / "weights.npz", **arrays)
    assert artifact.how_many_seen(copy, ["00" * 32]) is None


def test_weights_are_kept_where_only_what_follows_is_chosen_anew(toy, toy_items, refitted, tmp_path):
    other = recalibrate(toy.folder, toy_items, Choices(error_rate=0.4), out=tmp_path / "other")
    copy = shutil.copytree(refitted.folder, tmp_path / "copy")
    again = refit(other.folder, toy_items, copy, keep=True, name="all")
    spec = artifact.load_spec(copy)
    assert (spec.error_rate, spec.measured) == (0.4, other.sha256)
    assert again.sha256 != refitted.sha256
    before, after = (np.load(folder / "weights.npz") for folder in (refitted.folder, copy))
    assert np.array_equal(before["head/kernel"], after["head/kernel"])
    stranger = shutil.copytree(toy.folder, tmp_path / "stranger")
    with pytest.raises(NotTrainable, match="no refit of this model"):
        refit(other.folder, toy_items, stranger, keep=True)


def test_recalibrating_a_refit_learns_anew_what_is_familiar_and_leaves_the_choices(toy_items, refitted, tmp_path):
    again = recalibrate(refitted.folder, toy_items, Choices(), out=tmp_path / "again")
    assert artifact.load_spec(again.folder) == artifact.load_spec(refitted.folder)
    assert again.report["test"] == refitted.report["test"]
    assert again.report["novelty"] == refitted.report["novelty"]
    hashes = [item.sha256 for item in toy_items]
    assert artifact.how_many_seen(again.folder, hashes) == len(set(hashes))


def test_a_refit_of_other_images_or_of_no_recipe_is_refused(toy, toy_items, refitted, tmp_path):
    moved = [dataclasses.replace(item, split="train") if item.split == "test" else item for item in toy_items]
    for items in (moved, toy_items[:-1]):
        with pytest.raises(NotTrainable, match="not the images and parts"):
            refit(toy.folder, items, tmp_path / "none")
    with pytest.raises(NotTrainable, match="was not measured itself"):
        refit(refitted.folder, toy_items, tmp_path / "none")
    with pytest.raises(BadConfig, match="epochs must lie between"):
        refit(toy.folder, toy_items, tmp_path / "none", epochs=0)
    with pytest.raises(NotTrainable, match="Recalibrate the measured model"):
        recalibrate(refitted.folder, toy_items, Choices(error_rate=0.2), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_refit_broken_off_goes_on_to_the_same_model(toy, toy_items, tmp_path):
    def break_off(progress) -> None:
        if progress.epoch == 1:
            raise KeyboardInterrupt

    whole, parted = tmp_path / "whole", tmp_path / "parted"
    refit(toy.folder, toy_items, whole, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        refit(toy.folder, toy_items, parted, epochs=2, on_progress=break_off)
    assert not parted.exists()
    assert len(refit(toy.folder, toy_items, parted, epochs=2).report["refit"]["history"]) == 2
    one, other = (np.load(folder / "weights.npz") for folder in (whole, parted))
    assert np.allclose(one["head/kernel"], other["head/kernel"], atol=1e-5)


def test_the_command_refits(toy, toy_items, tmp_path, capsys):
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(toy_items, manifest)
    out = tmp_path / "all"
    assert main(["--json", "--quiet", "refit", str(toy.folder), str(manifest), "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == artifact.sha256_of(out)
    assert main(["refit", str(toy.folder), str(manifest), "--out", str(out), "--leave-out", "nowhere"]) == 2
    assert "no source nowhere to leave out" in capsys.readouterr().err


@pytest.mark.slow
def test_training_in_half_precision_gives_a_model_in_single(toy_items, tmp_path):
    half = dataclasses.replace(TOY, precision="float16")
    done = train(toy_items, half, tmp_path / "half")
    assert done.report["test"]["metrics"]["auroc"]["value"] > 0.9
    assert done.report["engine"]["engine"] == "litert"
    with np.load(done.folder / "weights.npz") as stored:
        assert stored["head/kernel"].dtype == stored["conv1/kernel"].dtype == np.float32
