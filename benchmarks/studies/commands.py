"""The commands of the studies, each of which writes a table of the docs."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from benchmarks.studies import active_command
from mlcore.cli.inputs import check_beginning, items_of, say
from mlcore.model.config import ARCHITECTURE_NAMES, TrainConfig


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options of `table`."""
    parser.add_argument("data", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True, help="markdown file; results are kept beside it as JSON")
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURE_NAMES, default=["seed_cnn", "seed_cnn_240"])
    parser.add_argument("--protocols", nargs="+", choices=("original", "honest"), default=["original", "honest"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--patience", type=int, default=6)
    parser.add_argument("--minutes", type=float, help="for each training")
    parser.add_argument("--size", type=int, help="side of the input in pixels; each network's own where left out")
    parser.add_argument("--weights", type=Path, help="file of published weights for lite0, resnet50 or vgg16")
    parser.add_argument("--threads", type=int, default=2)


def add_ablate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ablate`."""
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="markdown file; the rows are kept beside it as JSON")
    parser.add_argument("--architecture", choices=ARCHITECTURE_NAMES, default="lite0")
    parser.add_argument("--weights", type=Path, help="file of published weights that the recipe begins with")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--share", type=float, default=0.3, help="of the training part's groups")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--title", default="What each trick is worth", help="of the table")
    parser.add_argument("--only", nargs="+", metavar="TRICK", help="only these, by the first words of their row")
    parser.add_argument("--threads", type=int, default=2)


def add_simulate_gate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `simulate-gate`."""
    parser.add_argument("data", type=Path, help="folder of class folders, of such folders, or manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="markdown file; results are kept beside it as JSON")
    parser.add_argument("--seeds", type=int, default=20, help="seeds for each way and share of flipped labels")
    parser.add_argument("--clean", type=int, default=100, help="seeds for clean labels")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=15, help="of the frozen network")
    parser.add_argument("--features", type=Path, help="file of what the frozen network saw; made where it is absent")
    parser.add_argument("--threads", type=int, default=2)


def run_table(asked: argparse.Namespace, command: str) -> None:
    """Train networks under both protocols, and write the table after every row."""
    from benchmarks.studies import table

    kept = asked.out.with_suffix(".json")
    rows = table.kept_rows(kept)
    given = ("epochs", "patience", "minutes", "size", "weights", "threads")
    settings = {name: getattr(asked, name) for name in given}
    configs = [TrainConfig(architecture=architecture, **settings) for architecture in asked.architectures]
    for config in configs:
        check_beginning(config)
    for config in configs:
        for protocol in asked.protocols:
            tell = (lambda line: None) if asked.quiet else say
            row = table.measured(asked.data, protocol, config, asked.seeds, command=command, say=tell)
            rows = table.with_row(rows, row)
            # After every row, so that what was broken off is not lost.
            kept.write_text(json.dumps({"rows": rows}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            asked.out.write_text(table.markdown(rows, asked.data.resolve().name), encoding="utf-8")
    print(json.dumps(rows) if asked.json else f"{asked.out}: {len(rows)} rows")


def run_ablate(asked: argparse.Namespace, command: str) -> None:
    """Measure what each trick is worth, and write the table after every row."""
    from benchmarks.studies import ablate, table
    from mlcore.networks.runtime import limit_threads

    limit_threads(asked.threads)
    config = dataclasses.replace(
        ablate.BUDGET,
        **{name: getattr(asked, name) for name in ("architecture", "weights", "size", "epochs", "threads")},
    )
    check_beginning(config)
    items = ablate.some_groups(items_of(asked.data, 1, asked.quiet), asked.share)
    wanted = [
        name for name in ablate.TRICKS if asked.only is None or any(name.startswith(begin) for begin in asked.only)
    ]
    kept, tell = asked.out.with_suffix(".json"), (lambda line: None) if asked.quiet else say
    rows = table.kept_rows(kept)
    budget = (
        f"{asked.epochs} epochs on {asked.share:.0%} of the training part’s groups at {asked.size} × {asked.size}, "
        f"seeds {', '.join(str(seed) for seed in asked.seeds)} together"
    )
    for row in ablate.rows_of(items, config, wanted, asked.seeds, tell):
        # Rows of another budget are not to be compared with these.
        rows = [each for each in rows if each["budget"] == budget]
        rows = ablate.with_row(rows, {**row, "budget": budget, "command": command})
        kept.write_text(json.dumps({"rows": rows}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        asked.out.write_text(ablate.markdown(rows, asked.data.resolve().name, asked.title), encoding="utf-8")
    print(json.dumps(rows) if asked.json else f"{asked.out}: {len(rows)} rows")


def run_simulate_gate(asked: argparse.Namespace, command: str) -> None:
    """Retrain on flipped labels, and write what the gate said."""
    import tempfile

    from benchmarks.studies.gate_simulation import Features, features_of, simulate, world
    from benchmarks.studies.gate_table import markdown
    from mlcore.gate.rules import Rules

    tell = (lambda line: None) if asked.quiet else say
    if asked.features is not None and asked.features.is_file():
        features = Features.load(asked.features)
    else:
        config = TrainConfig(epochs=asked.epochs, threads=asked.threads)
        with tempfile.TemporaryDirectory(prefix="overread-gate-") as scratch:
            features = features_of(asked.data, Path(scratch), config, tell)
        if asked.features is not None:
            features.save(asked.features)
    rules, first = Rules(), asked.first_seed
    sizes = {
        "images": len(features.labels),
        "groups": len(set(features.groups)),
        "test": len(world(features, first).test),
    }
    rows = simulate(features, rules, range(first, first + asked.seeds), range(first, first + asked.clean), tell)
    kept = {"rules": rules.to_dict(), "sizes": sizes, "rows": rows}
    asked.out.with_suffix(".json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    text = markdown(rows, rules, [command], asked.data.resolve().name, sizes)
    asked.out.write_text(text, encoding="utf-8")
    print(json.dumps(kept) if asked.json else f"{asked.out}: {len(rows)} candidates")


# By name: what adds its options to a parser, and what runs it.
COMMANDS = {
    "table": (add_table, run_table),
    "ablate": (add_ablate, run_ablate),
    "simulate-gate": (add_simulate_gate, run_simulate_gate),
    "simulate-active": (active_command.add, active_command.run),
}
