"""What may be asked for on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlcore import active_command
from mlcore.config import ARCHITECTURE_NAMES, AUGMENT_LEVELS, PRECISIONS, TrainConfig


def parser() -> argparse.ArgumentParser:
    """Give the parser of all commands."""
    whole = argparse.ArgumentParser(prog="python -m mlcore", description="The learning core of Overread.")
    whole.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    whole.add_argument("--quiet", action="store_true", help="no progress")
    commands = whole.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train a model on a folder or manifest")
    train.add_argument("data", type=Path, help="folder of class folders, folder of such folders, or manifest.jsonl")
    train.add_argument("--out", type=Path, required=True, help="model folder to write")
    _files(train)
    train.add_argument("--manifest", type=Path, help="also write the manifest with groups and parts here")
    defaults = TrainConfig()
    train.add_argument("--architecture", choices=ARCHITECTURE_NAMES, default=defaults.architecture)
    train.add_argument(
        "--split",
        choices=("honest", "original"),
        default="honest",
        help="original: of a folder made by `augment`, file by file at random; leaks",
    )
    train.add_argument("--weights", type=Path, help="file of published weights for lite0, resnet50 or vgg16")
    train.add_argument("--augment", choices=AUGMENT_LEVELS, default=defaults.augment)
    train.add_argument("--no-class-weights", dest="class_weights", action="store_false")
    for name, kind in (("epochs", int), ("batch_size", int), ("seed", int), ("patience", int), ("threads", int)):
        train.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(defaults, name))
    train.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    train.add_argument("--least-share", type=float, default=defaults.least_share)
    train.add_argument("--mixup", type=float, default=defaults.mixup, help="blend images in pairs (0.2 is usual)")
    train.add_argument(
        "--implant", type=float, default=defaults.implant, help="share of healthy heads into which a lesion is drawn"
    )
    _choices(train, defaults)
    train.add_argument("--size", type=int)
    train.add_argument("--precision", choices=PRECISIONS, default=defaults.precision, help="auto: half on a GPU")
    _leave_out(train)
    train.add_argument("--minutes", type=float)
    train.add_argument("--warm-start", type=Path)
    train.add_argument("--afresh", dest="resume", action="store_false", help="forget a training that was broken off")
    train.add_argument("--name", default="")

    fit_again = commands.add_parser("refit", help="let a measured model go on learning from all of its images")
    fit_again.add_argument("measured", type=Path, help="model folder that `train` made")
    fit_again.add_argument("data", type=Path, help="the folder or manifest that it was trained on")
    fit_again.add_argument("--out", type=Path, required=True, help="model folder to write")
    fit_again.add_argument("--epochs", type=int, help="a quarter of those of the measured model where left out")
    fit_again.add_argument(
        "--keep-weights", action="store_true", help="train nothing: settle anew what follows from the measured model"
    )
    _files(fit_again)
    _leave_out(fit_again)
    fit_again.add_argument("--name", default="")
    fit_again.add_argument("--threads", type=int, default=defaults.threads)

    predict = commands.add_parser("predict", help="give an opinion on each file")
    predict.add_argument("model", type=Path)
    predict.add_argument("files", type=Path, nargs="+", help="files, or folders of them")
    predict.add_argument("--threads", type=int, default=1)

    evaluate = commands.add_parser("evaluate", help="measure a model on a folder or manifest")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("data", type=Path)
    _files(evaluate)
    evaluate.add_argument("--split", choices=("train", "validation", "test"), help="this part of a manifest only")
    evaluate.add_argument("--threads", type=int, default=2)

    more = commands.add_parser("augment", help="write the original project's augmented set: 7 of a tumour, 10 of none")
    more.add_argument("data", type=Path, help="folder of class folders, or of such folders")
    more.add_argument("--out", type=Path, required=True, help="folder to write to")
    more.add_argument("--seed", type=int, default=1)

    table = commands.add_parser("table", help="train networks under the original and the honest protocol, and compare")
    table.add_argument("data", type=Path, help="folder of class folders")
    table.add_argument("--out", type=Path, required=True, help="markdown file; results are kept beside it as JSON")
    table.add_argument("--architectures", nargs="+", choices=ARCHITECTURE_NAMES, default=["seed_cnn", "seed_cnn_240"])
    table.add_argument("--protocols", nargs="+", choices=("original", "honest"), default=["original", "honest"])
    table.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    table.add_argument("--epochs", type=int, default=12)
    table.add_argument("--patience", type=int, default=6)
    table.add_argument("--minutes", type=float, help="for each training")
    table.add_argument("--size", type=int, help="side of the input in pixels; each network's own where left out")
    table.add_argument("--weights", type=Path, help="file of published weights for lite0, resnet50 or vgg16")
    table.add_argument("--threads", type=int, default=2)

    less = commands.add_parser("ablate", help="measure what each trick of the recipe is worth, on a short budget")
    less.add_argument("data", type=Path)
    less.add_argument("--out", type=Path, required=True, help="markdown file; the rows are kept beside it as JSON")
    less.add_argument("--architecture", choices=ARCHITECTURE_NAMES, default="lite0")
    less.add_argument("--weights", type=Path, help="file of published weights that the recipe begins with")
    less.add_argument("--size", type=int, default=96)
    less.add_argument("--share", type=float, default=0.3, help="of the training part's groups")
    less.add_argument("--epochs", type=int, default=4)
    less.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    less.add_argument("--title", default="What each trick is worth", help="of the table")
    less.add_argument("--only", nargs="+", metavar="TRICK", help="only these, by the first words of their row")
    less.add_argument("--threads", type=int, default=2)

    gate = commands.add_parser("simulate-gate", help="retrain on flipped labels hundreds of times, and see the gate")
    gate.add_argument("data", type=Path, help="folder of class folders, of such folders, or manifest.jsonl")
    gate.add_argument("--out", type=Path, required=True, help="markdown file; results are kept beside it as JSON")
    gate.add_argument("--seeds", type=int, default=20, help="seeds for each way and share of flipped labels")
    gate.add_argument("--clean", type=int, default=100, help="seeds for clean labels")
    gate.add_argument("--first-seed", type=int, default=1)
    gate.add_argument("--epochs", type=int, default=15, help="of the frozen network")
    gate.add_argument("--features", type=Path, help="file of what the frozen network saw; made where it is absent")
    gate.add_argument("--threads", type=int, default=2)

    double = commands.add_parser("duplicates", help="tell what in a folder is there twice, and where labels clash")
    double.add_argument("data", type=Path, help="folder of images; names of folders count as labels")
    double.add_argument("--threshold", type=float, default=0.93, help="correlation above which two are twins")
    double.add_argument("--show", type=int, default=20, help="pairs to list")

    again = commands.add_parser(
        "recalibrate", help="choose threshold, sets and warnings anew and measure anew, without training"
    )
    again.add_argument("model", type=Path)
    again.add_argument("data", type=Path, help="the folder or manifest that the model was trained on")
    _files(again)
    again.add_argument("--out", type=Path, help="model folder to write; otherwise in its own place")
    again.add_argument("--threads", type=int, default=2)
    _leave_out(again)
    _choices(again, defaults)

    engine = commands.add_parser("engine", help="prepare a model for serving by LiteRT; gives it a new identity")
    engine.add_argument("model", type=Path)

    active_command.add(commands)
    card = commands.add_parser("card", help="write a model's card as markdown")
    card.add_argument("model", type=Path)
    card.add_argument("--out", type=Path, help="instead of standard output")
    return whole


def _files(of: argparse.ArgumentParser) -> None:
    """Add where the files of a manifest lie."""
    of.add_argument(
        "--files", type=Path, help="folder in which a manifest's files lie, at their paths or known by their hashes"
    )


def _choices(of: argparse.ArgumentParser, defaults: TrainConfig) -> None:
    """Add what a user may want of a finished network."""
    of.add_argument(
        "--error-rate", type=float, default=defaults.error_rate, help="share of scans whose set may lack the truth"
    )
    of.add_argument("--sensitivity", type=float, help="choose the threshold that finds this share of the tumours")


def _leave_out(of: argparse.ArgumentParser) -> None:
    of.add_argument(
        "--leave-out", action="append", default=[], metavar="SOURCE", help="do without this source; may be repeated"
    )
