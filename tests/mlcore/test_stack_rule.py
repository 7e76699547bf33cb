"""The opinion on a stack, from those on its images."""

import json

import numpy as np
import pytest

from mlcore.data.labels import LEAVES
from mlcore.images.decoded import Refused
from mlcore.model.spec import ModelSpec, SpecDamaged
from mlcore.serving.stack_rule import ImageOpinion, opinion_of_stack


def spec(**more):
    return ModelSpec("toy", "seed_cnn", 16, 3, LEAVES, "1", threshold=0.5, **more)


def image(p, *warnings, leaf="glioma"):
    vector = np.zeros(len(LEAVES))
    vector[LEAVES.index("no_tumour")], vector[LEAVES.index(leaf)] = 1 - p, p
    return ImageOpinion(vector, p, warnings)


def test_mean_of_the_most_suspicious_consecutive_images_decides():
    scores = [0.1, 0.9, 0.1, 0.1, 0.6, 0.7, 0.8, 0.2]
    found = opinion_of_stack([image(p) for p in scores], spec())
    assert found.tumour_probability == pytest.approx(0.7)
    assert (found.label, found.finding, found.peak) == ("glioma", "tumour", 6)
    assert found.profile == tuple(scores)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_lone_suspicious_image_does_not_call_a_tumour():
    found = opinion_of_stack([image(p) for p in (0.05, 0.05, 0.99, 0.05, 0.05)], spec())
    assert found.finding == "no_tumour" and found.peak == 2
    assert opinion_of_stack([image(p) for p in (0.05, 0.99, 0.05)], spec(stack_window=1)).finding == "tumour"


def test_images_that_show_too_little_or_are_strange_carry_nothing_and_part_nothing():
    images = [
        Refused("empty"),
        image(0.9),
        Refused("empty"),
        image(0.8),
        image(1.0, "out_of_distribution"),
        image(0.7),
    ]
    found = opinion_of_stack(images, spec())
    assert found.profile == (None, 0.9, None, 0.8, None, 0.7)
    assert found.tumour_probability == pytest.approx(0.8) and found.peak == 1


def test_stack_of_strange_images_only_gets_an_opinion_that_says_so():
    found = opinion_of_stack([image(0.9, "out_of_distribution")] * 4, spec())
    assert "out_of_distribution" in found.warnings and found.profile == (0.9,) * 4


def test_stack_without_any_usable_image_is_refused_for_the_commonest_reason():
    found = opinion_of_stack([Refused("empty"), Refused("damaged"), Refused("empty")], spec())
    assert isinstance(found, Refused) and found.code == "empty"


def test_stack_shorter_than_the_window_uses_all():
    assert opinion_of_stack([image(0.4), image(0.8)], spec()).tumour_probability == pytest.approx(0.6)


def test_warnings_are_those_of_the_images_that_decide():
    images = [image(0.1, "several_heads"), image(0.9, "low_quality", "first_frame"), image(0.9), image(0.9)]
    assert opinion_of_stack(images, spec()).warnings == ("low_quality", "not_measured_on_stacks")
    assert opinion_of_stack(images, spec(stack_measured="a study")).warnings == ("low_quality",)
    unsure = opinion_of_stack([image(0.5)] * 3, spec(uncertain=(0.4, 0.6)))
    assert "uncertain" in unsure.warnings


def test_threshold_of_stacks_is_their_own():
    images = [image(0.6)] * 3
    assert opinion_of_stack(images, spec()).finding == "tumour"
    assert opinion_of_stack(images, spec(stack_threshold=0.7)).finding == "no_tumour"


def test_spec_without_a_rule_is_written_as_before_there_was_one():
    plain, ruled = spec(), spec(stack_window=5, stack_threshold=0.3, stack_measured="a study")
    assert not [name for name in json.loads(plain.to_json()) if name.startswith("stack")]
    assert ModelSpec.from_json(plain.to_json()) == plain and ModelSpec.from_json(ruled.to_json()) == ruled
    for wrong in ({"stack_window": 0}, {"stack_threshold": 1.5}):
        with pytest.raises(SpecDamaged):
            spec(**wrong)
