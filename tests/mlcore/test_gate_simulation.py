"""The simulation that proves the gate: labels are spoilt as asked, and no answer leaks into the question."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.studies.gate_simulation import WAYS, Features, fit_head, flipped, simulate, world
from benchmarks.studies.gate_table import markdown
from mlcore.data.labels import LEAVES
from mlcore.gate.rules import Rules


def features(n=1200, d=12):
    """Four clouds, three images a group."""
    rng = np.random.default_rng(0)
    leaf = np.repeat(np.arange(n // 3) % 4, 3)
    values = rng.normal(size=(n, d)) + 2.2 * np.eye(4, d)[leaf]
    return Features(values.astype(np.float32), [LEAVES[i] for i in leaf], [i // 3 for i in range(n)], ["here"] * n)


def test_head_learns_leaves_and_a_tumour_without_a_type():
    some = features()
    leaf = np.array([LEAVES.index(label) for label in some.labels])
    masks = np.eye(4)[leaf]
    masks[(leaf > 0) & (np.arange(len(leaf)) % 2 == 0)] = (0, 1, 1, 1)
    weights = fit_head(some.values, masks)
    said = (some.values @ weights[:-1] + weights[-1]).argmax(axis=1)
    assert (said == leaf).mean() > 0.85


@pytest.mark.parametrize("way", WAYS)
def test_so_many_labels_are_flipped_and_where_they_should(way):
    labels, groups = features().labels, features().groups
    spoilt = flipped(labels, groups, way, 0.1, np.random.default_rng(3))
    changed = [i for i, (old, new) in enumerate(zip(labels, spoilt, strict=True)) if old != new]
    assert len(changed) == 120
    if way == "one class":
        assert len(Counter((labels[i], spoilt[i]) for i in changed)) == 1
    if way == "one reader":
        assert len({groups[i] for i in changed}) < 110, "whole groups are read by one reader"
    assert flipped(labels, groups, way, 0.1, np.random.default_rng(3)) == spoilt


def test_no_group_lies_in_two_parts():
    place = world(features(), 1)
    parts = [place.train, place.calibration, place.test, place.held_out]
    held = [{place.features.groups[i] for i in part} for part in parts]
    assert sum(map(len, held)) == len(set().union(*held)) == len(set(place.features.groups))


def test_ruined_class_is_worse_and_stopped_and_clean_labels_are_not():
    rules = Rules(least_scans=100, least_groups=50, least_of_class=20, accuracy_margin=0.05, sensitivity_margin=0.25)
    rows = simulate(features(), rules, [1], [1], lambda line: None)
    assert len(rows) == 10
    by = {(row["way"], row["share"]): row for row in rows}
    assert by["clean", 0.0]["verdict"] == "pass" and not by["clean", 0.0]["worse"]
    ruined = by["one class", 0.2]
    assert ruined["worse"] and ruined["verdict"] == "fail"
    table = markdown(rows, rules, ["the command"], "data", {"images": 1200, "groups": 400, "test": 420})
    good = len([row for row in rows if row["way"] == "clean" and not row["worse"]])
    assert f"**False stops on clean labels: 0 of {good}**" in table
    assert "confidence 0.9 and not 0.85" in table, "and what the rules of before said of the same candidates"
