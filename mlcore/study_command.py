"""The commands that write a table of the docs: `table`, `ablate` and `simulate-gate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from mlcore.asked import check_beginning, items_of, say
from mlcore.config import TrainConfig


def run_table(asked: argparse.Namespace, command: str) -> None:
    """Train networks under both protocols, and write the table after every row."""
    from mlcore import table

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
    from mlcore import ablate, table
    from mlcore.runtime import limit_threads

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

    from mlcore.gate import Rules
    from mlcore.gate_simulation import Features, features_of, simulate, world
    from mlcore.gate_table import markdown

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
