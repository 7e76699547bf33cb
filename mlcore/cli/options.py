"""What may be asked for on the command line: the options of each command."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlcore.model.config import ARCHITECTURE_NAMES, AUGMENT_LEVELS, PRECISIONS, TrainConfig


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the options of `train`."""
    parser.add_argument("data", type=Path, help="folder of class folders, folder of such folders, or manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    _files(parser)
    parser.add_argument("--manifest", type=Path, help="also write the manifest with groups and parts here")
    defaults = TrainConfig()
    parser.add_argument("--architecture", choices=ARCHITECTURE_NAMES, default=defaults.architecture)
    parser.add_argument(
        "--split",
        choices=("honest", "baseline", "original"),
        default="honest",
        help="baseline: of a folder made by `augment`, file by file at random; leaks (formerly: original)",
    )
    parser.add_argument("--weights", type=Path, help="file of published weights for lite0, resnet50 or vgg16")
    parser.add_argument("--augment", choices=AUGMENT_LEVELS, default=defaults.augment)
    parser.add_argument("--no-class-weights", dest="class_weights", action="store_false")
    for name, kind in (("epochs", int), ("batch_size", int), ("seed", int), ("patience", int), ("threads", int)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(defaults, name))
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--least-share", type=float, default=defaults.least_share)
    parser.add_argument("--mixup", type=float, default=defaults.mixup, help="blend images in pairs (0.2 is usual)")
    parser.add_argument(
        "--synthetic-lesions",
        "--implant",
        dest="implant",
        type=float,
        default=defaults.implant,
        help="share of healthy heads into which a lesion is drawn",
    )
    _choices(parser, defaults)
    parser.add_argument("--size", type=int)
    parser.add_argument("--precision", choices=PRECISIONS, default=defaults.precision, help="auto: half on a GPU")
    _leave_out(parser)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--warm-start", type=Path)
    parser.add_argument("--afresh", dest="resume", action="store_false", help="forget a training that was broken off")
    parser.add_argument("--name", default="")


def add_refit(parser: argparse.ArgumentParser) -> None:
    """Add the options of `refit`."""
    defaults = TrainConfig()
    parser.add_argument("measured", type=Path, help="model folder that `train` made")
    parser.add_argument("data", type=Path, help="the folder or manifest that it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--epochs", type=int, help="a quarter of those of the measured model where left out")
    parser.add_argument(
        "--keep-weights", action="store_true", help="train nothing: choose anew what follows from the measured model"
    )
    _files(parser)
    _leave_out(parser)
    parser.add_argument("--name", default="")
    parser.add_argument("--threads", type=int, default=defaults.threads)


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the options of `predict`."""
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+", help="files, or folders of them")
    parser.add_argument("--threads", type=int, default=1)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `evaluate`."""
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    _files(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), help="this part of a manifest only")
    parser.add_argument("--threads", type=int, default=2)


def add_augment(parser: argparse.ArgumentParser) -> None:
    """Add the options of `augment`."""
    parser.add_argument("data", type=Path, help="folder of class folders, or of such folders")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)


def add_duplicates(parser: argparse.ArgumentParser) -> None:
    """Add the options of `duplicates`."""
    parser.add_argument("data", type=Path, help="folder of images; names of folders count as labels")
    parser.add_argument("--threshold", type=float, default=0.93, help="correlation above which two are twins")
    parser.add_argument("--show", type=int, default=20, help="pairs to list")


def add_recalibrate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `recalibrate`."""
    defaults = TrainConfig()
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder or manifest that the model was trained on")
    _files(parser)
    parser.add_argument("--out", type=Path, help="model folder to write; otherwise in its own place")
    parser.add_argument("--threads", type=int, default=2)
    _leave_out(parser)
    _choices(parser, defaults)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options of `engine`."""
    parser.add_argument("model", type=Path)


def add_card(parser: argparse.ArgumentParser) -> None:
    """Add the options of `card`."""
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, help="instead of standard output")


def add_synthetic_study(parser: argparse.ArgumentParser) -> None:
    """Add the options of `synthetic-study`."""
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1, help="the same one gives the same bytes")
    parser.add_argument("--series", type=int, default=4, help="T1, T1ce, T2, FLAIR in turn")
    parser.add_argument("--slices", type=int, default=150, help="of each series")
    parser.add_argument("--side", type=int, default=256, help="rows and columns, pixels")
    parser.add_argument("--plane", choices=("axial", "coronal", "sagittal"), default="axial")
    parser.add_argument("--lesion", action="store_true", help="with a lesion, where the seed puts it")
    parser.add_argument(
        "--lesion-at",
        type=float,
        nargs=4,
        metavar=("LEFT", "BACK", "UP", "RADIUS"),
        help="with a lesion there, in mm from the middle of the head",
    )
    parser.add_argument("--enhanced", action="store_true", help="one file of many frames for each series")
    parser.add_argument("--localizer", action="store_true", help="also a series of three planes")


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
