import hashlib
import json

import numpy as np
import pytest

from mlcore.cli.main import main
from mlcore.training.baseline_protocol import augment_files, changed, split_at_random
from tests.mlcore.phantom import head, png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    for name, tumour in (("yes", True), ("no", False)):
        (root / name).mkdir()
        for i in range(6):
            (root / name / f"{i}.png").write_bytes(png(head(i + 100 * tumour, tumour=tumour)))
    (root / "no" / "broken.jpg").write_bytes(b"nothing")
    return root


def hashes(folder) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_seven_of_each_tumour_and_ten_of_each_without_as_the_original_made(folder, tmp_path):
    refused = []
    written = augment_files(folder, tmp_path / "out", on_refused=lambda path, why: refused.append(path.name))
    assert written == {"tumour": 42, "no_tumour": 60}
    assert refused == ["broken.jpg"]
    assert len(set(hashes(tmp_path / "out").values())) == 102
    # Of the full set of 155 and 98 these are the original's 1,085 and 980.
    assert (155 * written["tumour"] // 6, 98 * written["no_tumour"] // 6) == (1085, 980)


def test_the_same_seed_writes_the_same_files_whatever_lies_beside(folder, tmp_path):
    augment_files(folder, tmp_path / "one")
    augment_files(folder, tmp_path / "two")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    augment_files(folder, tmp_path / "other", seed=2)
    assert not set(hashes(tmp_path / "other").values()) & set(hashes(tmp_path / "one").values())
    few = tmp_path / folder.name
    for name in ("yes", "no"):
        (few / name).mkdir(parents=True)
        (few / name / "3.png").write_bytes((folder / name / "3.png").read_bytes())
    augment_files(few, tmp_path / "few")
    assert hashes(tmp_path / "few").items() <= hashes(tmp_path / "one").items()


def test_a_changed_picture_keeps_its_size_and_is_never_brighter():
    picture = head(1, tumour=True, side=100)[:80]
    for seed in range(20):
        made = changed(picture, np.random.default_rng(seed))
        assert (made.shape, made.dtype) == ((80, 100), np.uint8)
        assert made.max() <= picture.max()
        assert not np.array_equal(made, picture)


@pytest.mark.slow  # a training by the command
def test_the_baseline_split_parts_copies_and_says_that_it_leaks(folder, tmp_path, capsys):
    out, manifest = tmp_path / "out", tmp_path / "manifest.jsonl"
    assert main(["--quiet", "--json", "augment", str(folder), "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == {"tumour": 42, "no_tumour": 60}
    words = ["--epochs", "1", "--size", "16", "--augment", "none", "--manifest", str(manifest)]
    assert main(["--quiet", "train", str(out), "--split", "baseline", "--out", str(tmp_path / "m"), *words]) == 0
    assert "Warning: The original protocol leaks" in capsys.readouterr().err
    items = split_at_random(out)
    assert [json.loads(line)["split"] for line in manifest.read_text().splitlines()] == [each.split for each in items]
    scans: dict[str, set[str]] = {}
    for item in items:
        scans.setdefault(item.path.rpartition("_")[0], set()).add(item.split)
    assert sum(len(parts) > 1 for parts in scans.values()) > 8
