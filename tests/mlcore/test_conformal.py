import numpy as np
import pytest

from mlcore.data.labels import BINARY_LEAVES, LEAVES
from mlcore.measure.conformal import coverage, fit_cuts, label_sets
from mlcore.measure.metrics import Scored


def scored(probabilities, labels, groups=None, leaves=LEAVES):
    names = [str(i) for i in range(len(labels))] if groups is None else groups
    return Scored(np.asarray(probabilities, float), labels, names, ["s"] * len(labels), leaves, 0.5)


def drawn(rng, count: int) -> Scored:
    """Draw images whose network is often wrong, and does not know how often."""
    truth = rng.integers(0, 4, count)
    logits = rng.normal(0, 1, (count, 4)) + 1.5 * np.eye(4)[truth]
    probabilities = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return scored(probabilities, [LEAVES[k] for k in truth])


@pytest.mark.parametrize("error_rate", [0.05, 0.1, 0.3])
def test_the_promise_holds_for_each_label_on_new_images(error_rate):
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(40):
        cuts = fit_cuts(drawn(rng, 400), error_rate)
        new = drawn(rng, 400)
        # Without the opinion's own label, which would only help.
        inside = new.probabilities >= np.asarray(cuts)
        own = np.array([LEAVES.index(label) for label in new.labels])
        held = inside[np.arange(400), own]
        shares.append([held[own == k].mean() for k in range(4)])
    mean = np.mean(shares, axis=0)
    assert (mean > 1 - error_rate - 0.012).all()
    assert (mean < 1 - error_rate + 0.03).all()


def by_p_values(known: Scored, new: np.ndarray, error_rate: float) -> np.ndarray:
    """Give the sets by the definition: a leaf belongs where its p-value is above the error rate.

    The p-value is the share of the leaf's groups, the new scan counted as one more, that are no more like it than the
    new scan; a group with several images counts in parts.
    """
    inside = np.zeros(new.shape, dtype=bool)
    for k, leaf in enumerate(known.leaves):
        mine = [i for i, label in enumerate(known.labels) if label == leaf]
        groups: dict[str, list[float]] = {}
        for i in mine:
            groups.setdefault(known.groups[i], []).append(known.probabilities[i, k])
        for row, probable in enumerate(new[:, k]):
            no_more = 1 + sum(sum(each <= probable for each in group) / len(group) for group in groups.values())
            inside[row, k] = no_more / (len(groups) + 1) > error_rate + 1e-9
    return inside


@pytest.mark.parametrize("error_rate", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("crowded", [False, True])
def test_the_sets_are_those_of_the_definition_by_p_values(error_rate, crowded):
    rng = np.random.default_rng(7)
    for count in (12, 120):
        some = drawn(rng, count)
        # Two decimals, so that many are equal; groups of one, or of up to several labels.
        groups = [str(int(g)) for g in rng.integers(0, count // 3, count)] if crowded else some.groups
        known = scored(some.probabilities.round(2), some.labels, groups)
        new = drawn(rng, 60).probabilities.round(2)
        called = [LEAVES[k] for k in new.argmax(axis=1)]
        wanted = by_p_values(known, new, error_rate)
        wanted[np.arange(len(new)), new.argmax(axis=1)] = True
        assert np.array_equal(label_sets(new, fit_cuts(known, error_rate), LEAVES, called), wanted)


def test_a_group_counts_once():
    alone = scored([[p, 1 - p] for p in np.linspace(0.5, 1.0, 20)], ["no_tumour"] * 20, leaves=BINARY_LEAVES)
    forty = [[0.1, 0.9]] * 40
    with_a_crowd = scored(
        [*alone.probabilities, *forty],
        ["no_tumour"] * 60,
        [*alone.groups, *["crowd"] * 40],
        BINARY_LEAVES,
    )
    assert fit_cuts(alone, 0.2)[0] == pytest.approx(0.578947, abs=1e-5)
    assert fit_cuts(with_a_crowd, 0.2)[0] > 0.5


def test_with_too_few_groups_nothing_is_ruled_out():
    eight = scored([[0.9, 0.1]] * 8, ["no_tumour"] * 8, leaves=BINARY_LEAVES)
    nine = scored([[0.9, 0.1]] * 9, ["no_tumour"] * 9, leaves=BINARY_LEAVES)
    assert fit_cuts(eight, 0.1) == (0.0, 0.0)
    assert fit_cuts(nine, 0.1) == (0.9, 0.0)


def test_a_tumour_without_a_type_says_nothing_of_a_type_and_is_covered_by_any():
    some = scored([[0.1, 0.6, 0.2, 0.1]] * 30, ["tumour"] * 30)
    assert fit_cuts(some, 0.1) == (0.0, 0.0, 0.0, 0.0)
    found = coverage(some, (0.5, 0.5, 0.5, 0.5), draws=50)
    assert found["by_label"]["tumour"] == {"n": 30, "covered": {"value": 1.0, "low": 1.0, "high": 1.0}}
    assert (found["size"], found["single"]) == (1.0, 1.0)


def test_a_set_is_never_without_the_opinion():
    inside = label_sets(np.array([[0.4, 0.3, 0.2, 0.1]]), (0.9, 0.9, 0.15, 0.9), LEAVES, ["glioma"])
    assert inside.tolist() == [[False, True, True, False]]


def test_coverage_counts_what_is_missed():
    some = scored([[0.9, 0.1]] * 6 + [[0.2, 0.8]] * 2, ["no_tumour"] * 8, leaves=BINARY_LEAVES)
    found = coverage(some, (0.5, 0.5), draws=200)
    assert found["all"]["covered"]["value"] == 0.75
    assert found["all"]["covered"]["low"] < 0.75 < found["all"]["covered"]["high"]
