"""How many labels it takes to reach an AUROC, by the order in which scans are labelled. Small heads, many seeds.

Only the last layer learns: a logistic head on numbers that no network made and no label touched (mean greys, edges,
shares of grey levels and texture of the cropped head: `mlcore.networks.ood.describe` without its maps), standardised
and turned to their principal axes over the pool, where labels play no part either. So a seed costs seconds. What it
says of a whole network that learns is a guess.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.data import active
from mlcore.data.dataset import Item
from mlcore.data.split import split_by_group
from mlcore.measure.metrics import ranking
from mlcore.networks.ood import describe
from mlcore.preprocessing.preprocess import to_tensor

_AXES = 40
_PENALTY = 20.0  # on half the squared weights, chosen beforehand and the same for all orders
_MEMBERS = 5
_STEPS = 30
_TEST = 0.3


@dataclass(frozen=True)
class Setting:
    """How it is simulated.

    Attributes
    ----------
    seeds : int
        Splits, each with its own test part and its own first labels.
    first, step, most : int
        Labels to begin with (drawn at random), labels a round, labels at the end.
    short : tuple of float
        How far below the AUROC of the whole pool the targets lie.
    """

    seeds: int = 10
    first: int = 20
    step: int = 20
    most: int = 400
    short: tuple[float, ...] = (0.05, 0.02)


def descriptions(crops: np.ndarray) -> np.ndarray:
    """Describe heads by numbers that need no network, float32 (N, d)."""
    rows = []
    for start in range(0, len(crops), 256):
        tensors = to_tensor(crops[start : start + 256], 1)
        rows.append(describe(tensors, np.zeros((len(tensors), 1, 1, 1), np.float32))[:, 2:])
    return np.concatenate(rows)


def simulate(
    items: Sequence[Item], described: np.ndarray, setting: Setting, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Label a pool in every order, and measure after each round.

    Parameters
    ----------
    items : sequence of Item
        All images; `group` is never parted between pool and test.
    described : numpy.ndarray, shape (N, d)
        Of `descriptions`.
    setting : Setting
        How.
    say : callable
        Told of each seed.

    Returns
    -------
    dict
        `images`, `pool`, `test` (means over seeds), `labels` (K,), `curves` by strategy (seeds × K AUROC), `whole`
        (AUROC of the whole pool by seed), `seconds`.
    """
    begun = time.process_time()
    tumour = np.array([item.label != "no_tumour" for item in items])
    names = {name: number for number, name in enumerate(dict.fromkeys(item.group or item.sha256 for item in items))}
    owners = [names[item.group or item.sha256] for item in items]
    strata = [f"{item.source}/{item.label}" for item in items]
    labels = list(range(setting.first, setting.most + 1, setting.step))
    curves: dict[str, list[list[float]]] = {name: [] for name in active.STRATEGIES}
    whole, pools, tests = [], [], []
    for seed in range(1, setting.seeds + 1):
        parts = np.array(split_by_group(strata, owners, seed=seed, fractions=(1 - _TEST, 0.0, _TEST)))
        pool, test = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")
        axes = _axes(described[pool])
        known, asked = axes(described[pool]), axes(described[test])
        pools.append(len(pool))
        tests.append(len(test))
        everything = np.arange(len(pool))
        whole.append(_auroc(_head(known, tumour[pool], everything), asked, tumour[test]))
        first = _first(tumour[pool], setting.first, np.random.default_rng((seed, 0)))
        for name in active.STRATEGIES:
            rng = np.random.default_rng((seed, 1))
            curves[name].append(_curve(name, known, tumour[pool], asked, tumour[test], first, labels, rng))
        say(f"seed {seed} of {setting.seeds}: all {len(pool)} labels give {whole[-1]:.3f}")
    return {
        "images": len(items),
        "pool": float(np.mean(pools)),
        "test": float(np.mean(tests)),
        "labels": labels,
        "curves": curves,
        "whole": whole,
        "seconds": round(time.process_time() - begun, 1),
    }


def _axes(described: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Standardise and turn to the principal axes of a pool."""
    mean, spread = described.mean(axis=0), described.std(axis=0) + 1e-6
    standard = np.clip((described - mean) / spread, -6, 6)
    _, _, turned = np.linalg.svd(standard - standard.mean(axis=0), full_matrices=False)
    return lambda some: np.clip((some - mean) / spread, -6, 6) @ turned[:_AXES].T


def _first(tumour: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the first labels at random, again until both kinds are among them."""
    while True:
        drawn = rng.choice(len(tumour), count, replace=False)
        if 0 < tumour[drawn].sum() < count:
            return np.asarray(drawn)


def _head(known: np.ndarray, tumour: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Fit a logistic head by Newton's steps, both kinds weighing the same; weights (d + 1,), the last the offset."""
    x = np.column_stack([known[labelled], np.ones(len(labelled))])
    y = tumour[labelled].astype(np.float64)
    share = np.where(y == 1.0, 0.5 / y.mean(), 0.5 / (1.0 - y.mean()))
    penalty = np.full(x.shape[1], _PENALTY)
    penalty[-1] = 1e-3
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = _sure(x, weights)
        slope = x.T @ (share * (p - y)) + penalty * weights
        bend = (x * (share * p * (1.0 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _sure(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30.0, 30.0))))


def _says(head: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Give the probability of a tumour, (N,)."""
    return _sure(np.column_stack([asked, np.ones(len(asked))]), head)


def _auroc(head: np.ndarray, asked: np.ndarray, tumour: np.ndarray) -> float:
    return float(ranking(_says(head, asked), tumour, np.ones((1, len(tumour))))["auroc"][0])


def _curve(
    name: str,
    known: np.ndarray,
    tumour: np.ndarray,
    asked: np.ndarray,
    truth: np.ndarray,
    first: np.ndarray,
    labels: Sequence[int],
    rng: np.random.Generator,
) -> list[float]:
    """Give the AUROC after each round of one order."""
    labelled = np.zeros(len(known), bool)
    labelled[first] = True
    curve = []
    for wanted in labels:
        more = wanted - int(labelled.sum())
        if more > 0:
            labelled[_chosen(name, known, tumour, labelled, more, rng)] = True
        curve.append(_auroc(_head(known, tumour, np.flatnonzero(labelled)), asked, truth))
    return curve


def _chosen(
    name: str, known: np.ndarray, tumour: np.ndarray, labelled: np.ndarray, count: int, rng: np.random.Generator
) -> list[int]:
    left = np.flatnonzero(~labelled)
    have = np.flatnonzero(labelled)
    if name == "random":
        return rng.choice(left, min(count, len(left)), replace=False).tolist()
    if name == "diversity":
        return active.mixed(active.farthest(known, labelled, count), left, count, rng)
    if name == "uncertainty":
        worth = active.uncertainty(_says(_head(known, tumour, have), known[left]))
    else:
        said: list[np.ndarray] = []
        while len(said) < _MEMBERS:
            drawn = rng.choice(have, len(have))
            if 0 < tumour[drawn].sum() < len(drawn):
                said.append(_says(_head(known, tumour, drawn), known[left]))
        worth = active.disagreement(np.stack(said))
    return active.mixed(left[np.argsort(-worth, kind="stable")].tolist(), left, count, rng)


def needed(curve: Sequence[float], labels: Sequence[int], target: float) -> float:
    """Give the labels at which a curve first reaches a target, between rounds along a line; infinite if never."""
    for place, value in enumerate(curve):
        if value >= target:
            if place == 0:
                return float(labels[0])
            before = curve[place - 1]
            share = (target - before) / (value - before)
            return float(labels[place - 1] + share * (labels[place] - labels[place - 1]))
    return float("inf")


def markdown(found: dict[str, Any], setting: Setting, command: str, name: str) -> str:
    """Write the table, with 95 % bootstrap intervals over seeds."""
    labels, whole = found["labels"], np.array(found["whole"])
    lines = [
        "# Which scans to label next: a simulation",
        "",
        f"Made by `{command}` in {found['seconds']:.0f} CPU seconds. {found['images']} images of {name}; in each of",
        f"{setting.seeds} seeds about {found['test']:.0f} are kept for the test by groups of look-alikes, and"
        f" {found['pool']:.0f} can be labelled,",
        f"{setting.step} at a time after the first {setting.first}. Every order but *random* draws a tenth at random.",
        "",
        "What learns is a logistic head alone, on numbers that no network made and no label touched (mean greys,",
        "edges, grey levels and texture of the cropped head, in the principal axes of the pool). It tells how the",
        f"orders compare for such a head; a whole network may differ. With all labels its AUROC is {_mean(whole)}.",
        "",
        "## AUROC by number of labels",
        "",
        "Mean over seeds with its 95 % interval.",
        "",
    ]
    shown = [place for place, count in enumerate(labels) if count in _round_numbers(labels)]
    lines.append("| order | " + " | ".join(str(labels[place]) for place in shown) + " |")
    lines.append("|---|" + "---|" * len(shown))
    for strategy in active.STRATEGIES:
        curves = np.array(found["curves"][strategy])
        lines.append(f"| {strategy} | " + " | ".join(_mean(curves[:, place]) for place in shown) + " |")
    saving: list[str] = []
    lines += [
        "",
        "## Labels needed",
        "",
        "The last column is the share of the labels that the random order of the same seed needs, over the seeds in",
        "which both reach the target; where its whole interval lies below 1 the order saves labels.",
        "",
        "| target | order | labels needed | seeds that reach it | share of random |",
        "|---|---|---|---|---|",
    ]
    for short in setting.short:
        base = np.array([needed(c, labels, w - short) for c, w in zip(found["curves"]["random"], whole, strict=True)])
        for strategy in active.STRATEGIES:
            took = np.array(
                [needed(c, labels, w - short) for c, w in zip(found["curves"][strategy], whole, strict=True)]
            )
            there = np.isfinite(took)
            both = there & np.isfinite(base)
            share = "1" if strategy == "random" else (_mean(took[both] / base[both], 2) if both.any() else "–")
            lines.append(
                f"| {short:g} below all labels | {strategy} | {_mean(took[there], 0) if there.any() else '–'} "
                f"| {there.sum()} of {len(took)} | {share} |"
            )
            if share.startswith("0.") and float(share.rstrip(")").rpartition("–")[2]) < 1.0:
                saving.append(f"{strategy} ({short:g} below)")
    lines += ["", "Orders that save labels by more than chance here: " + (", ".join(saving) or "none") + "."]
    return "\n".join(lines) + "\n"


def _round_numbers(labels: Sequence[int]) -> set[int]:
    """A handful of rounds that are shown."""
    wanted = (20, 40, 60, 100, 140, 200, 300, 400)
    return {count for count in labels if count in wanted or count == labels[-1]}


def _mean(values: np.ndarray, digits: int = 3) -> str:
    """A mean with the 95 % interval of 2,000 bootstrap draws."""
    rng = np.random.default_rng(1)
    draws = rng.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{values.mean():.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
