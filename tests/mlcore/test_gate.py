"""What the gate says of candidates that are better, worse, or measured on too little."""

import numpy as np
import pytest

from mlcore.data.labels import LEAVES
from mlcore.gate.rules import FAIL, PASS, TOO_FEW, BadRules, Rules, judge, loss_verdict
from mlcore.measure.metrics import Scored


def scored(n=800, *, right=0.95, seed=0, spoilt="", leaves=LEAVES, labels=None):
    """A model that is right about so many of ``n`` images; of the class ``spoilt`` about none."""
    truth = labels or [leaves[i % len(leaves)] for i in range(n)]
    rng = np.random.default_rng(seed)
    probabilities = np.full((len(truth), len(leaves)), (1 - right) / (len(leaves) - 1))
    for row, label in zip(probabilities, truth, strict=True):
        place = leaves.index(label)
        if rng.random() > right or label == spoilt:
            place = (place + 1) % len(leaves)
        row[place] = right
    groups = [str(i // 2) for i in range(len(truth))]
    return Scored(probabilities, truth, groups, ["here"] * len(truth), leaves, 0.5)


def verdicts(said):
    return {each["rule"]: each["verdict"] for each in said["rules"]}


def test_as_good_a_candidate_passes_every_rule():
    said = judge(scored(seed=1), scored(seed=2), Rules())
    assert said["verdict"] == PASS and set(verdicts(said).values()) == {PASS}
    number = next(each for each in said["rules"] if each["rule"] == "accuracy")["numbers"][0]
    assert number["low"] < number["value"] < number["high"] and number["limit"] == -0.03 and number["n"] == 800


def test_candidate_that_is_worse_overall_fails():
    said = verdicts(judge(scored(seed=1), scored(seed=2, right=0.8), Rules()))
    assert (said["accuracy"], said["auroc"], said["sensitivity"]) == (FAIL, FAIL, FAIL)


def test_candidate_that_lost_one_class_fails_by_that_class():
    said = judge(scored(seed=1), scored(seed=1, spoilt="pituitary"), Rules())
    classes = next(each for each in said["rules"] if each["rule"] == "sensitivity")["numbers"]
    assert {each["name"]: each["verdict"] for each in classes}["pituitary"] == FAIL
    assert {each["name"]: each["verdict"] for each in classes}["meningioma"] == PASS
    assert said["verdict"] == FAIL


def test_small_test_part_is_too_few_to_say_even_where_nothing_differs():
    said = judge(scored(40), scored(40), Rules())
    assert said["verdict"] == TOO_FEW and verdicts(said)["test_size"] == TOO_FEW
    assert verdicts(said)["sensitivity"] == TOO_FEW, "ten of a class prove nothing"


def test_small_test_part_still_shows_harm_that_is_sure():
    assert judge(scored(80), scored(80, right=0.3), Rules())["verdict"] == FAIL


def test_no_live_model_leaves_nothing_to_compare_with():
    said = judge(None, scored(), Rules())
    assert said["verdict"] == TOO_FEW and verdicts(said)["same_test"] == TOO_FEW
    assert verdicts(said)["calibration"] == PASS


def test_other_images_are_not_compared():
    other = scored(labels=["no_tumour", "glioma"] * 400)
    said = judge(other, scored(), Rules())
    assert (verdicts(said)["same_test"], verdicts(said)["accuracy"]) == (TOO_FEW, TOO_FEW)


def test_overconfident_candidate_fails_by_its_calibration():
    sure = scored(right=0.7)
    sharp = Scored(
        np.where(sure.probabilities > 0.5, 0.997, 0.001), sure.labels, sure.groups, sure.sources, LEAVES, 0.5
    )
    said = verdicts(judge(scored(right=0.7), sharp, Rules()))
    assert said["calibration"] == FAIL and said["accuracy"] == PASS


def test_error_that_cannot_be_told_from_the_limit_passes_where_it_is_no_larger_than_the_live_models():
    live, same = scored(400, right=0.85, seed=1), scored(400, right=0.85, seed=1)
    value = judge(live, same, Rules())["rules"][-1]["numbers"][0]["value"]
    near = {"calibration_limit": value + 0.005}
    assert verdicts(judge(live, same, Rules(**near)))["calibration"] == PASS
    assert verdicts(judge(live, same, Rules(**near, calibration_margin=-1.0)))["calibration"] == TOO_FEW
    assert verdicts(judge(None, same, Rules(**near)))["calibration"] == TOO_FEW
    beyond = Rules(calibration_limit=0.001)
    assert verdicts(judge(live, same, beyond))["calibration"] == FAIL, "as bad as the live model is bad all the same"


def test_models_with_other_leaves_are_compared_by_finding():
    truth = ["no_tumour", "tumour"] * 400
    two = scored(labels=truth, leaves=("no_tumour", "tumour"))
    four = Scored(
        np.column_stack((two.probabilities[:, 0], *[two.probabilities[:, 1] / 3] * 3)),
        truth,
        two.groups,
        two.sources,
        LEAVES,
        0.5,
    )
    said = judge(two, four, Rules())
    classes = next(each for each in said["rules"] if each["rule"] == "sensitivity")["numbers"]
    assert [each["name"] for each in classes] == ["no_tumour", "tumour"] and said["verdict"] == PASS


def test_same_candidate_gets_the_same_numbers_again():
    assert judge(scored(seed=1), scored(seed=2), Rules()) == judge(scored(seed=1), scored(seed=2), Rules())


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-0.03, 0.1, PASS), (-0.031, 0.1, TOO_FEW), (-0.02, -0.01, PASS), (-0.1, -0.001, FAIL), (np.nan, 0.1, TOO_FEW)],
)
def test_loss_is_judged_by_its_whole_interval(low, high, said):
    assert loss_verdict(low, high, 0.03) == said


@pytest.mark.parametrize("given", [{"auroc_margin": 2}, {"least_scans": 1.5}, {"least_scans": True}, {"nonsense": 1}])
def test_rules_that_make_no_sense_are_refused_by_name(given):
    with pytest.raises(BadRules, match=next(iter(given))):
        Rules.from_dict(given)
    assert Rules.from_dict(Rules().to_dict()) == Rules()
    assert Rules.from_dict({}).calibration_margin == -1.0, "rules of before there was a margin have none"
