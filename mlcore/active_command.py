"""The command `simulate-active`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

_SIDE = 64


def add(commands: Any) -> None:
    """Add it to the parser."""
    parser = commands.add_parser(
        "simulate-active", help="count the labels needed to reach an AUROC, by the order in which scans are labelled"
    )
    parser.add_argument("data", type=Path, help="folder of class folders, or of such folders")
    parser.add_argument("--out", type=Path, required=True, help="markdown file")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=20, help="labels to begin with, drawn at random")
    parser.add_argument("--step", type=int, default=20, help="labels a round")
    parser.add_argument("--most", type=int, default=400, help="labels at the end")


def run(asked: argparse.Namespace, command: str) -> None:
    """Simulate, and write the table."""
    from mlcore.active_simulation import Setting, descriptions, markdown, simulate
    from mlcore.dataset import NotADataset, from_folder, load_crops

    if not 0 < asked.first < asked.most or asked.step < 1 or asked.seeds < 2:
        raise NotADataset("Give two seeds or more, a step of 1 or more, and more labels at the end than at first.")

    def say(line: str) -> None:
        if not asked.quiet:
            print(line, file=sys.stderr, flush=True)

    items, crops = load_crops(from_folder(asked.data), _SIDE)
    say(f"{len(items)} images are read")
    setting = Setting(asked.seeds, asked.first, asked.step, asked.most)
    found = simulate(items, descriptions(crops), setting, say)
    asked.out.write_text(markdown(found, setting, command, asked.data.resolve().name), encoding="utf-8")
    print(json.dumps(found) if asked.json else f"{asked.out}: {found['seconds']:.0f} CPU seconds")
