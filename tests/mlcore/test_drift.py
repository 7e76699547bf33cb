"""The population stability index against numbers worked out by hand, and against what chance does."""

import math

import numpy as np
import pytest

from mlcore.measure import drift


def test_psi_is_the_sum_over_bins():
    # Shares 0.5/0.5 against 0.8/0.2, many enough that half a count is nothing.
    found = drift.psi(np.array([5e8, 5e8]), np.array([8e8, 2e8]))
    assert found == pytest.approx(0.3 * math.log(0.8 / 0.5) + -0.3 * math.log(0.2 / 0.5), rel=1e-6)
    assert drift.psi(np.array([10, 0]), np.array([0, 10])) < math.inf


def test_chance_stays_below_its_limit_nineteen_times_in_twenty():
    rng = np.random.default_rng(1)
    beyond = 0
    for _ in range(1000):
        found = drift.of_numbers(rng.beta(2, 5, 500), rng.beta(2, 5, 200))
        beyond += found.index > found.chance
    # Binomial(1000, 0.05) is 28 to 72 with 99.8 %; the bins are chosen on the reference, which costs a little.
    assert 20 <= beyond <= 75


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stable"), (0.4, "watch"), (1.5, "shifted")])
def test_a_shift_is_seen_and_named(shift, verdict):
    rng = np.random.default_rng(2)
    found = drift.of_numbers(rng.normal(0, 1, 2000), rng.normal(shift, 1, 2000))
    assert found.verdict == verdict
    assert sum(share for _name, share, _recent in found.shares) == pytest.approx(1)


def test_few_say_nothing_and_a_constant_tells_any_other_value():
    assert drift.of_numbers([1.0] * 49, [2.0] * 500).verdict == "few"
    assert drift.of_numbers([1.0] * 100, [1.0] * 100).verdict == "stable"
    assert drift.of_numbers([1.0] * 100, [2.0] * 100).verdict == "shifted"


def test_kinds_are_compared_by_name():
    before, after = ["png"] * 90 + ["jpeg"] * 10, ["png"] * 50 + ["dicom"] * 50
    found = drift.of_kinds(before, after)
    assert found.verdict == "shifted"
    assert found.shares == [("dicom", 0.0, 0.5), ("jpeg", 0.1, 0.0), ("png", 0.9, 0.5)]
