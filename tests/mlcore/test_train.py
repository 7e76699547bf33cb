import dataclasses
import json
import pkgutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mlcore.data.dataset import Item, NotADataset, allowed_masks, from_folder, read_manifest, read_path, write_manifest
from mlcore.data.labels import LEAVES
from mlcore.model.config import BadConfig, TrainConfig
from mlcore.networks import artifact
from mlcore.training import loop
from mlcore.training.batches import epoch_order, training_batches
from mlcore.training.checkpoint import Checkpoint
from mlcore.training.loop import item_weights
from mlcore.training.step import learning_rate
from mlcore.training.train import Cancelled, NotTrainable, train
from tests.mlcore.conftest import TOY
from tests.mlcore.phantom import DATA, head, items, png


def test_train_learns_the_phantoms_and_says_how_well(toy):
    assert toy.report["test"]["metrics"]["auroc"]["value"] > 0.9
    assert toy.report["test"]["dummy"]["auroc"]["value"] == 0.5
    assert toy.report["validation"]["n"] == 12
    assert sorted(path.name for path in toy.folder.iterdir()) == [
        "card.md",
        "report.json",
        "spec.json",
        "weights.npz",
    ]
    assert json.loads((toy.folder / "report.json").read_text()) == toy.report
    assert toy.sha256 == artifact.sha256_of(toy.folder)
    assert toy.sha256 in (toy.folder / "card.md").read_text()


def test_train_with_the_same_seed_gives_the_same_model(toy, toy_items, tmp_path):
    again = train(toy_items, TOY, tmp_path / "again")
    first, second = (np.load(folder / "weights.npz") for folder in (toy.folder, again.folder))
    for name in first.files:
        assert np.allclose(first[name], second[name], atol=1e-5), name
    other = train(toy_items, dataclasses.replace(TOY, seed=2), tmp_path / "other")
    assert other.sha256 != again.sha256


def test_train_tells_its_progress_from_nought_to_one(toy_items, tmp_path):
    seen = []
    train(toy_items, dataclasses.replace(TOY, epochs=2), tmp_path / "model", on_progress=seen.append)
    fractions = [each.fraction for each in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert [each.epoch for each in seen][-1] == 2
    assert all(each.line for each in seen)
    assert seen[-1].val_auroc is not None


def test_train_cancelled_leaves_nothing_behind(toy_items, tmp_path):
    asked = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        train(toy_items, TOY, tmp_path / "model", should_cancel=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "slow"),
    [
        ("epoch", "mlcore.training.loop._Course._step_once"),
        ("what is no scan", "mlcore.networks.ood.fit_line"),
        ("intervals for the test", "mlcore.training.finalize.coverage"),
        ("for serving", "mlcore.training.train.published"),
    ],
)
def test_train_is_cancelled_in_the_middle_of_what_takes_long(toy_items, tmp_path, monkeypatch, words, slow):
    begun, ended = threading.Event(), threading.Event()
    where, _, name = slow.rpartition(".")
    act = getattr(pkgutil.resolve_name(where), name)

    def slowly(*given, **named):
        begun.set()
        ended.wait(60)
        return act(*given, **named)

    monkeypatch.setattr(slow, slowly)
    try:
        with pytest.raises(Cancelled):
            train(toy_items, dataclasses.replace(TOY, epochs=1), tmp_path / "model", should_cancel=begun.is_set)
    finally:
        ended.set()
    assert list(tmp_path.iterdir()) == []


def test_train_is_cancelled_while_it_reads(toy_items, tmp_path):
    opened = []

    def read(item) -> bytes:
        opened.append(time.monotonic())
        time.sleep(0.05)
        return read_path(item)

    with pytest.raises(Cancelled):
        train(toy_items, TOY, tmp_path / "model", should_cancel=lambda: len(opened) > 5, read=read)
    assert len(opened) < len(toy_items) / 2
    assert list(tmp_path.iterdir()) == []


def test_a_training_broken_off_goes_on_to_the_same_model(toy, toy_items, tmp_path):
    def break_off(progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    out, second_half = tmp_path / "again", []
    with pytest.raises(KeyboardInterrupt):
        train(toy_items, TOY, out, on_progress=break_off)
    assert not out.exists()
    done = train(toy_items, TOY, out, on_progress=second_half.append)
    assert min(each.epoch for each in second_half if each.val_loss is not None) >= 1
    assert second_half[-1].epoch == TOY.epochs == len(done.report["training"]["history"])
    assert done.report["training"]["history"][0] == toy.report["training"]["history"][0]
    whole, parted = (np.load(folder / "weights.npz") for folder in (toy.folder, out))
    for name in whole.files:
        assert np.allclose(whole[name], parted[name], atol=1e-5), name
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_the_state_of_another_training_is_not_taken_up(toy_items, tmp_path):
    kept = Checkpoint.beside(tmp_path / "model", "other settings")
    kept.save({"model": [np.ones(3)]}, {"epoch": 3})
    done = train(toy_items, dataclasses.replace(TOY, epochs=1), tmp_path / "model")
    assert [each["epoch"] for each in done.report["training"]["history"]] == [1]
    kept.path.write_bytes(b"torn")
    assert kept.load() is None


def test_the_learning_rate_warms_up_and_has_fallen_at_the_end():
    assert learning_rate(0.1, 0.0, 0.0) == pytest.approx(0.005)
    assert learning_rate(0.1, 0.0, 1.0) == pytest.approx(0.1)
    assert learning_rate(0.1, 0.5, 9.0) == pytest.approx(0.05)
    assert learning_rate(0.1, 1.0, 9.0) == pytest.approx(0.001)


@pytest.mark.parametrize("setting", ["mixup", "implant"])
def test_changed_images_still_teach(setting, toy_items, tmp_path):
    changed = train(toy_items, dataclasses.replace(TOY, **{setting: 0.4}), tmp_path / "changed")
    assert changed.report["validation"]["metrics"]["auroc"]["value"] > 0.8


def test_the_end_of_a_training_sees_no_drawn_lesion(toy_items, tmp_path, monkeypatch):
    asked = []

    def batches(*given, lesion_share, **others):
        asked.append(lesion_share)
        return training_batches(*given, lesion_share=lesion_share, **others)

    monkeypatch.setattr(loop, "training_batches", batches)
    train(toy_items, dataclasses.replace(TOY, epochs=10, patience=10, implant=0.4), tmp_path / "model")
    assert asked == [0.4] * 9 + [0.0]


def test_train_again_replaces_a_model_whole(toy_items, tmp_path):
    out = tmp_path / "model"
    first = train(toy_items, dataclasses.replace(TOY, epochs=1), out)
    second = train(toy_items, dataclasses.replace(TOY, epochs=1, seed=5), out)
    assert first.sha256 != second.sha256 == artifact.sha256_of(out)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_train_from_an_older_model_begins_where_it_ended(toy, toy_items, tmp_path):
    config = dataclasses.replace(TOY, epochs=1, learning_rate=1e-6, warm_start=toy.folder)
    warm = train(toy_items, config, tmp_path / "warm")
    assert warm.report["training"]["history"][0]["val_loss"] < 0.6
    assert warm.report["training"]["settings"]["warm_start"] == "toy"
    assert warm.report["training"]["began_with"]["sha256"] == toy.sha256
    assert (
        f"begun with the weights of `{artifact.load_spec(toy.folder).name}`" in (warm.folder / "card.md").read_text()
    )
    with pytest.raises(NotTrainable, match="cannot be the start"):
        train(toy_items, dataclasses.replace(config, size=32), tmp_path / "misfit")


def parted(label_by_part: dict[str, tuple[str, ...]]) -> list[Item]:
    return [
        Item(f"{part}{i}", f"{part}{i}", label, f"{part}{i}", "s", part)
        for part, labels in label_by_part.items()
        for i, label in enumerate(labels)
    ]


BOTH = ("tumour", "no_tumour")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "no labelled images"),
        (parted({"train": ("tumour",) * 4, "validation": ("glioma",)}), "images without a tumour are missing"),
        (parted({"train": ("no_tumour",), "validation": ("no_tumour",)}), "images with a tumour are missing"),
        (parted({"train": BOTH, "validation": ("tumour",)}), "validation part holds no image without a tumour"),
        (parted({"train": ("tumour",), "validation": BOTH}), "training part holds no image without a tumour"),
        (parted({"train": BOTH}), "validation part holds no image"),
        (
            [dataclasses.replace(item, group="same") for item in parted({"train": BOTH, "validation": BOTH})],
            "lies in two parts",
        ),
        (parted({"train": BOTH, "validation": BOTH, "holiday": BOTH}), "holiday"),
    ],
)
def test_data_from_which_nothing_can_be_learned_is_refused(data, sentence, tmp_path):
    with pytest.raises(NotTrainable, match=sentence):
        train(data, TOY, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_are_left_out_and_counted(toy_items, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no image")
    bad = Item(str(damaged), "0" * 64, "tumour", "bad", "phantom", "train")
    done = train([*toy_items, bad], dataclasses.replace(TOY, epochs=1), tmp_path / "model")
    assert done.report["training"]["left_out"] == 1


def test_without_a_test_part_none_is_reported(tmp_path):
    some = [item for item in items(tmp_path) if item.split != "test"]
    done = train(some, dataclasses.replace(TOY, epochs=1), tmp_path / "model")
    assert done.report["test"] is None
    assert done.report["validation"] is not None


def test_partial_labels_train_four_leaves(toy_items, tmp_path):
    types = ("glioma", "meningioma", "pituitary", "tumour")
    typed = [
        dataclasses.replace(item, label=types[i // 2 % 4]) if item.label == "tumour" else item
        for i, item in enumerate(toy_items)
    ]
    done = train(typed, dataclasses.replace(TOY, epochs=1), tmp_path / "model")
    assert artifact.load_spec(done.folder).leaves == LEAVES


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must lie between 1 and 1000"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"learning_rate": 7.0}, "learning_rate must lie between"),
        ({"architecture": "vast"}, "architecture must be one of"),
        ({"augment": "wild"}, "augment must be one of"),
        ({"class_weights": "yes"}, "class_weights must be true or false"),
        ({"colour": "red"}, "'colour' is unknown"),
        ({"seed": True}, "seed must be a whole number"),
    ],
)
def test_bad_settings_are_named(settings, sentence):
    with pytest.raises(BadConfig, match=sentence):
        TrainConfig.from_dict(settings)


def test_settings_tell_no_path_of_the_machine():
    config = TrainConfig.from_dict({"warm_start": "/home/somebody/models/older"})
    assert config.warm_start == Path("/home/somebody/models/older")
    assert "somebody" not in json.dumps(config.to_dict())


def test_a_rare_leaf_weighs_more_and_all_leaves_the_same():
    masks = np.array([[1, 0]] * 9 + [[0, 1]] * 3, np.float32)
    weights = item_weights(masks, enabled=True)
    assert weights[:9].sum() == pytest.approx(weights[9:].sum())
    assert item_weights(masks, enabled=False).tolist() == [1.0] * 12


def test_a_small_source_comes_more_often():
    both = [Item("", str(i), "tumour", "", "large" if i < 4000 else "small") for i in range(4100)]
    order = epoch_order(both, np.random.default_rng(1), 0.15)
    assert (order >= 4000).sum() == 700
    assert (order < 4000).sum() == 4000


def test_an_untyped_tumour_masks_the_healthy_leaf_alone():
    assert allowed_masks([Item("", "", "tumour")], LEAVES).tolist() == [[0, 1, 1, 1]]


def test_a_manifest_comes_back_as_it_was_written(tmp_path, toy_items):
    path = tmp_path / "manifest.jsonl"
    write_manifest(toy_items, path)
    assert read_manifest(path) == toy_items
    path.write_text('{"path": "a", "sha256": "b", "label": "cat"}\n')
    with pytest.raises(NotADataset, match="Line 1 .* unknown label 'cat'"):
        read_manifest(path)


def test_from_folder_reads_class_folders_and_keeps_twins_together(tmp_path):
    for name, tumour in (("yes", True), ("no", False), ("holiday", True)):
        (tmp_path / "site" / name).mkdir(parents=True)
        for i in range(12):
            picture = head(i + 100 * tumour, tumour=tumour)
            (tmp_path / "site" / name / f"{i}.png").write_bytes(png(picture))
            (tmp_path / "site" / name / f"{i} flipped.png").write_bytes(png(picture[:, ::-1].copy()))
    (tmp_path / "site" / "no" / "broken.jpg").write_bytes(b"nothing")
    refused = []
    found = from_folder(tmp_path, on_refused=lambda path, why: refused.append((path.name, why.code)))
    assert refused == [("broken.jpg", "not_an_image")]
    assert len(found) == 48
    assert {item.source for item in found} == {"site"}
    by_name = {item.path: item for item in found}
    for path, item in by_name.items():
        if "flipped" not in path:
            twin = by_name[path.replace(".png", " flipped.png")]
            assert (twin.group, twin.split) == (item.group, item.split)
    with pytest.raises(NotADataset, match="class folders"):
        from_folder(tmp_path / "site" / "yes")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_seed_learns_from_real_images(tmp_path):
    if not DATA.is_dir():
        pytest.skip("the shared images are not here")
    done = train(from_folder(DATA / "navoneel"), TrainConfig(epochs=12, minutes=10), tmp_path / "model")
    assert done.report["validation"]["metrics"]["auroc"]["value"] > 0.6
