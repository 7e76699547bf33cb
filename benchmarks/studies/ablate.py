"""What each trick of the recipe is worth: the recipe, and the recipe without the trick, on a short budget.

Measured on the validation part, as recipes are chosen by it; the test part stays out of it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow import keras

from mlcore.data.dataset import Item
from mlcore.data.labels import leaves_for
from mlcore.measure.evaluate import compare, evaluate, scored_items
from mlcore.measure.metrics import Scored
from mlcore.model.config import TrainConfig
from mlcore.model.spec import ModelSpec
from mlcore.networks.engine import EngineFailed, started
from mlcore.networks.runtime import forward, published
from mlcore.preprocessing.preprocess import PREPROCESS_VERSION
from mlcore.training.crops import load_crops
from mlcore.training.finalize import parts_of
from mlcore.training.loop import Part, fit, logits_of
from mlcore.training.progress import Progress, Reporter
from mlcore.training.train import networks

# The recipe of the bundled model, but for its length and size.
BUDGET = TrainConfig(architecture="lite0", augment="strong", batch_size=32, learning_rate=0.001, mixup=0.2)
RECIPE = "the recipe"
LAST_STEP = "weights of the last step, not their average"
_SHOWN = (("macro_f1", "macro F1"), ("auroc", "AUROC"), ("brier", "Brier score"))
_TIMED = 16
# Images that one core must get through the network in a second.
WANTED_SPEED = 300.0


@dataclass(frozen=True)
class Trick:
    """One change of the recipe.

    Attributes
    ----------
    settings : dict
        Settings that are others.
    without : str
        A source that is left out of the training part.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    without: str = ""


TRICKS: dict[str, Trick] = {
    RECIPE: Trick(),
    "no published weights": Trick({"weights": None}),
    "`residual` from random weights": Trick({"architecture": "residual", "weights": None}),
    "no blending of images": Trick({"mixup": 0.0}),
    "a lesion drawn into a quarter of the healthy heads": Trick({"implant": 0.25}),
    "light changes of images only": Trick({"augment": "light"}),
    "no changes of images": Trick({"augment": "none"}),
    "no weights by label": Trick({"class_weights": False}),
    "the small source once an epoch": Trick({"least_share": 0.0}),
    "without navoneel (no partial labels)": Trick(without="navoneel"),
    "64 × 64": Trick({"size": 64}),
    "96 × 96": Trick({"size": 96}),
    "112 × 112": Trick({"size": 112}),
    "128 × 128": Trick({"size": 128}),
    "144 × 144": Trick({"size": 144}),
    "160 × 160": Trick({"size": 160}),
    "192 × 192": Trick({"size": 192}),
}


def some_groups(items: Sequence[Item], share: float) -> list[Item]:
    """Keep this share of the groups of the training part of each source and label, and all of the others."""
    kept: list[Item] = []
    seen: dict[tuple[str, str], dict[str, bool]] = {}
    for item in sorted(items, key=lambda each: each.sha256):
        if item.split != "train":
            kept.append(item)
            continue
        inside = seen.setdefault((item.source, item.label), {})
        if inside.setdefault(item.group, (len(inside) + 1) * share % 1.0 < share - 1e-9 or share >= 1.0):
            kept.append(item)
    return kept


def measured(
    items: Sequence[Item],
    config: TrainConfig,
    trick: Trick,
    seeds: Sequence[int],
    *,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Scored, Scored, dict[str, Any]]:
    """Train once per seed, and score the validation part.

    Parameters
    ----------
    items : sequence of Item
        With their parts.
    config : TrainConfig
        The recipe.
    trick : Trick
        What is changed of it.
    seeds : sequence of int
        Of weights, order and augmentation; the parts stay.
    say : callable
        Told of progress, a line at a time.

    Returns
    -------
    Scored, Scored, dict
        By the averaged weights and by those of the last step, over all seeds together; and `parameters`,
        `cpu_seconds` an epoch, `images_a_second` of one core by LiteRT (None where it does not run).
    """
    config = dataclasses.replace(config, **trick.settings)
    kept, crops = load_crops(
        [item for item in items if item.split != "train" or item.source != trick.without], config.side
    )
    leaves = leaves_for([item.label for item in items if item.split == "train"])
    parts = parts_of(kept, crops, leaves)
    spec = ModelSpec("ablation", config.architecture, config.side, config.channels, leaves, PREPROCESS_VERSION)
    averaged, last, spent = [], [], 0.0
    for seed in seeds:
        own = dataclasses.replace(config, seed=seed, patience=config.epochs)
        both = networks(spec, own)
        reporter = Reporter(_say_epochs(f"seed {seed}: ", say), lambda: False, config.epochs)
        begun = time.process_time()
        # Without a part to choose the epoch by: every trick is judged after the same number of epochs.
        fitted = fit(both, spec, (parts["train"], None), own, reporter, (0.0, 1.0))
        spent += time.process_time() - begun
        averaged.append(_logits(fitted.model, spec, parts["validation"]))
        last.append(_logits(both[0], spec, parts["validation"]))
    told = {
        "parameters": int(fitted.model.count_params()),
        "cpu_seconds": round(spent / len(seeds) / config.epochs, 1),
        "images_a_second": _speed(fitted.model, spec, parts["validation"]),
    }
    return _pooled(parts["validation"], averaged, spec), _pooled(parts["validation"], last, spec), told


def _say_epochs(before: str, say: Callable[[str], None]) -> Callable[[Progress], None]:
    said = [0]

    def tell(where: Progress) -> None:
        if where.epoch > said[0]:
            said[0] = where.epoch
            say(before + where.line)

    return tell


def _logits(model: keras.Model, spec: ModelSpec, part: Part) -> np.ndarray:
    return logits_of(forward(model, spec), part.crops, spec.channels)[0]


def _pooled(part: Part, logits: Sequence[np.ndarray], spec: ModelSpec) -> Scored:
    """Put all seeds together: an image counts once for each, and its group is drawn as one by the bootstrap."""
    return scored_items([*part.items] * len(logits), np.concatenate(logits), spec, threshold=0.5)


def _speed(model: keras.Model, spec: ModelSpec, part: Part) -> float | None:
    """Give images a second of one core in batches, through the network alone: the best of several."""
    noise = np.random.default_rng(1).random((_TIMED, spec.size, spec.size, spec.channels), np.float32)
    engine, _ = published(model, spec, noise[:2])
    if engine is None:
        return None
    try:
        run = started(engine, spec.size, spec.channels, 1)
    except EngineFailed:
        return None
    best = 0.0
    for _ in range(60):
        begun = time.process_time()
        run(noise)
        best = max(best, _TIMED / max(time.process_time() - begun, 1e-9))
    return round(best, 1)


def row(name: str, scored: Scored, recipe: Scored, told: Mapping[str, Any]) -> dict[str, Any]:
    """Give a row, JSON-able: what was measured, and the difference to the recipe by paired bootstrap over groups."""
    report = evaluate(scored)
    return {
        "trick": name,
        "metrics": {key: report["metrics"][key] for key, _ in _SHOWN},
        "difference": None
        if name == RECIPE
        else {k: v for k, v in compare(recipe, scored).items() if k in dict(_SHOWN)},
        "by_source": {source: part["metrics"]["auroc"] for source, part in report["by_source"].items()},
        "images": len(scored.labels),
        "groups": report["n_groups"],
        **told,
    }


def rows_of(
    items: Sequence[Item],
    config: TrainConfig,
    names: Sequence[str],
    seeds: Sequence[int],
    say: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Measure the recipe, and then each of these tricks beside it; give the rows one by one."""

    def tell(name: str) -> Callable[[str], None]:
        return lambda line: say(f"{name}, {line}")

    recipe, last, told = measured(items, config, TRICKS[RECIPE], seeds, say=tell(RECIPE))
    yield row(RECIPE, recipe, recipe, told)
    yield row(LAST_STEP, last, recipe, told)
    for name in names:
        if name != RECIPE:
            found, _, told = measured(items, config, TRICKS[name], seeds, say=tell(name))
            yield row(name, found, recipe, told)


def with_row(rows: Sequence[dict[str, Any]], one: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rows with one added, in place of an older one of the same trick, in the order of `TRICKS`."""
    order = [RECIPE, LAST_STEP, *TRICKS]
    all_rows = {**{each["trick"]: each for each in rows}, one["trick"]: one}
    return sorted(all_rows.values(), key=lambda each: order.index(each["trick"]))


def markdown(rows: Sequence[Mapping[str, Any]], source: str, title: str = "What each trick is worth") -> str:
    """Write the table: markdown, from the rows of `rows_of` with `command` and `budget` in each."""
    sources = sorted(rows[0]["by_source"]) if len(rows[0]["by_source"]) > 1 else []
    heads = [head for _, words in _SHOWN for head in (words, "difference")]
    heads += [f"AUROC of {name}" for name in sources]
    lines = [
        f"# {title}",
        "",
        f"Made from the images of `{source}` by the commands below; nothing here is typed in. Each row is the "
        f"recipe with one thing changed, after {rows[0]['budget']}, on the validation part. In brackets the 95 % "
        "interval, by bootstrap over groups; the difference to the recipe is paired, image by image. Seconds are "
        "those of the processor an epoch; images a second are those of one core through the network by LiteRT, 16 at "
        "once, at its best.",
        "",
        f"| recipe with | {' | '.join(heads)} | s an epoch | images a s |",
        "|---|" + "---|" * len(heads) + "---:|---:|",
    ]
    for each in rows:
        cells = []
        for key, _ in _SHOWN:
            apart = each["difference"]
            cells += [_interval(each["metrics"][key]), _interval(apart[key], signed=True) if apart else ""]
        cells += [_interval(each["by_source"][name]) for name in sources]
        speed = "–" if each["images_a_second"] is None else f"{each['images_a_second']:.0f}"
        lines.append(f"| {each['trick']} | {' | '.join(cells)} | {each['cpu_seconds']:.0f} | {speed} |")
    slow = [each["trick"] for each in rows if each["images_a_second"] and each["images_a_second"] < WANTED_SPEED]
    fallen = f"these do not reach them: {', '.join(slow)}" if slow else "every row reaches them"
    lines += ["", f"Wanted are {WANTED_SPEED:.0f} images a second; {fallen}."]
    commands = dict.fromkeys(each["command"] for each in rows)
    return "\n".join([*lines, "", "## How it was made", "", "```", *commands, "```"]) + "\n"


def _interval(metric: Mapping[str, float | None], *, signed: bool = False) -> str:
    value, low, high = metric["value"], metric["low"], metric["high"]
    if value is None or low is None or high is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
