"""What is chosen to be labelled next, and that a simulation counts as one counts by hand."""

import numpy as np
import pytest

from benchmarks.studies.active_simulation import Setting, markdown, needed, simulate
from mlcore.data import active
from mlcore.data.dataset import Item


def test_unsure_is_a_half_and_committees_disagree_where_members_do():
    assert active.uncertainty(np.array([0.5, 0.0, 1.0, 0.75])).tolist() == [1.0, 0.0, 0.0, 0.5]
    apart = active.disagreement(np.array([[0.99, 0.5, 0.9], [0.01, 0.5, 0.9]]))
    assert apart[0] > 0.5 and apart[1:] == pytest.approx(0, abs=1e-9)


def test_farthest_chooses_what_is_unlike_all_that_is_labelled_or_chosen():
    described = np.array([[0.0], [1.0], [10.0], [9.0], [4.0]])
    labelled = np.array([True, False, False, False, False])
    assert active.farthest(described, labelled, 2) == [2, 4]
    assert sorted(active.farthest(described, labelled, 99)) == [1, 2, 3, 4]


def test_a_tenth_is_drawn_at_random_and_nothing_twice():
    ordered = list(range(100))
    found = [active.mixed(ordered, np.arange(100), 20, np.random.default_rng(seed)) for seed in range(200)]
    assert all(len(set(each)) == 20 for each in found)
    outside = np.mean([sum(place >= 20 for place in each) for each in found])
    # Two of twenty are drawn from a hundred, four fifths of which lie beyond the first twenty.
    assert 1.3 < outside < 1.9
    assert active.mixed(ordered, np.arange(0), 5, np.random.default_rng(1)) == []


def test_needed_lies_between_the_rounds_that_it_lies_between():
    assert needed([0.5, 0.7, 0.9], [20, 40, 60], 0.8) == 50
    assert needed([0.9, 0.95], [20, 40], 0.8) == 20
    assert needed([0.5, 0.6], [20, 40], 0.8) == float("inf")


def test_simulation_labels_in_every_order_and_writes_its_table():
    rng = np.random.default_rng(1)
    tumour = rng.random(240) < 0.5
    described = rng.normal(0, 1, (240, 12)).astype(np.float32)
    described[:, 0] += 3.0 * tumour
    items = [
        Item(f"{n}", f"{n:064}", "tumour" if t else "no_tumour", str(n), "phantoms") for n, t in enumerate(tumour)
    ]
    setting = Setting(seeds=2, first=10, step=10, most=40)
    found = simulate(items, described, setting)
    assert found["labels"] == [10, 20, 30, 40]
    assert {name: np.shape(curves) for name, curves in found["curves"].items()} == dict.fromkeys(
        active.STRATEGIES, (2, 4)
    )
    firsts = {tuple(curve[0] for curve in curves) for curves in found["curves"].values()}
    assert len(firsts) == 1, "every order begins with the same labels"
    assert all(curve[-1] > 0.8 for curves in found["curves"].values() for curve in curves)
    again = simulate(items, described, setting)
    assert again["curves"] == found["curves"]
    table = markdown(found, setting, "the command", "phantoms")
    assert "the command" in table and "| uncertainty |" in table and "0.05 below all labels" in table
