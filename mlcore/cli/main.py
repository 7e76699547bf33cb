"""The command line: one table of commands, from which the parser and its help are made."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlcore.cli import commands, options
from mlcore.cli.inputs import Fault, say, unheard
from mlcore.model.config import BadConfig

# What a shell sees of a program that was stopped by Ctrl-C.
STOPPED = 130


@dataclass(frozen=True)
class Command:
    """What the command line can do.

    Attributes
    ----------
    help : str
        What it does, in a line.
    add : callable
        Adds its options to a parser.
    run : callable
        Does it, given what was asked for, and the words of the command for the report.
    """

    help: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, str], None]


COMMANDS = {
    "train": Command("train a model on a folder or manifest", options.add_train, commands.run_train),
    "refit": Command(
        "let a measured model go on learning from all of its images", options.add_refit, commands.run_refit
    ),
    "recalibrate": Command(
        "choose threshold, sets and warnings anew and measure anew, without training",
        options.add_recalibrate,
        commands.run_recalibrate,
    ),
    "evaluate": Command("measure a model on a folder or manifest", options.add_evaluate, commands.run_evaluate),
    "predict": Command("give an opinion on each file", options.add_predict, commands.run_predict),
    "card": Command("write a model's card as markdown", options.add_card, commands.run_card),
    "engine": Command(
        "prepare a model for serving by LiteRT; gives it a new identity", options.add_engine, commands.run_engine
    ),
    "duplicates": Command(
        "tell what in a folder is there twice, and where labels clash", options.add_duplicates, commands.run_duplicates
    ),
    "augment": Command(
        "write the augmented set of the baseline protocol: 7 of a tumour, 10 of none",
        options.add_augment,
        commands.run_augment,
    ),
    "synthetic-study": Command(
        "write a study of a synthetic head as DICOM: four series of 150 slices unless told otherwise",
        options.add_synthetic_study,
        commands.run_synthetic_study,
    ),
}

# Studies stand beside the learning core: they are there in a checkout, and not where only the product is installed.
STUDIES = {
    "table": "train networks under the baseline and the honest protocol, and compare",
    "ablate": "measure what each trick of the recipe is worth, on a short budget",
    "simulate-gate": "retrain on flipped labels hundreds of times, and see the gate",
    "simulate-active": "count the labels needed to reach an AUROC, by the order in which scans are labelled",
}
_STUDIES_MODULE = "benchmarks.studies.commands"


def parser() -> argparse.ArgumentParser:
    """Give the parser of all commands."""
    whole = argparse.ArgumentParser(prog="python -m mlcore", description="The learning core of Overread.")
    whole.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    whole.add_argument("--quiet", action="store_true", help="no progress")
    each = whole.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        one = each.add_parser(name, help=command.help)
        command.add(one)
        one.set_defaults(run=command.run)
    studies = _studies()
    for name, what in STUDIES.items():
        one = each.add_parser(name, help=f"{what} (a study)")
        if studies is None:
            one.add_argument("words", nargs=argparse.REMAINDER)
            one.set_defaults(run=_absent)
        else:
            add, run = studies[name]
            add(one)
            one.set_defaults(run=run)
    return whole


def _studies() -> dict[str, tuple[Callable[..., None], Callable[..., None]]] | None:
    """Give for each study what adds its options and what runs it; None where the studies are not installed."""
    try:
        found: dict[str, tuple[Callable[..., None], Callable[..., None]]]
        found = importlib.import_module(_STUDIES_MODULE).COMMANDS
    except ModuleNotFoundError as error:
        if error.name is None or not _STUDIES_MODULE.startswith(error.name):
            raise
        return None
    return found


def _absent(asked: argparse.Namespace, command: str) -> None:
    raise Fault(f"{asked.command} is a study: it lies in benchmarks/studies, which is not installed here.")


def main(arguments: Sequence[str]) -> int:
    """Run a command; 0 when done, 2 with a sentence on standard error for a fault of the input, or `STOPPED`."""
    asked = parser().parse_args(arguments)
    # TensorFlow greets the terminal before it can be asked not to.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # The heavy imports wait until a command needs them, so that --help answers at once.
    with unheard():
        from mlcore.data.dataset import NotADataset
        from mlcore.networks.artifact import ArtifactDamaged
        from mlcore.training.train import NotTrainable

    try:
        asked.run(asked, shlex.join(["python", "-m", "mlcore", *arguments]))
    except (Fault, BadConfig, NotTrainable, NotADataset, ArtifactDamaged, OSError) as fault:
        say(f"mlcore: {fault}")
        return 2
    except KeyboardInterrupt:
        say("mlcore: stopped. A training goes on from its last whole epoch when the same command is given again.")
        return STOPPED
    return 0
