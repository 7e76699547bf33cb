"""Agreement: held against scikit-learn, and against the worked example of Fleiss' own paper."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from mlcore.measure import agreement
from mlcore.measure.agreement import Pairs

LABELS = ("a", "b", "c", "d")
# Fleiss 1971: thirty patients, six psychiatrists each, five diagnoses. Which diagnosis each of the six gave.
FLEISS_1971 = (
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445 "
    "333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"
)


def said(seed, n=200, noise=0.3):
    rng = np.random.default_rng(seed)
    first = rng.choice(LABELS, size=n, p=[0.5, 0.3, 0.15, 0.05])
    second = np.where(rng.random(n) < noise, rng.choice(LABELS, size=n), first)
    return first.tolist(), second.tolist()


def counted(first, second):
    """How often each label of the first meets each of the second."""
    return confusion_matrix(first, second, labels=LABELS).astype(float)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_cohens_kappa_is_that_of_scikit_learn(seed, noise):
    first, second = said(seed, noise=noise)
    ours = agreement.cohen(counted(first, second))
    assert ours == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


@pytest.mark.parametrize("label", LABELS)
def test_kappa_of_one_label_is_that_of_scikit_learn(label):
    first, second = said(7)
    table = agreement.one_against_rest(counted(first, second), LABELS.index(label))
    expected = cohen_kappa_score([each == label for each in first], [each == label for each in second])
    assert agreement.cohen(table) == pytest.approx(expected, abs=1e-12)


def test_fleiss_kappa_of_the_papers_worked_example():
    counts = np.array([[row.count(str(k)) for k in range(1, 6)] for row in FLEISS_1971.split()])
    assert counts.shape == (30, 5) and counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]
    assert agreement.fleiss(counts) == pytest.approx(0.430, abs=5e-4)


def test_fleiss_of_two_is_fleiss_of_any_number():
    first, second = said(3)
    counts = np.array([[(a == label) + (b == label) for label in LABELS] for a, b in zip(first, second, strict=True)])
    table = counted(first, second)
    assert agreement.fleiss_of_two(table) == pytest.approx(agreement.fleiss(counts), abs=1e-12)


@pytest.mark.parametrize("counts", [[[2, 1], [2, 0]], [[1, 0], [0, 1]]])
def test_fleiss_needs_as_many_readers_for_each_item(counts):
    with pytest.raises(ValueError, match="same number of readers"):
        agreement.fleiss(np.array(counts))


def test_kappa_is_undefined_where_all_say_the_same():
    pairs = Pairs(["a"] * 9, ["a"] * 9, LABELS, range(9))
    assert pairs.measure(agreement.cohen).value is None
    assert pairs.measure(agreement.percent).value == 1.0


def test_interval_holds_the_value_and_is_the_same_each_time():
    first, second = said(1)
    made = [Pairs(first, second, LABELS, range(200)).measure(agreement.cohen) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].low < made[0].value < made[0].high


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Two readers who each err on a third of the cases; their kappa in the long run from 200,000 cases."""
    first, second = said(0, n=200_000)
    truth = float(agreement.cohen(counted(first, second)))
    inside = 0
    for seed in range(1, 201):
        found = Pairs(*said(seed, n=120), LABELS, range(120), draws=400).measure(agreement.cohen)
        inside += found.low <= truth <= found.high
    assert 0.89 <= inside / 200 <= 0.99


def test_items_of_one_patient_are_no_independent_evidence():
    first, second = said(2, n=60)
    alone = Pairs(first, second, LABELS, range(60)).measure(agreement.percent)
    repeated = Pairs(first * 5, second * 5, LABELS, list(range(60)) * 5).measure(agreement.percent)
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((alone.value, alone.low, alone.high))
    one_patient = Pairs(first, second, LABELS, ["P"] * 60).measure(agreement.percent)
    assert one_patient.value is not None and one_patient.low is None


def test_specific_agreement_counts_what_either_said():
    table = np.array([[2, 1], [0, 1]])  # aaab by one reader, aabb by the other
    assert agreement.specific(agreement.one_against_rest(table, 0)) == pytest.approx(2 * 2 / (2 * 2 + 1 + 0))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_share_has_wilsons_interval(hits, of, low, high):
    found = agreement.share(hits, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_share_of_none_is_undefined():
    assert agreement.share(0, 0).value is None


def test_share_of_none_or_all_ends_at_the_edge():
    for of in range(1, 40):  # rounding alone would leave a hair's breadth at some of them
        assert agreement.share(0, of).low == 0
        assert agreement.share(of, of).high == 1
