import cv2
import numpy as np
import pytest

from mlcore.networks.ood import (
    BESIDE,
    BESIDE_WITHOUT_TEXTURE,
    TEXTURE,
    Detector,
    _logistic,
    describe,
    fit_detector,
    fit_line,
    texture,
)
from mlcore.preprocessing.preprocess import to_tensor
from mlcore.training.ood_samples import drawn
from tests.mlcore.phantom import head


def heads(seeds: range) -> np.ndarray:
    return np.stack([head(seed, tumour=seed % 2 == 1, side=128) for seed in seeds])


def described(pictures: np.ndarray) -> np.ndarray:
    return describe(to_tensor(pictures, 1), np.zeros((len(pictures), 2, 2, 3), np.float32))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return fit_detector(described(heads(range(300))), np.arange(300) % 2, 2)


@pytest.fixture(scope="module")
def limit(detector) -> float:
    return float(np.quantile(detector.distances(described(heads(range(300, 400)))), 0.99))


def test_new_heads_are_familiar(detector, limit):
    assert (detector.distances(described(heads(range(400, 500)))) > limit).mean() <= 0.05


def turned_in_place(pictures: np.ndarray, side: int) -> np.ndarray:
    """Turn every little square by itself: greys and coarse picture stay, what hangs together does not."""
    count = pictures.shape[1] // side
    squares = pictures.reshape(len(pictures), count, side, count, side)[:, :, ::-1, :, ::-1]
    return np.ascontiguousarray(squares).reshape(pictures.shape)


def test_a_head_whose_little_squares_are_turned_is_not(detector, limit):
    odd = described(turned_in_place(heads(range(400, 450)), 16))
    assert (detector.distances(odd) > limit).all()


def test_a_model_of_before_looks_at_the_first_numbers_only(detector):
    numbers = 6 + BESIDE_WITHOUT_TEXTURE
    older = Detector(detector.means[:, :numbers], detector.precision[:numbers, :numbers])
    some = described(heads(range(3)))
    assert some.shape == (3, 6 + BESIDE)
    assert np.array_equal(older.distances(some), older.distances(some[:, :numbers]))


def test_the_texture_of_any_picture_is_of_numbers():
    flat = [np.full((128, 128), value, np.float32) for value in (0.0, 0.5, 1.0)]
    rng = np.random.default_rng(1)
    found = texture(np.stack([*flat, rng.random((128, 128), np.float32)]))
    assert found.shape == (4, TEXTURE)
    assert np.isfinite(found).all()


def test_texture_sees_symmetry_and_direction():
    stripes = np.tile((np.arange(64) // 4 % 2).astype(np.float32), (64, 1))
    half = np.zeros((64, 64), np.float32)
    half[:, :32] = 1.0
    mirrored, lopsided = texture(np.stack([stripes + stripes[:, ::-1], half]))
    assert mirrored[9] == pytest.approx(1.0, abs=1e-5)
    assert lopsided[9] == pytest.approx(-1.0, abs=1e-5)
    assert lopsided[10] == pytest.approx(1.0, abs=1e-5)


@pytest.fixture(scope="module")
def told_apart(detector) -> Detector:
    crops = heads(range(120))
    return fit_line(detector, described(crops), described(drawn(crops, 1)), described(heads(range(300, 400))))


def filled(seeds: range) -> np.ndarray:
    """True outlines and skulls, but inside is the smooth noise that no drawn stranger is made of."""
    made = []
    for seed, picture in zip(seeds, heads(seeds), strict=True):
        rng = np.random.default_rng(seed)
        coarse = rng.uniform(60, 200, (12, 12)).astype(np.float32)
        inside = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
        made.append(np.where(cv2.erode((picture > 0).astype(np.uint8), np.ones((9, 9))) > 0, inside, picture))
    return np.clip(np.stack(made), 0, 255).astype(np.uint8)


def test_who_has_seen_strangers_knows_others_better_and_new_heads_as_well(detector, told_apart):
    validation, new, others = (
        described(p) for p in (heads(range(300, 400)), heads(range(400, 500)), filled(range(60)))
    )
    before, after = (
        (limit, (score(new) > limit).mean(), (score(others) > limit).mean())
        for score in (detector.distances, told_apart.score)
        for limit in [np.quantile(score(validation), 0.99)]
    )
    assert after[1] <= 0.05
    assert after[2] > 0.95
    assert after[2] >= before[2]


def test_strangers_are_drawn_alike_every_time_and_of_any_side():
    for side in (16, 30, 128):
        some = np.stack([head(seed, tumour=True, side=side) for seed in range(5)])
        first, again, other = drawn(some, 1), drawn(some, 1), drawn(some, 2)
        assert (first.shape, first.dtype) == ((64, side, side), np.uint8)
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_drawing_strangers_can_be_broken_off():
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(heads(range(2)), 1, tick=stop)


def test_the_line_is_the_same_whether_numbers_or_pictures_are_many():
    """What holds for each column holds for the columns together, however they are turned."""
    rng = np.random.default_rng(1)
    wide = rng.normal(size=(40, 90))
    strange = (wide[:, :3].sum(axis=1) + rng.normal(size=40) > 0).astype(np.float64)
    found = _logistic(wide, strange)
    # Rows of nought pull at nothing, and make the columns few beside the rows.
    beside = np.vstack((wide, np.zeros((60, 90))))
    assert np.allclose(found, _logistic(beside, np.concatenate((strange, np.full(60, 0.5)))), atol=1e-6)
    assert np.abs(found).max() > 1e-3
