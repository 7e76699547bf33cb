import json

import numpy as np
import pytest
from sklearn import metrics as reference

from mlcore.data.labels import BINARY_LEAVES, LEAVES
from mlcore.measure.calibrate import choose_threshold, fit_temperature, softmax, uncertain_band
from mlcore.measure.evaluate import compare, evaluate, prior_of
from mlcore.measure.metrics import Scored, opinions

RNG = np.random.default_rng(7)


def scored(n: int = 200, *, skill: float = 1.0, seed: int = 1, leaves=LEAVES) -> Scored:
    rng = np.random.default_rng(seed)
    labels = [leaves[k] for k in rng.integers(0, len(leaves), n)]
    logits = rng.normal(0, 1, (n, len(leaves)))
    logits[np.arange(n), [leaves.index(label) for label in labels]] += 2.0 * skill
    return Scored(
        np.round(softmax(logits), 2) / np.round(softmax(logits), 2).sum(axis=1, keepdims=True),
        labels,
        [str(i // 2) for i in range(n)],
        ["one" if i % 3 else "two" for i in range(n)],
        leaves,
        0.5,
    )


def test_every_metric_equals_that_of_scikit_learn():
    case = scored()
    found = {name: m["value"] for name, m in evaluate(case, draws=10)["metrics"].items()}
    called = case.scores >= 0.5
    words = opinions(case.probabilities, LEAVES, 0.5)
    expected = {
        "accuracy": reference.accuracy_score(case.tumour, called),
        "auroc": reference.roc_auc_score(case.tumour, case.scores),
        "auprc": reference.average_precision_score(case.tumour, case.scores),
        "sensitivity": reference.recall_score(case.tumour, called),
        "specificity": reference.recall_score(~case.tumour, ~called),
        "brier": reference.brier_score_loss(case.tumour, case.scores),
        "macro_f1": reference.f1_score(case.labels, words, average="macro"),
        "type_accuracy": reference.accuracy_score(case.labels, words),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-6)


def test_intervals_hold_the_value_and_narrow_with_more_groups():
    small, large = (evaluate(scored(n))["metrics"]["auroc"] for n in (60, 1200))
    for metric in (small, large):
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert large["high"] - large["low"] < 0.6 * (small["high"] - small["low"])


def test_the_calibration_error_of_few_scans_lies_in_its_own_interval():
    """Ten scans at each of five probabilities, and as many tumours as they say: no draw is that well calibrated."""
    said = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    labels = ["tumour" if i % 10 < round(10 * p) else "no_tumour" for i, p in enumerate(said)]
    case = Scored(
        np.stack([1 - said, said], axis=1),
        labels,
        [str(i) for i in range(50)],
        ["one"] * 50,
        ("no_tumour", "tumour"),
        0.5,
    )
    metric = evaluate(case, draws=200)["metrics"]["ece"]
    assert metric["value"] == pytest.approx(0, abs=1e-6)
    assert metric["low"] <= metric["value"] <= metric["high"] < 0.15


def test_the_interval_is_over_groups_and_not_over_images():
    case = scored(100)
    copies = Scored(
        np.tile(case.probabilities, (5, 1)), [*case.labels] * 5, [*case.groups] * 5, [*case.sources] * 5, LEAVES, 0.5
    )
    once, five = (evaluate(each)["metrics"]["accuracy"] for each in (case, copies))
    assert five == once


def test_the_dummy_knows_nothing():
    report = evaluate(scored(), prior=np.array([0.2, 0.4, 0.2, 0.2]))
    assert report["dummy"]["auroc"]["value"] == 0.5
    assert (report["dummy"]["sensitivity"]["value"], report["dummy"]["specificity"]["value"]) == (1.0, 0.0)


def test_the_report_is_json_and_split_by_source():
    report = evaluate(scored())
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert sum(part["n"] for part in report["by_source"].values()) == report["n"]
    assert np.sum(report["confusion"]["counts"]) == report["n"]
    assert report["roc"][0] == [0.0, 0.0]
    assert report["roc"][-1] == [1.0, 1.0]


def test_an_untyped_tumour_counts_for_the_finding_and_not_for_the_types():
    case = scored()
    labels = ["tumour" if label == "glioma" else label for label in case.labels]
    report = evaluate(Scored(case.probabilities, labels, case.groups, case.sources, LEAVES, 0.5), draws=10)
    assert report["per_class"]["glioma"]["sensitivity"]["value"] is None
    assert report["n_tumour"] == sum(label != "no_tumour" for label in labels)
    assert report["confusion"]["truth"][-1] == "tumour"
    assert np.sum(report["confusion"]["counts"]) == len(labels)


def test_a_source_of_one_class_has_no_auroc_but_an_accuracy():
    case = scored(40)
    sources = ["ill" if label != "no_tumour" else "well" for label in case.labels]
    report = evaluate(Scored(case.probabilities, case.labels, case.groups, sources, LEAVES, 0.5), draws=20)
    assert report["by_source"]["ill"]["metrics"]["auroc"]["value"] is None
    assert report["by_source"]["ill"]["metrics"]["accuracy"]["value"] is not None


def test_compare_finds_the_better_and_no_difference_to_oneself():
    good, bad = scored(400, skill=2.0), scored(400, skill=0.3)
    difference = compare(bad, good)["auroc"]
    assert 0 < difference["low"] <= difference["value"] <= difference["high"]
    assert compare(good, good)["auroc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    with pytest.raises(ValueError, match="same images"):
        compare(good, scored(398))


def test_the_temperature_is_found():
    logits = RNG.normal(0, 2, (4000, 4))
    truth = [RNG.choice(4, p=p) for p in softmax(logits)]
    masks = np.eye(4)[truth]
    assert fit_temperature(logits * 3.0, masks) == pytest.approx(3.0, rel=0.1)


def test_the_threshold_parts_the_classes_and_keeps_to_the_middle():
    scores = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    names = [str(i) for i in range(5)]
    assert choose_threshold(scores, scores > 0.5, names) == 0.5
    assert 0.15 < choose_threshold(scores / 2, scores > 0.5, names) < 0.4


def test_forty_slices_of_one_head_do_not_move_the_threshold():
    scores = np.concatenate((np.linspace(0.0, 0.4, 30), np.linspace(0.55, 0.99, 30), np.full(40, 0.7)))
    tumour = np.concatenate((np.zeros(30, bool), np.ones(30, bool), np.zeros(40, bool)))
    groups = [str(i) for i in range(60)] + ["one"] * 40
    assert choose_threshold(scores, tumour, groups) == 0.5
    assert choose_threshold(scores, tumour, [str(i) for i in range(100)]) > 0.6


def test_the_uncertain_band_holds_its_share():
    scores = RNG.uniform(0, 1, 2000)
    low, high = uncertain_band(scores, 0.4, share=0.1)
    assert low < 0.4 < high
    assert ((scores >= low) & (scores <= high)).mean() == pytest.approx(0.1, abs=0.01)


def test_label_and_finding_never_disagree():
    probabilities = np.array([[0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.05, 0.15]])
    assert opinions(probabilities, LEAVES, 0.5) == ["glioma", "no_tumour"]
    assert opinions(probabilities, LEAVES, 0.2) == ["glioma", "pituitary"]


def test_the_prior_shares_untyped_tumours_among_the_types():
    assert prior_of(["no_tumour", "glioma", "tumour", "tumour"], LEAVES).tolist() == [0.25, 0.75, 0, 0]
    assert prior_of(["no_tumour", "glioma", "tumour", "tumour"], BINARY_LEAVES).tolist() == [0.25, 0.75]


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        evaluate(Scored(np.zeros((0, 4)), [], [], [], LEAVES, 0.5))
