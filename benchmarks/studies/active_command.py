"""The command `simulate-active`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlcore.images.decoded import Refused

if TYPE_CHECKING:
    from mlcore.data.dataset import Item

_SIDE = 64


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of `simulate-active`."""
    parser.add_argument("data", type=Path, help="folder of class folders, or of such folders")
    parser.add_argument("--out", type=Path, required=True, help="markdown file")
    parser.add_argument("--every", type=int, default=1, help="take each so manieth file only, to be quicker")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=20, help="labels to begin with, drawn at random")
    parser.add_argument("--step", type=int, default=20, help="labels a round")
    parser.add_argument("--most", type=int, default=400, help="labels at the end")


def run(asked: argparse.Namespace, command: str) -> None:
    """Simulate, and write the table."""
    from benchmarks.studies.active_simulation import Setting, descriptions, markdown, simulate
    from mlcore.data.dataset import NotADataset

    if not 0 < asked.first < asked.most or asked.step < 1 or asked.seeds < 2 or asked.every < 1:
        raise NotADataset("Give two seeds or more, a step of 1 or more, and more labels at the end than at first.")

    def say(line: str) -> None:
        if not asked.quiet:
            print(line, file=sys.stderr, flush=True)

    items, crops = _read(asked.data, asked.every)
    say(f"{len(items)} images are read")
    setting = Setting(asked.seeds, asked.first, asked.step, asked.most)
    found = simulate(items, descriptions(crops), setting, say)
    asked.out.write_text(markdown(found, setting, command, asked.data.resolve().name), encoding="utf-8")
    print(json.dumps(found) if asked.json else f"{asked.out}: {found['seconds']:.0f} CPU seconds")


def _read(folder: Path, every: int) -> tuple[list[Item], np.ndarray]:
    """Decode each file once, for its fingerprint and its head; group look-alikes."""
    from mlcore.data.dataset import Item, labelled_files
    from mlcore.images.decode import decode
    from mlcore.images.fingerprint import fingerprint, groups
    from mlcore.preprocessing.preprocess import crop

    rows, prints, crops = [], [], []
    for file, label, source in labelled_files(folder)[::every]:
        data = file.read_bytes()
        try:
            decoded = decode(data)
        except Refused:
            continue
        rows.append((str(file), hashlib.sha256(data).hexdigest(), label, source))
        prints.append(fingerprint(decoded))
        crops.append(crop(decoded, _SIDE)[0])
    numbers = groups(prints, [row[1] for row in rows])
    items = [
        Item(path, sha256, label, str(number), source)
        for (path, sha256, label, source), number in zip(rows, numbers, strict=True)
    ]
    return items, np.stack(crops)
