import dataclasses
import json

import pytest

from benchmarks.studies import ablate
from mlcore.cli.main import main
from mlcore.data.dataset import Item, write_manifest
from tests.mlcore.conftest import TOY


def test_a_share_of_the_groups_keeps_whole_groups_and_all_of_the_other_parts():
    items = [
        Item(f"{group}-{k}", f"{group:03d}{k}", "tumour", str(group), "a", "train")
        for group in range(40)
        for k in range(2)
    ]
    items.append(Item("v", "v", "tumour", "v", "a", "validation"))
    kept = ablate.some_groups(items, 0.25)
    groups = [item.group for item in kept if item.split == "train"]
    assert len(groups) == 20
    assert all(groups.count(group) == 2 for group in groups)
    assert items[-1] in kept
    assert len(ablate.some_groups(items, 1.0)) == len(items)


@pytest.mark.slow  # four trainings
def test_a_trick_is_measured_beside_the_recipe(toy_items, monkeypatch):
    monkeypatch.setattr(
        ablate, "TRICKS", {ablate.RECIPE: ablate.Trick(), "slow": ablate.Trick({"learning_rate": 1e-6})}
    )
    config = dataclasses.replace(TOY, epochs=3)
    rows = list(ablate.rows_of(toy_items, config, ["slow"], [1, 2], lambda line: None))
    assert [row["trick"] for row in rows] == [ablate.RECIPE, ablate.LAST_STEP, "slow"]
    recipe, _, slow = rows
    validation = sum(item.split == "validation" for item in toy_items)
    assert recipe["images"] == slow["images"] == 2 * validation
    assert recipe["difference"] is None
    # What hardly learns is worse, and the difference is that of the two rows.
    assert slow["difference"]["auroc"]["value"] == pytest.approx(
        slow["metrics"]["auroc"]["value"] - recipe["metrics"]["auroc"]["value"], abs=1e-6
    )
    assert slow["metrics"]["brier"]["value"] > recipe["metrics"]["brier"]["value"]
    assert recipe["images_a_second"] > 0


@pytest.mark.slow
def test_the_command_writes_the_table_and_keeps_rows_of_the_same_budget(toy_items, tmp_path, monkeypatch):
    tricks = {ablate.RECIPE: ablate.Trick(), "no blending": ablate.Trick({"mixup": 0.0})}
    monkeypatch.setattr(ablate, "TRICKS", tricks)
    manifest, out = tmp_path / "manifest.jsonl", tmp_path / "ablations.md"
    write_manifest(toy_items, manifest)
    asked = ["ablate", str(manifest), "--out", str(out), "--architecture", "seed_cnn", "--size", "16", "--epochs", "1"]
    asked += ["--seeds", "1", "--share", "1"]
    assert main(["--quiet", *asked]) == 0
    assert main(["--quiet", *asked, "--only", "the recipe"]) == 0
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert [row["trick"] for row in rows] == [ablate.RECIPE, ablate.LAST_STEP, "no blending"]
    text = out.read_text()
    assert text.count("| no blending |") == 1
    assert "1 epochs on 100% of the training part’s groups at 16 × 16, seeds 1 together" in text
    assert main(["--quiet", *asked[:-3], "2", "--share", "1", "--only", "the recipe"]) == 0
    assert "no blending" not in out.read_text()


def test_the_table_names_the_rows_that_are_too_slow():
    metric = {"value": 0.5, "low": 0.25, "high": 0.75}
    metrics = dict.fromkeys(("macro_f1", "auroc", "brier"), metric)
    shared = {
        "metrics": metrics,
        "difference": None,
        "by_source": {},
        "cpu_seconds": 1.0,
        "budget": "",
        "command": "c",
    }
    rows = [
        {"trick": name, "images_a_second": speed, **shared} for name, speed in (("small", 301.0), ("large", 299.0))
    ]
    text = ablate.markdown(rows, "site")
    assert "300 images a second; these do not reach them: large." in text
    assert "every row reaches them" in ablate.markdown(rows[:1], "site")
