import numpy as np
import pytest

from mlcore.novelty import BESIDE, BESIDE_WITHOUT_TEXTURE, TEXTURE, Familiar, describe, fit, texture
from mlcore.preprocess import to_tensor
from tests.mlcore.phantom import head


def heads(seeds: range) -> np.ndarray:
    return np.stack([head(seed, tumour=seed % 2 == 1, side=128) for seed in seeds])


def described(pictures: np.ndarray) -> np.ndarray:
    return describe(to_tensor(pictures, 1), np.zeros((len(pictures), 2, 2, 3), np.float32))


@pytest.fixture(scope="module")
def familiar() -> Familiar:
    return fit(described(heads(range(300))), np.arange(300) % 2, 2)


@pytest.fixture(scope="module")
def limit(familiar) -> float:
    return float(np.quantile(familiar.distances(described(heads(range(300, 400)))), 0.99))


def test_new_heads_are_familiar(familiar, limit):
    assert (familiar.distances(described(heads(range(400, 500)))) > limit).mean() <= 0.05


def turned_in_place(pictures: np.ndarray, side: int) -> np.ndarray:
    """Turn every little square by itself: greys and coarse picture stay, what hangs together does not."""
    count = pictures.shape[1] // side
    squares = pictures.reshape(len(pictures), count, side, count, side)[:, :, ::-1, :, ::-1]
    return np.ascontiguousarray(squares).reshape(pictures.shape)


def test_a_head_whose_little_squares_are_turned_is_not(familiar, limit):
    odd = described(turned_in_place(heads(range(400, 450)), 16))
    assert (familiar.distances(odd) > limit).all()


def test_a_model_of_before_looks_at_the_first_numbers_only(familiar):
    numbers = 6 + BESIDE_WITHOUT_TEXTURE
    older = Familiar(familiar.means[:, :numbers], familiar.precision[:numbers, :numbers])
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
