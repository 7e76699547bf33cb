import pytest

from benchmarks.studies.table import PROTOCOLS, kept_rows, markdown
from mlcore.cli.main import main
from mlcore.model.config import TrainConfig
from tests.mlcore.phantom import head, png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("shelf") / "site"
    for name, tumour in (("yes", True), ("no", False)):
        (root / name).mkdir(parents=True)
        for i in range(16):
            (root / name / f"{i}.png").write_bytes(png(head(i + 100 * tumour, tumour=tumour)))
    return root


@pytest.mark.slow
def test_the_table_is_made_by_the_command_and_keeps_earlier_rows(folder, tmp_path, capsys):
    out = tmp_path / "table.md"
    words = ["--quiet", "table", str(folder), "--out", str(out), "--seeds", "1", "--epochs", "2"]
    assert main([*words, "--architectures", "seed_cnn", "--protocols", "honest"]) == 0
    assert "not run" in out.read_text()
    assert main([*words, "--architectures", "seed_cnn", "--protocols", "original"]) == 0
    rows = kept_rows(out.with_suffix(".json"))
    assert [(row["architecture"], row["protocol"]) for row in rows] == [
        ("seed_cnn", "honest"),
        ("seed_cnn", "original"),
    ]
    honest, original = rows
    assert honest["parameters"] == original["parameters"] == 110_530
    # By chance a seed draws other groups; in no case can it test more than there are.
    assert honest["groups"] <= 32 < original["groups"]
    assert honest["epochs"] == 2.0
    assert honest["seconds_an_epoch"] > 0
    assert honest["dummy"]["auroc"]["value"] == 0.5
    text = out.read_text()
    assert text.count("| `seed_cnn` | 64 × 64 | random weights | 110,530 |") == 2
    assert "instead of" not in text
    assert text.count("| dummy |") == 2
    assert text.count("| `resnet50` | not run |") == 2
    assert f"{honest['metrics']['accuracy']['value']:.3f} [" in text
    assert "leaks" in text
    assert text == markdown(rows, "site")
    assert all(f"\n{row['command']}\n" in text for row in rows)


def row(architecture: str, protocol: str, **settings) -> dict:
    metric = {"value": 0.5, "low": 0.25, "high": 0.75}
    metrics = dict.fromkeys(("accuracy", "auroc", "sensitivity", "specificity"), metric)
    return {
        "architecture": architecture,
        "protocol": protocol,
        "metrics": metrics,
        "dummy": metrics,
        "images": 28,
        "groups": 25,
        "parameters": 1_000,
        "seconds_an_epoch": 1.5,
        "epochs": 4.0,
        "seeds": [1],
        "command": "python -m mlcore table",
        "settings": TrainConfig(architecture=architecture, **settings).to_dict(),
    }


def test_the_table_says_what_was_not_as_the_network_comes(tmp_path):
    rows = [row("seed_cnn", protocol) for protocol in PROTOCOLS]
    assert "instead of" not in markdown(rows, "site")
    rows += [row("vgg16", protocol, size=64) for protocol in PROTOCOLS]
    rows += [row("lite0", protocol, weights=tmp_path / "published.whl") for protocol in PROTOCOLS]
    text = markdown(rows, "site")
    assert "processor takes minutes: `vgg16` (64 instead of 224). " in text
    assert "the others at random: `lite0` (`published.whl`)." in text
    assert text.count("| `vgg16` | 64 × 64 | random weights | 1,000 |") == 2
    assert text.count("| `lite0` | 128 × 128 | published weights | 1,000 |") == 2
    assert text.count("| `seed_cnn` | 64 × 64 | random weights | 1,000 |") == 2
    assert str(tmp_path) not in text
    assert "hardly begun" not in text
    rows[-1]["epochs"] = 3.0
    assert "hardly begun to learn: `lite0` (honest)." in markdown(rows, "site")
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_weights_that_are_not_there_are_refused_before_anything_is_trained(folder, tmp_path, capsys):
    words = ["table", str(folder), "--out", str(tmp_path / "t.md"), "--architectures", "seed_cnn", "lite0"]
    assert main([*words, "--weights", str(tmp_path / "none.whl")]) == 2
    assert "none.whl does not exist" in capsys.readouterr().err
    assert not (tmp_path / "t.md").exists()


@pytest.mark.slow
def test_another_size_of_input_is_trained_and_shown(folder, tmp_path):
    out = tmp_path / "table.md"
    words = ["--quiet", "table", str(folder), "--out", str(out), "--seeds", "1", "--epochs", "1", "--size", "32"]
    assert main([*words, "--architectures", "seed_cnn", "--protocols", "honest"]) == 0
    assert kept_rows(out.with_suffix(".json"))[0]["parameters"] < 110_530
    assert "| `seed_cnn` | 32 × 32 | random weights |" in out.read_text()
