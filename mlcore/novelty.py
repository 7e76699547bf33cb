"""Whether an image is like those that the model was trained on.

A confident network is confident about a photograph too. The distance of what it sees to what it saw in training tells
more (Lee et al. 2018, arXiv:1807.03888): the mean and spread of its last feature maps, and beside them, as a network
trained on heads alone has no reason to notice what a head is not, the coarse picture, its edges and its grey values,
and the statistics of its texture: a photograph differs from a slice in how its detail is spread over sizes,
directions and places (Torralba & Oliva 2003, Network 14:391).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_PICTURE, _EDGES, _GREYS = 8, 4, 16
# Numbers beside those of the maps, in models of before the texture was looked at; they are the first of all.
BESIDE_WITHOUT_TEXTURE = _PICTURE**2 + _EDGES**2 + _GREYS
_SIDE, _PLACES, _DIRECTIONS = 64, 6, 8
# Ends of the bands of the spectrum, in waves a side.
_BANDS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 17.0, 23.0, 32.0)
_STRENGTHS = (50, 75, 90, 97)
# Bands, likeness to both mirror images, corners, dark share, local spread, directions, strengths, sparseness, mean.
TEXTURE = len(_BANDS) + 2 + 4 + 1 + _PLACES**2 + _DIRECTIONS + len(_STRENGTHS) + 2
BESIDE = BESIDE_WITHOUT_TEXTURE + TEXTURE
_SHRINKAGE = 0.05


@dataclass(frozen=True)
class Familiar:
    """What the training images look like.

    Attributes
    ----------
    means : numpy.ndarray, shape (leaves, d), dtype float32
        Mean description by leaf.
    precision : numpy.ndarray, shape (d, d), dtype float32
        Inverse of the covariance that all leaves share.
    """

    means: np.ndarray
    precision: np.ndarray

    def distances(self, described: np.ndarray) -> np.ndarray:
        """Give the Mahalanobis distance to the nearest leaf, float64 (N,), for descriptions (N, d or more).

        A model of before the texture was looked at knows the first numbers of a description only.
        """
        known = described[:, : self.means.shape[1]].astype(np.float64)
        apart = known[:, None] - self.means.astype(np.float64)
        # One product for all leaves.
        stretched = (apart.reshape(-1, apart.shape[-1]) @ self.precision.astype(np.float64)).reshape(apart.shape)
        nearest = (stretched * apart).sum(axis=-1).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(nearest, 0.0)))


def describe(tensors: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Describe images for the comparison.

    Parameters
    ----------
    tensors : numpy.ndarray, shape (N, s, s, channels), dtype float32
        The network's input, 0 to 1.
    maps : numpy.ndarray, shape (N, h, w, c), dtype float32
        Its last feature maps.

    Returns
    -------
    numpy.ndarray, shape (N, 2 c + BESIDE), dtype float32
        Mean and spread of each map, 8 × 8 mean greys, 4 × 4 mean edges, shares of 16 grey levels; then of the
        picture at 64 × 64 the numbers of `texture`.
    """
    rows = []
    for grey in tensors[..., 0]:
        picture = cv2.resize(grey, (_PICTURE, _PICTURE), interpolation=cv2.INTER_AREA)
        edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
        edges = cv2.resize(edges, (_EDGES, _EDGES), interpolation=cv2.INTER_AREA)
        greys = np.histogram(grey, _GREYS, (0.0, 1.0))[0] / grey.size
        rows.append(np.concatenate((picture.ravel(), edges.ravel(), greys)))
    beside = (np.stack(rows), texture(tensors[..., 0]))
    return np.hstack((maps.mean(axis=(1, 2)), maps.std(axis=(1, 2)), *beside)).astype(np.float32)


def texture(greys: np.ndarray) -> np.ndarray:
    """Describe how detail is spread over sizes, directions and places.

    Parameters
    ----------
    greys : numpy.ndarray, shape (N, s, s), dtype float32
        Pictures from 0 to 1.

    Returns
    -------
    numpy.ndarray, shape (N, TEXTURE), dtype float32
        Log power in nine bands of the spectrum, correlation with the two mirror images, mean grey of the four corners,
        dark share, local spread at 6 × 6 places, shares of eight directions of edges, quantiles of their strength, how
        sparse the detail is, and the log of the mean strength.
    """
    return np.stack([_texture(grey) for grey in greys]).astype(np.float32)


def _spectrum_rings() -> np.ndarray:
    """Give float32 (bands, 64 · 33): 1 / size of a band for each member of the half spectrum."""
    down, across = np.fft.fftfreq(_SIDE) * _SIDE, np.fft.rfftfreq(_SIDE) * _SIDE
    waves = np.hypot(down[:, None], across[None]).ravel()
    band = np.digitize(waves, _BANDS)
    rings = np.stack([band == k for k in range(len(_BANDS))]).astype(np.float32)
    return np.asarray(rings / rings.sum(axis=1, keepdims=True))


_RINGS = _spectrum_rings()
_FADE = np.outer(np.hanning(_SIDE), np.hanning(_SIDE)).astype(np.float32)


def _texture(grey: np.ndarray) -> np.ndarray:
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    centred = small - small.mean()
    power = np.square(np.abs(np.fft.rfft2(centred * _FADE))).ravel()
    whole = float((centred * centred).sum())
    # A picture of one value is its own mirror image.
    mirrors = [
        float((centred * turned).sum()) / whole if whole > 1e-3 else 1.0
        for turned in (centred[:, ::-1], centred[::-1])
    ]
    edge = _SIDE // 12
    ends = (slice(None, edge), slice(-edge, None))
    corners = [float(small[down, across].mean()) for down in ends for across in ends]
    blurred = cv2.blur(small, (5, 5))
    local = np.sqrt(np.maximum(cv2.blur(small * small, (5, 5)) - blurred * blurred, 0.0))
    strength, angle = cv2.cartToPolar(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    direction = np.minimum((angle % np.pi) * (_DIRECTIONS / np.pi), _DIRECTIONS - 1).astype(np.int64)
    directions = np.bincount(direction.ravel(), strength.ravel(), _DIRECTIONS)
    total = float(strength.sum())
    detail = np.square(cv2.Laplacian(small, cv2.CV_32F))
    sparse = np.log(float((detail * detail).mean()) + 1e-9) - 2.0 * np.log(float(detail.mean()) + 1e-6)
    return np.concatenate(
        (
            np.log(_RINGS @ power + 1e-4),
            mirrors,
            corners,
            [float((small < 0.04).mean())],
            cv2.resize(local, (_PLACES, _PLACES), interpolation=cv2.INTER_AREA).ravel(),
            directions / (total + 1e-6),
            np.percentile(strength, _STRENGTHS),
            [sparse, np.log(total / strength.size + 1e-4)],
        )
    )


def fit(described: np.ndarray, leaf: np.ndarray, leaves: int) -> Familiar:
    """Fit one Gaussian a leaf with a shared covariance.

    Parameters
    ----------
    described : numpy.ndarray, shape (N, d)
        Descriptions of the training part.
    leaf : numpy.ndarray, shape (N,), dtype int
        Leaf of each.
    leaves : int
        Number of leaves; one without items gets the mean of all.

    Returns
    -------
    Familiar
        With the correlation shrunk by a twentieth towards none, as numbers are many and may be idle.
    """
    described = described.astype(np.float64)
    means = np.stack(
        [described[leaf == k].mean(axis=0) if np.any(leaf == k) else described.mean(axis=0) for k in range(leaves)]
    )
    spread = described.std(axis=0)
    # An idle number must not turn its first stir into an infinite distance.
    spread = np.maximum(spread, max(1e-3 * float(spread.max()), 1e-6))
    apart = (described - means[leaf]) / spread
    covariance = apart.T @ apart / max(len(described) - leaves, 1)
    level = max(float(np.trace(covariance)) / len(covariance), 1e-6)
    shrunk = (1.0 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(len(covariance))
    precision = np.linalg.inv(shrunk) / np.outer(spread, spread)
    return Familiar(means.astype(np.float32), precision.astype(np.float32))
