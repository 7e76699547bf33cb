import pytest

from mlcore.command import main
from mlcore.table import kept_rows, markdown
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
    assert text.count("| `seed_cnn` | 110,530 |") == 2
    assert text.count("| dummy |") == 2
    assert text.count("| `resnet50` | not run |") == 2
    assert f"{honest['metrics']['accuracy']['value']:.3f} [" in text
    assert "leaks" in text
    assert text == markdown(rows, "site")
    assert all(f"\n{row['command']}\n" in text for row in rows)
