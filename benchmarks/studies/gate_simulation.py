"""Whether the gate keeps its promise: models retrained on flipped labels, and on clean ones, hundreds of times.

A small network is trained on a fifth of the groups and frozen; nothing else ever sees those. On its pooled features a
linear head over the tree of labels is retrained in a second, so that every way of spoiling labels can be tried with
twenty seeds. Each seed parts the other four fifths anew: a training part, a frozen test part on which the gate judges,
and a large part held out, with clean labels, on which it is known whether the candidate is truly worse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.data.labels import LEAVES, NO_TUMOUR, allowed_leaves
from mlcore.data.split import split_by_group
from mlcore.gate.rules import PASS, Rules, compared_leaves, drawn, judge
from mlcore.measure.calibrate import fit_temperature, softmax
from mlcore.measure.metrics import Scored, measures
from mlcore.model.config import TrainConfig

SHARES = (0.05, 0.10, 0.20)
WAYS = ("at random", "one class", "one reader")
READERS = 5
FORMER = Rules(
    calibration_margin=-1.0, confidence=0.9
)  # what held until docs/gate-simulation.md was made anew with other seeds
_FIFTH = (0.15, 0.05, 0.8)
_PARTS = (0.30, 0.35, 0.35)  # training, held out, frozen test
_CALIBRATION = 0.2  # share of the training groups on which the temperature is chosen


@dataclass(frozen=True)
class Features:
    """Images as a frozen network sees them.

    Attributes
    ----------
    values : numpy.ndarray, shape (N, d), dtype float32
        Pooled maps.
    labels, sources : sequence of str
        Of each image.
    groups : sequence of int
        Of each image; never parted.
    """

    values: np.ndarray
    labels: Sequence[str]
    groups: Sequence[int]
    sources: Sequence[str]

    def save(self, path: Path) -> None:
        """Write them to a file of arrays."""
        np.savez(path, values=self.values, labels=self.labels, groups=self.groups, sources=self.sources)

    @classmethod
    def load(cls, path: Path) -> Features:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            return cls(kept["values"], kept["labels"].tolist(), kept["groups"].tolist(), kept["sources"].tolist())


def features_of(data: Path, scratch: Path, config: TrainConfig, say: Callable[[str], None]) -> Features:
    """Train the frozen network on a fifth of the groups, and describe the images of the others by it.

    Parameters
    ----------
    data : Path
        Folder of class folders, of such folders, or a manifest.
    scratch : Path
        Folder for the network.
    config : TrainConfig
        Of its training; the seed also draws the fifth.
    say : callable
        Told of progress.

    Returns
    -------
    Features
        Of the images of the other groups: what the network's last maps say of each, its label, group and source.

    Raises
    ------
    NotADataset, NotTrainable
        Where the data do not suffice.
    """
    # Heavy: whoever only reads kept features need not wait for TensorFlow.
    from mlcore.data.dataset import from_folder, read_manifest
    from mlcore.networks.artifact import load
    from mlcore.networks.ood import BESIDE
    from mlcore.networks.runtime import forward
    from mlcore.training.crops import load_crops
    from mlcore.training.loop import logits_of
    from mlcore.training.train import train

    items = read_manifest(data) if data.is_file() else from_folder(data, seed=config.seed)
    strata = [f"{item.source}/{item.label}" for item in items]
    numbers = {
        group: number for number, group in enumerate(dict.fromkeys(item.group or item.sha256 for item in items))
    }
    groups = [numbers[item.group or item.sha256] for item in items]
    parts = split_by_group(strata, groups, seed=config.seed, fractions=_FIFTH)
    fifth = [dataclasses.replace(item, split=part) for item, part in zip(items, parts, strict=True) if part != "test"]
    say(f"the frozen network learns from {len(fifth)} of {len(items)} images")
    done = train(fifth, config, scratch / "frozen", on_progress=lambda where: say(where.line), resume=False)
    model, spec = load(done.folder)
    rest = [item for item, part in zip(items, parts, strict=True) if part == "test"]
    kept, crops = load_crops(rest, spec.size)
    _, described = logits_of(forward(model, spec), crops, spec.channels)
    values = described[:, : described.shape[1] - BESIDE]
    return Features(
        values,
        [item.label for item in kept],
        [numbers[item.group or item.sha256] for item in kept],
        [item.source for item in kept],
    )


def fit_head(values: np.ndarray, masks: np.ndarray, *, penalty: float = 0.01, steps: int = 300) -> np.ndarray:
    """Fit a linear head over the tree of labels by accelerated gradient descent.

    Parameters
    ----------
    values : numpy.ndarray, shape (N, d)
        Standardised features.
    masks : numpy.ndarray, shape (N, leaves)
        Allowed leaves; the loss is -log of their summed probability.
    penalty : float
        On the squared weights (not the offsets).
    steps : int
        Of Nesterov's method (1983) at the step that the curvature allows.

    Returns
    -------
    numpy.ndarray, shape (d + 1, leaves)
        Weights, the offsets last.
    """
    inputs = np.hstack((values, np.ones((len(values), 1)))).astype(np.float64)
    decay = np.full((inputs.shape[1], 1), penalty)
    decay[-1] = 0.0
    largest = float(np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1])
    step = 1.0 / (0.5 * largest + penalty)
    weights = ahead = np.zeros((inputs.shape[1], masks.shape[1]))
    for number in range(steps):
        given = softmax(inputs @ ahead)
        wanted = given * masks
        wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-12)
        gradient = inputs.T @ (given - wanted) / len(inputs) + decay * ahead
        further = ahead - step * gradient
        ahead = further + number / (number + 3.0) * (further - weights)
        weights = further
    return np.asarray(weights)


def flipped(
    labels: Sequence[str], groups: Sequence[int], way: str, share: float, rng: np.random.Generator
) -> list[str]:
    """Spoil a share of all labels.

    Parameters
    ----------
    labels : sequence of str
        The truth.
    groups : sequence of int
        Of each image; a reader reads whole groups.
    way : str
        `at random`: each into any other leaf. `one class`: of one class alone, all into one other, so at most the
        whole class. `one reader`: of one of five readers, each into any other leaf, so at most all of theirs.
    share : float
        Of all labels.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    list of str
        The labels, as many of them false as `way` allows.
    """
    spoilt = list(labels)
    wanted = round(share * len(labels))
    goal = ""
    if way == "at random":
        pool = np.arange(len(labels))
    elif way == "one class":
        there = sorted(set(labels) & set(LEAVES))
        victim, goal = rng.choice(there, 2, replace=False).tolist()
        pool = np.flatnonzero([label == victim for label in labels])
    else:
        names, inverse = np.unique(np.asarray(groups), return_inverse=True)
        pool = np.flatnonzero(rng.integers(0, READERS, len(names))[inverse] == 0)
    for i in rng.permutation(pool)[:wanted].tolist():
        spoilt[i] = goal or _other(spoilt[i], rng)
    return spoilt


def _other(label: str, rng: np.random.Generator) -> str:
    """Give a label that contradicts this one; a tumour without a type becomes none."""
    others = [leaf for leaf in LEAVES if leaf != label] if label in LEAVES else [NO_TUMOUR]
    return str(rng.choice(others))


@dataclass(frozen=True)
class World:
    """One seed's parts, and the model in use there: trained on clean labels of half the training groups.

    Attributes
    ----------
    features : Features
        All images.
    train, calibration, test, held_out : numpy.ndarray, dtype int64
        Indices of the images of each part.
    live_test, live_held_out : Scored
        The model in use on those parts.
    """

    features: Features
    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    held_out: np.ndarray
    live_test: Scored
    live_held_out: Scored


def _masks(labels: Sequence[str]) -> np.ndarray:
    masks = np.zeros((len(labels), len(LEAVES)))
    for row, label in zip(masks, labels, strict=True):
        row[list(allowed_leaves(label, LEAVES))] = 1.0
    return masks


def _model(
    features: Features, train: np.ndarray, calibration: np.ndarray, labels: Sequence[str]
) -> Callable[[np.ndarray], Scored]:
    """Retrain the head on these images; gives what scores any others, with their true labels beside."""
    mean, spread = features.values[train].mean(axis=0), features.values[train].std(axis=0) + 1e-6

    def inputs(chosen: np.ndarray) -> np.ndarray:
        return np.asarray((features.values[chosen] - mean) / spread)

    masks = _masks(labels)
    weights = fit_head(inputs(train), masks[train])

    def logits(chosen: np.ndarray) -> np.ndarray:
        return np.asarray(inputs(chosen) @ weights[:-1] + weights[-1])

    temperature = fit_temperature(logits(calibration), masks[calibration])

    def scored(chosen: np.ndarray) -> Scored:
        return Scored(
            softmax(logits(chosen), temperature),
            [features.labels[i] for i in chosen],
            [str(features.groups[i]) for i in chosen],
            [features.sources[i] for i in chosen],
            LEAVES,
            0.5,
        )

    return scored


def world(features: Features, seed: int) -> World:
    """Part the images for one seed, and train the model in use."""
    strata = [f"{source}/{label}" for source, label in zip(features.sources, features.labels, strict=True)]
    parts = np.array(split_by_group(strata, features.groups, seed=seed, fractions=_PARTS))
    groups = np.asarray(features.groups)
    rng = np.random.default_rng((seed, 1))
    known = rng.permutation(np.unique(groups[parts == "train"]))
    apart = max(1, round(_CALIBRATION * len(known)))
    calibration = np.flatnonzero(np.isin(groups, known[:apart]))
    train = np.flatnonzero(np.isin(groups, known[apart:]))
    half = np.flatnonzero(np.isin(groups, known[apart : apart + (len(known) - apart) // 2]))
    test, held_out = np.flatnonzero(parts == "test"), np.flatnonzero(parts == "validation")
    live = _model(features, half, calibration, features.labels)
    return World(features, train, calibration, test, held_out, live(test), live(held_out))


def candidate(place: World, way: str, share: float, seed: int) -> tuple[Scored, Scored]:
    """Train a candidate on all training groups with a share of the labels flipped; on test part and held-out part."""
    labels = list(place.features.labels)
    if share:
        learned = np.concatenate((place.train, place.calibration))
        rng = np.random.default_rng((seed, 2, WAYS.index(way), round(100 * share)))
        spoilt = flipped([labels[i] for i in learned], [place.features.groups[i] for i in learned], way, share, rng)
        for i, label in zip(learned.tolist(), spoilt, strict=True):
            labels[i] = label
    scored = _model(place.features, place.train, place.calibration, labels)
    return scored(place.test), scored(place.held_out)


def true_loss(live: Scored, new: Scored, rules: Rules) -> dict[str, Any]:
    """Say by how much a candidate is truly worse, on the held-out part.

    Returns
    -------
    dict
        `accuracy`, `auroc`, `sensitivity` (of the class that loses most): candidate minus live. `ece`: its own.
        `worse`: whether any loss is beyond the margin of the rules, or the calibration error beyond its limit.
    """
    ones = np.ones((1, len(live.labels)))
    old, now = measures(live, ones), measures(new, ones)
    classes = [now[name][0] - old[name][0] for _, name in compared_leaves(live, new)]
    apart = {
        "accuracy": float(now["accuracy"][0] - old["accuracy"][0]),
        "auroc": float(now["auroc"][0] - old["auroc"][0]),
        "sensitivity": float(np.nanmin(classes)),
        "ece": float(now["ece"][0]),
    }
    worse = (
        apart["accuracy"] < -rules.accuracy_margin
        or apart["auroc"] < -rules.auroc_margin
        or apart["sensitivity"] < -rules.sensitivity_margin
        or apart["ece"] > rules.calibration_limit
    )
    return {**apart, "worse": worse}


def simulate(
    features: Features, rules: Rules, seeds: Sequence[int], clean: Sequence[int], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Try every way and share with each seed, and clean labels with each of `clean`.

    Returns
    -------
    list of dict
        One a candidate: `way` (`clean` for none), `share`, `seed`, `verdict`, `former` (by the rules of before),
        `rules` (verdict by rule), and what
        `true_loss` gives.
    """
    rows = []
    for seed in sorted({*seeds, *clean}):
        place = world(features, seed)
        beside = drawn(place.live_test)
        for way, share in _wanted(seed, seeds, clean):
            on_test, on_held_out = candidate(place, way, share, seed)
            measured = drawn(on_test, weights=beside.weights)
            said = judge(place.live_test, on_test, rules, beside=beside, measured=measured)
            before = judge(place.live_test, on_test, FORMER, beside=beside, measured=measured)
            rows.append(
                {
                    "way": way,
                    "share": share,
                    "seed": seed,
                    "verdict": said["verdict"],
                    "former": before["verdict"],
                    "rules": {each["rule"]: each["verdict"] for each in said["rules"]},
                    **true_loss(place.live_held_out, on_held_out, rules),
                }
            )
        say(f"seed {seed}: {len(rows)} candidates so far")
    return rows


def _wanted(seed: int, seeds: Sequence[int], clean: Sequence[int]) -> Iterator[tuple[str, float]]:
    if seed in clean:
        yield "clean", 0.0
    if seed in seeds:
        for way in WAYS:
            for share in SHARES:
                yield way, share


def stopped(row: dict[str, Any]) -> bool:
    """Whether the gate keeps a candidate from promotion without a written exception."""
    return bool(row["verdict"] != PASS)
