from collections import Counter

import numpy as np
import pytest

from mlcore.data.split import SPLITS, split_by_group


def example(seed: int = 0) -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(seed)
    groups = [int(g) for g in rng.integers(0, 200, 600)]
    label_of = {g: str(rng.choice(["yes", "no"], p=[0.7, 0.3])) for g in set(groups)}
    return [label_of[g] for g in groups], groups


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_parted(seed):
    labels, groups = example(seed)
    parts = split_by_group(labels, groups, seed=seed)
    assert all(len({p for p, g in zip(parts, groups, strict=True) if g == group}) == 1 for group in set(groups))


def test_shares_hold_for_each_label():
    labels, groups = example()
    parts = split_by_group(labels, groups, seed=1)
    for label in ("yes", "no"):
        counts = Counter(p for p, each in zip(parts, labels, strict=True) if each == label)
        total = sum(counts.values())
        for part, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
            assert abs(counts[part] / total - share) < 0.04


def test_the_seed_decides():
    labels, groups = example()
    assert split_by_group(labels, groups, seed=1) == split_by_group(labels, groups, seed=1)
    assert split_by_group(labels, groups, seed=1) != split_by_group(labels, groups, seed=2)


def test_frozen_groups_stay_where_they_are():
    labels, groups = example()
    frozen = dict.fromkeys(sorted(set(groups))[:60], "test")
    parts = split_by_group(labels, groups, seed=3, frozen=frozen)
    assert all(p == "test" for p, g in zip(parts, groups, strict=True) if g in frozen)


def test_three_groups_of_a_label_fill_all_three_parts():
    parts = split_by_group(["a"] * 3 + ["b"] * 3, [1, 2, 3, 4, 5, 6], seed=1)
    assert sorted(parts[:3]) == sorted(SPLITS)
    assert sorted(parts[3:]) == sorted(SPLITS)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"groups": [1]}, "groups"),
        ({"fractions": (0.5, 0.5, 0.5)}, "sum to 1"),
        ({"frozen": {1: "elsewhere"}}, "frozen"),
    ],
)
def test_what_cannot_be_split_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        split_by_group(**{"labels": ["a", "b"], "groups": [1, 2], "seed": 1, **arguments})
