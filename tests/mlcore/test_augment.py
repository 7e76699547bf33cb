import numpy as np
import pytest

from mlcore.training.augment import augment
from tests.mlcore.phantom import head


@pytest.mark.parametrize("level", ["light", "strong"])
def test_augment_is_decided_by_its_seed_alone(level):
    square = head(1, tumour=True)
    first, again, other = (augment(square, level, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.dtype, first.shape) == (np.uint8, square.shape)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_augmentation_leaves_the_image_as_it_is():
    square = head(1, tumour=True)
    assert augment(square, "none", np.random.default_rng(1)) is square


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="unknown"):
        augment(head(1, tumour=True), "wild", np.random.default_rng(1))
