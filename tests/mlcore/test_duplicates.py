import json

import numpy as np
import pytest

from benchmarks.duplicates import all_pairs, drawn
from mlcore.cli.main import main
from mlcore.data.duplicates import duplicates
from mlcore.data.labels import contradict
from mlcore.images.decode import decode
from mlcore.images.fingerprint import LENGTH, fingerprint, grouped, perceptual_hash, twins
from tests.mlcore.phantom import DATA, head, jpeg, png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("twice")
    for name in ("yes", "no", "glioma", "scans"):
        (root / name).mkdir()
    first, second = head(1, tumour=True, side=200), head(2, tumour=False, side=200)
    (root / "yes" / "a.png").write_bytes(png(first))
    (root / "yes" / "b.png").write_bytes(png(first))
    (root / "glioma" / "flipped.jpg").write_bytes(jpeg(first[:, ::-1].copy(), quality=60))
    (root / "no" / "c.png").write_bytes(png(second))
    (root / "glioma" / "d.png").write_bytes(png(np.pad(second, 20)))
    (root / "scans" / "e.png").write_bytes(png(head(3, tumour=False, side=200)))
    (root / "scans" / "broken.jpg").write_bytes(b"nothing")
    return root


def test_a_folder_is_told_what_it_holds_twice(folder):
    refused = []
    found = duplicates(folder, on_refused=lambda path, why: refused.append((path.name, why.code)))
    assert refused == [("broken.jpg", "not_an_image")]
    assert (found["images"], found["different"], found["alike"], found["left_out"]) == (6, 3, 3, 1)
    assert found["same_file"] == 1
    assert 1 <= found["same_hash"] <= 3
    groups = [{each["file"] for each in group} for group in found["groups"]]
    assert {"yes/a.png", "yes/b.png", "glioma/flipped.jpg"} in groups
    assert {"no/c.png", "glioma/d.png"} in groups
    assert len(found["pairs"]) == 4
    assert found["pairs"][0]["same_file"]
    # "yes" and "glioma" agree; "no" and "glioma" do not.
    assert [(pair["a"], pair["b"], pair["labels"]) for pair in found["conflicts"]] == [
        ("glioma/d.png", "no/c.png", ["glioma", "no_tumour"])
    ]


def test_the_command_prints_and_gives_json(folder, tmp_path, capsys):
    assert main(["--quiet", "duplicates", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "6 images are 3 different ones; 1 could not be read" in told
    assert "1 pairs whose labels contradict" in told
    assert main(["--quiet", "--json", "duplicates", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out) == duplicates(folder)
    assert main(["duplicates", str(tmp_path)]) == 2
    assert "holds no image" in capsys.readouterr().err
    assert main(["duplicates", str(folder), "--threshold", "1.5"]) == 2


@pytest.mark.parametrize("seed", range(2))
def test_among_thousands_each_pair_is_found_that_a_comparison_of_all_finds(seed):
    prints, copies = drawn(3000, seed)
    wanted = all_pairs(prints)
    assert len(wanted) > 200
    assert len(wanted & set(copies)) > 200
    assert {(i, j) for i, j, _ in twins(prints)} == wanted


def test_many_copies_of_one_picture_are_all_pairs():
    prints, _ = drawn(1500)
    prints += [prints[7]] * 200
    found = {(i, j) for i, j, _ in twins(prints)}
    same = [7, *range(1500, 1700)]
    assert {(i, j) for n, i in enumerate(same) for j in same[n + 1 :]} <= found


def test_pictures_of_one_value_are_no_twins():
    assert twins([bytes([value]) * LENGTH for value in (0, 0, 90)]) == []


def test_the_perceptual_hash_outlives_flips_and_compression():
    original = head(1, tumour=True, side=200)
    hashes = [
        perceptual_hash(fingerprint(decode(data)))
        for data in (png(original), png(original[::-1].copy()), png(original[:, ::-1].copy()), jpeg(original))
    ]
    other = perceptual_hash(fingerprint(decode(png(head(9, tumour=False, side=200)))))
    assert all((hashes[0] ^ each).bit_count() <= 4 for each in hashes)
    assert (hashes[0] ^ other).bit_count() > 8


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (["tumour", "glioma"], False),
        (["no_tumour", "no_tumour"], False),
        (["no_tumour", "tumour"], True),
        (["glioma", "pituitary"], True),
        ([], False),
    ],
)
def test_labels_contradict_where_they_cannot_all_be_right(labels, answer):
    assert contradict(labels) is answer


def test_on_real_images_search_and_comparison_of_all_agree():
    if not DATA.is_dir():
        pytest.skip("the shared images are not here")
    files = sorted(DATA.glob("nickparvar/*/*"))[::3]
    prints = [fingerprint(decode(path.read_bytes())) for path in files]
    found = twins(prints)
    wanted = all_pairs(prints)
    assert len(prints) > 1024
    assert {(i, j) for i, j, _ in found} == wanted
    names = [path.name for path in files]
    assert grouped(found, names) == grouped([(i, j, 1.0) for i, j in sorted(wanted)], names)
