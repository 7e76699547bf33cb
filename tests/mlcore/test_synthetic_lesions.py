import cv2
import numpy as np
import pytest

from mlcore.training.batches import training_batches
from mlcore.training.synthetic_lesions import draw_lesion
from tests.mlcore.phantom import head


@pytest.fixture(scope="module")
def healthy() -> np.ndarray:
    return np.stack([np.asarray(head(seed, tumour=False, side=128), np.uint8) for seed in range(8)])


def drawn(picture: np.ndarray, seed: int) -> np.ndarray:
    other = draw_lesion(picture, np.random.default_rng(seed))
    assert other is not None
    return other


def test_a_lesion_is_drawn_into_the_head_and_nowhere_else(healthy):
    for seed, picture in enumerate(healthy):
        before = picture.copy()
        other = drawn(picture, seed)
        assert (other.shape, other.dtype) == (picture.shape, np.uint8)
        assert np.array_equal(picture, before)
        apart = np.abs(other.astype(int) - picture)
        # Seen at a glance, of a size that a lesion may have.
        assert 0.002 < (apart > 15).mean() < 0.15
        outline = cv2.convexHull(np.argwhere(picture > 40)[:, ::-1].astype(np.int32))
        inside = cv2.fillConvexPoly(np.zeros_like(picture), outline, 1) == 1
        assert not apart[~inside].any()


def test_the_same_seed_draws_the_same_lesion_and_another_one_another(healthy):
    assert np.array_equal(drawn(healthy[0], 1), drawn(healthy[0], 1))
    assert not np.array_equal(drawn(healthy[0], 1), drawn(healthy[0], 2))


@pytest.mark.parametrize("side", [32, 64, 240])
def test_any_size_of_picture_will_do(side):
    assert drawn(np.asarray(head(1, tumour=False, side=side), np.uint8), 1).shape == (side, side)


@pytest.mark.parametrize("level", [0, 5, 255])
def test_where_nothing_would_stand_out_nothing_is_drawn(level):
    assert draw_lesion(np.full((64, 64), level, np.uint8), np.random.default_rng(1)) is None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_healthy_heads_with_a_drawn_lesion_are_tumours_of_any_type(healthy, share):
    masks = np.array([[1, 0, 0, 0]] * 4 + [[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]], np.float32)
    order = np.tile(np.arange(8), 30)
    batches = training_batches(
        healthy,
        masks,
        np.ones(8, np.float32),
        order,
        level="none",
        channels=1,
        batch_size=8,
        seed=(1, 1),
        lesion_share=share,
    )
    became = np.concatenate([allowed.numpy() for _, allowed, _ in batches])
    given = masks[order]
    was_healthy = given[:, 0] == 1
    assert np.array_equal(became[~was_healthy], given[~was_healthy])
    changed = (became[was_healthy] != given[was_healthy]).any(axis=1)
    assert np.isclose(changed.mean(), share, atol=0.12)
    assert (became[was_healthy][changed] == [0, 1, 1, 1]).all()
