"""Several networks under the original's protocol and the honest one, side by side; nothing is typed in by hand."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.data.dataset import Item, from_folder
from mlcore.measure.evaluate import evaluate, scored_items
from mlcore.measure.metrics import Scored
from mlcore.model.config import ARCHITECTURE_NAMES, TrainConfig
from mlcore.networks.artifact import load
from mlcore.networks.runtime import forward
from mlcore.training.baseline_protocol import LEAKS, augment_files, split_at_random
from mlcore.training.crops import load_crops
from mlcore.training.loop import logits_of
from mlcore.training.progress import Progress
from mlcore.training.train import train

PROTOCOLS = ("original", "honest")
_SHOWN = (("accuracy", "accuracy"), ("auroc", "AUROC"), ("sensitivity", "sensitivity"), ("specificity", "specificity"))
_FEW_EPOCHS = 4
_WORDS = {
    "original": "augmented first, split at random afterwards",
    "honest": "groups of near-duplicates kept together, augmented while training",
}


def measured(
    data: Path, protocol: str, config: TrainConfig, seeds: Sequence[int], *, command: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train one network once per seed under one protocol, and measure the test parts together.

    Parameters
    ----------
    data : Path
        A folder of class folders.
    protocol : str
        A member of `PROTOCOLS`.
    config : TrainConfig
        Settings; `seed` and `augment` are set here.
    seeds : sequence of int
        Of split, weights and augmentation. An image that several seeds test counts once for each, and its group is
        drawn as one by the bootstrap.
    command : str
        How this was called.
    say : callable
        Told of progress, a line at a time.

    Returns
    -------
    dict
        JSON-able: `metrics` and `dummy` as of `mlcore.measure.evaluate`, `images` and `groups` tested, `parameters`,
        `seconds_an_epoch`, `epochs` (mean number run), `settings` and `command`.
    """
    tested: list[Item] = []
    probabilities: list[np.ndarray] = []
    leaves: tuple[str, ...] = ()
    paces: list[float] = []
    epochs: list[int] = []
    parameters = 0
    with tempfile.TemporaryDirectory(prefix="overread-table-") as scratch:
        for seed in seeds:
            items = _items(data, protocol, Path(scratch) / f"augmented-{seed}", seed)
            level = "none" if protocol == "original" else "light"
            own = dataclasses.replace(config, seed=seed, augment=level)
            pace = _Pace(f"{config.architecture}, {protocol}, seed {seed}: ", say)
            done = train(items, own, Path(scratch) / "model", on_progress=pace, resume=False)
            model, spec = load(done.folder)
            kept, crops = load_crops([item for item in items if item.split == "test"], spec.size)
            logits, _ = logits_of(forward(model, spec), crops, spec.channels)
            scored = scored_items(kept, logits, spec, threshold=0.5)
            tested += kept
            probabilities.append(scored.probabilities)
            leaves, parameters = spec.leaves, int(done.report["training"]["parameters"])
            paces += pace.epochs
            epochs.append(len(done.report["training"]["history"]))
    pooled = Scored(
        np.concatenate(probabilities),
        [item.label for item in tested],
        # Numbers of groups are those of the folder, whatever the seed; in the original protocol each file is its own.
        [item.group for item in tested],
        [item.source for item in tested],
        leaves,
        0.5,
    )
    report = evaluate(pooled)
    return {
        "architecture": config.architecture,
        "protocol": protocol,
        "metrics": {name: report["metrics"][name] for name, _ in _SHOWN},
        "dummy": {name: report["dummy"][name] for name, _ in _SHOWN},
        "images": len(tested),
        "groups": report["n_groups"],
        "parameters": parameters,
        "seconds_an_epoch": round(float(np.median(paces)), 2) if paces else None,
        "epochs": round(float(np.mean(epochs)), 1),
        "seeds": list(seeds),
        "command": command,
        "settings": {**config.to_dict(), "name": "", "seed": None, "augment": None},
    }


def _items(data: Path, protocol: str, scratch: Path, seed: int) -> list[Item]:
    if protocol == "honest":
        return from_folder(data, seed=seed)
    augment_files(data, scratch, seed=seed)
    return split_at_random(scratch, seed=seed)


class _Pace:
    """Passes progress on, and takes the time between the ends of epochs: not of the first, which compiles."""

    def __init__(self, before: str, say: Callable[[str], None]) -> None:
        self._before, self._say = before, say
        self._last: tuple[int, float] | None = None
        self.epochs: list[float] = []

    def __call__(self, where: Progress) -> None:
        self._say(self._before + where.line)
        if where.epoch and (self._last is None or where.epoch > self._last[0]):
            now = time.monotonic()
            if self._last is not None:
                self.epochs.append((now - self._last[1]) / (where.epoch - self._last[0]))
            self._last = (where.epoch, now)


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of earlier runs; none where there is no file."""
    return list(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.is_file() else []


def with_row(rows: Sequence[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rows with one added, in place of an older one of the same network and protocol."""
    key = (row["architecture"], row["protocol"])
    return [*(each for each in rows if (each["architecture"], each["protocol"]) != key), row]


def markdown(rows: Sequence[dict[str, Any]], source: str) -> str:
    """Write the table.

    Parameters
    ----------
    rows : sequence of dict
        Of `measured`.
    source : str
        Name of the folder of images.

    Returns
    -------
    str
        Markdown: one row a network and protocol with 95 % intervals, the dummy below each protocol, and those of the
        networks that were not run.
    """
    lines = [
        "# Old and new networks under two protocols",
        "",
        f"Made from the images of `{source}` by the commands below; nothing here is typed in. {LEAKS}",
        "",
        "In brackets the 95 % interval, by bootstrap over groups (over files in the original protocol, as it knows no "
        "groups), at a threshold of one half, over the test parts of all seeds together. Seconds are the median of "
        "the epochs but the first, by the clock, with whatever else ran on the machine that made the row; fewer "
        "epochs than asked for mean that the time was over or nothing improved. The dummy always says the commonest.",
        *_otherwise(rows),
    ]
    for protocol in PROTOCOLS:
        mine = {row["architecture"]: row for row in rows if row["protocol"] == protocol}
        lines += ["", f"## The {protocol} protocol: {_WORDS[protocol]}", ""]
        heads = ["network", "input", "begins with", "parameters", "s an epoch", "epochs", "tests"]
        lines += ["| " + " | ".join([*heads, *(words for _, words in _SHOWN)]) + " |"]
        lines += ["|---|---:|---|---:|---:|---:|---|" + "---|" * len(_SHOWN)]
        for name in ARCHITECTURE_NAMES:
            if name in mine:
                lines.append(_row(mine[name]))
            else:
                lines.append(f"| `{name}` | not run |" + " |" * (5 + len(_SHOWN)))
        for row in list(mine.values())[-1:]:
            cells = " | ".join(_interval(row["dummy"][key]) for key, _ in _SHOWN)
            lines.append(f"| dummy | | | 0 | | | as the last row run | {cells} |")
    commands = dict.fromkeys(row["command"] for row in rows)
    return "\n".join([*lines, "", "## How it was made", "", "```", *commands, "```"]) + "\n"


def _row(row: dict[str, Any]) -> str:
    cells = " | ".join(_interval(row["metrics"][key]) for key, _ in _SHOWN)
    seconds = "–" if row["seconds_an_epoch"] is None else f"{row['seconds_an_epoch']:.1f}"
    epochs = f"{row['epochs']:g} of {row['settings']['epochs']}"
    many = "seed" if len(row["seeds"]) == 1 else "seeds"
    seeds = f"{row['images']} images in {row['groups']} groups, {len(row['seeds'])} {many}"
    begins = "published weights" if row["settings"]["weights"] else "random weights"
    facts = f"{_side(row)} × {_side(row)} | {begins} | {row['parameters']:,} | {seconds} | {epochs} | {seeds}"
    return f"| `{row['architecture']}` | {facts} | {cells} |"


def _side(row: dict[str, Any], *, own: bool = False) -> int:
    """Give the side of the input in pixels as it was, or as the network has it by itself."""
    return TrainConfig(architecture=row["architecture"], size=None if own else row["settings"]["size"]).side


def _otherwise(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Say which networks were not trained as they come: in a paragraph, or not at all."""
    smaller = {
        row["architecture"]: f"`{row['architecture']}` ({_side(row)} instead of {_side(row, own=True)})"
        for row in rows
        if _side(row) != _side(row, own=True)
    }
    published = {
        row["architecture"]: f"`{row['architecture']}` (`{row['settings']['weights']}`)"
        for row in rows
        if row["settings"]["weights"]
    }
    said = []
    if smaller:
        said.append(
            f"Not at their own size of input, so that an epoch on a processor takes minutes: {_listed(smaller)}. A "
            "network that sees less may do worse than at its own size, so these rows say what it is worth here, not "
            "what it can be worth."
        )
    if published:
        said.append(f"Begun with published weights of photographs, the others at random: {_listed(published)}.")
    begun = [
        f"`{row['architecture']}` ({row['protocol']})"
        for row in rows
        if row["epochs"] < min(_FEW_EPOCHS, row["settings"]["epochs"])
    ]
    if begun:
        said.append(
            f"Stopped by the clock before the {_FEW_EPOCHS}th epoch, and so judged when it had hardly begun to learn: "
            f"{', '.join(begun)}."
        )
    return ["", " ".join(said)] if said else []


def _listed(named: dict[str, str]) -> str:
    return ", ".join(named[name] for name in ARCHITECTURE_NAMES if name in named)


def _interval(metric: dict[str, float | None]) -> str:
    if metric["value"] is None or metric["low"] is None or metric["high"] is None:
        return "–"
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"
