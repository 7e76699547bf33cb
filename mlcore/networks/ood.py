"""Whether an image is like those that the model was trained on.

A confident network is confident about a photograph too. The distance of what it sees to what it saw in training tells
more (Lee et al. 2018, arXiv:1807.03888): the mean and spread of its last feature maps, and beside them, as a network
trained on heads alone has no reason to notice what a head is not, the coarse picture, its edges and its grey values,
and the statistics of its texture: a photograph differs from a slice in how its detail is spread over sizes,
directions and places (Torralba & Oliva 2003, Network 14:391).

To the distance comes a second witness that has seen pictures of other things: a line between the descriptions of
heads and those of drawn pictures (`mlcore.training.ood_samples`). A photograph in the outline of a head is near to
heads in most of its numbers, which hides it from the distance, but not in those that the line goes by.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

_PICTURE, _EDGES, _GREYS = 8, 4, 16
# Numbers beside those of the maps, in models of before the texture was looked at; they are the first of all.
BESIDE_WITHOUT_TEXTURE = _PICTURE**2 + _EDGES**2 + _GREYS
_SIDE, _PLACES, _DIRECTIONS = 64, 6, 8
# Ends of the bands of the spectrum, in waves a side.
_BANDS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 17.0, 23.0, 32.0)
_STRENGTHS = (50, 75, 90, 97)
# Bands, similarity to both mirror images, corners, dark share, local spread, directions, strengths, sparseness, mean.
TEXTURE = len(_BANDS) + 2 + 4 + 1 + _PLACES**2 + _DIRECTIONS + len(_STRENGTHS) + 2
BESIDE = BESIDE_WITHOUT_TEXTURE + TEXTURE
_SHRINKAGE = 0.05
# Numbers further than this from their mean count as this far, so that none speaks louder than all others.
_FURTHEST = 6.0
_RIDGE, _ROUNDS = 30.0, 20


@dataclass(frozen=True)
class Detector:
    """What the training images look like.

    Attributes
    ----------
    means : numpy.ndarray, shape (leaves, d), dtype float32
        Mean description by leaf.
    precision : numpy.ndarray, shape (d, d), dtype float32
        Inverse of the covariance that all leaves share.
    line : numpy.ndarray or None, shape (4, d), dtype float32
        What tells heads from other pictures: mean and spread of each number over heads, and its weights by itself and
        by its square. None in models of before such pictures were drawn.
    scale : numpy.ndarray or None, shape (5,), dtype float32
        Offset of the line, then mean and spread of the distance and of the line's answer over the validation part.
    """

    means: np.ndarray
    precision: np.ndarray
    line: np.ndarray | None = None
    scale: np.ndarray | None = None

    def score(self, described: np.ndarray) -> np.ndarray:
        """Give how unlike the training images descriptions (N, d or more) are, float64 (N,).

        The sum of what both witnesses say, each in spreads above the mean of the validation part; the distance alone
        in models of before such pictures were drawn.
        """
        apart = self.distances(described)
        if self.line is None or self.scale is None:
            return apart
        _, middle, spread, between, wide = (float(each) for each in self.scale)
        return (apart - middle) / spread + (self._beyond(described) - between) / wide

    def _beyond(self, described: np.ndarray) -> np.ndarray:
        """Give the log odds that a picture is out of distribution, float64 (N,)."""
        assert self.line is not None and self.scale is not None
        mean, spread, weights, squared = self.line.astype(np.float64)
        numbers = np.clip((described.astype(np.float64) - mean) / spread, -_FURTHEST, _FURTHEST)
        return np.asarray(numbers @ weights + (numbers * numbers / 2.0 - 0.5) @ squared + float(self.scale[0]))

    def distances(self, described: np.ndarray) -> np.ndarray:
        """Give the Mahalanobis distance to the nearest leaf, float64 (N,), for descriptions (N, d or more).

        A model of before the texture was looked at knows the first numbers of a description only.
        """
        middle, apart, precision, towards, between = self._at_hand
        known = described[:, : len(middle)].astype(np.float64) - middle
        # One product for all leaves: (y - m) P (y - m) = y P y - 2 y P m + m P m.
        own = ((known @ precision) * known).sum(axis=1)
        nearest = (own[:, None] - 2.0 * (known @ towards) + between).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(nearest, 0.0)))

    @cached_property
    def _at_hand(self) -> tuple[np.ndarray, ...]:
        """Give the middle of the means, the means from there (d, leaves), and P, P m and m P m, in float64."""
        means, precision = self.means.astype(np.float64), self.precision.astype(np.float64)
        middle = means.mean(axis=0)
        apart = (means - middle).T
        # Inverted by hand it is symmetric but for rounding.
        precision = (precision + precision.T) / 2.0
        towards = precision @ apart
        return middle, apart, precision, towards, (apart * towards).sum(axis=0)


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
        level = np.minimum((grey * np.float32(_GREYS)).astype(np.int64), _GREYS - 1)
        greys = np.bincount(level.ravel(), minlength=_GREYS) / grey.size
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
    smalls = np.stack([cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for grey in greys])
    centred = smalls - smalls.mean(axis=(1, 2), keepdims=True)
    power = np.square(np.abs(np.fft.rfft2(centred * _FADE))).reshape(len(smalls), -1)
    slopes = [cv2.cartToPolar(cv2.Sobel(s, cv2.CV_32F, 1, 0), cv2.Sobel(s, cv2.CV_32F, 0, 1)) for s in smalls]
    strengths = np.stack([strength for strength, _ in slopes])
    quantiles = np.percentile(strengths.reshape(len(smalls), -1), _STRENGTHS, axis=1).T
    rows = [
        np.concatenate((np.log(_RINGS @ power[i] + 1e-4), _texture(smalls[i], centred[i], slopes[i], quantiles[i])))
        for i in range(len(smalls))
    ]
    return np.stack(rows).astype(np.float32)


def _spectrum_rings() -> np.ndarray:
    """Give float32 (bands, 64 · 33): 1 / size of a band for each member of the half spectrum."""
    down, across = np.fft.fftfreq(_SIDE) * _SIDE, np.fft.rfftfreq(_SIDE) * _SIDE
    waves = np.hypot(down[:, None], across[None]).ravel()
    band = np.digitize(waves, _BANDS)
    rings = np.stack([band == k for k in range(len(_BANDS))]).astype(np.float32)
    return np.asarray(rings / rings.sum(axis=1, keepdims=True))


_RINGS = _spectrum_rings()
_FADE = np.outer(np.hanning(_SIDE), np.hanning(_SIDE)).astype(np.float32)


def _texture(
    small: np.ndarray, centred: np.ndarray, slope: tuple[np.ndarray, np.ndarray], quantiles: np.ndarray
) -> np.ndarray:
    """Give the numbers after those of the spectrum, of one picture (_SIDE, _SIDE)."""
    strength, angle = slope
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
    direction = np.minimum((angle % np.pi) * (_DIRECTIONS / np.pi), _DIRECTIONS - 1).astype(np.int64)
    directions = np.bincount(direction.ravel(), strength.ravel(), _DIRECTIONS)
    total = float(strength.sum())
    detail = np.square(cv2.Laplacian(small, cv2.CV_32F))
    sparse = np.log(float((detail * detail).mean()) + 1e-9) - 2.0 * np.log(float(detail.mean()) + 1e-6)
    return np.concatenate(
        (
            mirrors,
            corners,
            [float((small < 0.04).mean())],
            cv2.resize(local, (_PLACES, _PLACES), interpolation=cv2.INTER_AREA).ravel(),
            directions / (total + 1e-6),
            quantiles,
            [sparse, np.log(total / strength.size + 1e-4)],
        )
    )


def fit_detector(described: np.ndarray, leaf: np.ndarray, leaves: int) -> Detector:
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
    Detector
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
    return Detector(means.astype(np.float32), precision.astype(np.float32))


def fit_line(detector: Detector, heads: np.ndarray, samples: np.ndarray, held: np.ndarray) -> Detector:
    """Add the line between heads and other pictures: a logistic regression on each number and its square.

    Parameters
    ----------
    detector : Detector
        By `fit_detector`.
    heads, samples : numpy.ndarray, shapes (N, d) and (M, d)
        Descriptions of the training part, and of `mlcore.training.ood_samples.drawn`.
    held : numpy.ndarray, shape (K, d)
        Descriptions of the validation part: by them the two witnesses are brought to one scale.

    Returns
    -------
    Detector
        With `line` and `scale`.
    """
    mean, spread = heads.mean(axis=0, dtype=np.float64), heads.std(axis=0, dtype=np.float64)
    spread = np.maximum(spread, max(1e-3 * float(spread.max()), 1e-6))
    both = np.clip((np.concatenate((heads, samples)) - mean) / spread, -_FURTHEST, _FURTHEST)
    columns = np.hstack((both, both * both / 2.0 - 0.5, np.ones((len(both), 1))))
    strange = np.repeat((0.0, 1.0), (len(heads), len(samples)))
    found = _logistic(columns, strange)
    numbers = len(mean)
    line = np.stack((mean, spread, found[:numbers], found[numbers:-1])).astype(np.float32)
    half = dataclasses.replace(detector, line=line, scale=np.array([found[-1], 0, 1, 0, 1], np.float32))
    scale = [found[-1]]
    for answers in (half.distances(held), half._beyond(held)):
        scale += [float(answers.mean()), max(float(answers.std()), 1e-6)]
    return dataclasses.replace(half, scale=np.array(scale, np.float32))


def _logistic(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Fit by Newton's steps, each weight pulled towards none (Hoerl & Kennard 1970, Technometrics 12:55)."""
    if columns.shape[1] > len(columns):
        # The weights that are wanted lie in the span of the rows: what a network of two thousand maps says of a
        # thousand pictures is turned into a thousand columns first, and minutes become seconds.
        turned, rest = np.linalg.qr(columns.T)
        return np.asarray(turned @ _logistic(rest.T, wanted))
    weights = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        odds = 1.0 / (1.0 + np.exp(-np.clip(columns @ weights, -30.0, 30.0)))
        bend = columns.T @ (columns * (odds * (1.0 - odds) + 1e-9)[:, None])
        bend[np.diag_indices_from(bend)] += _RIDGE
        step = np.linalg.solve(bend, columns.T @ (odds - wanted) + _RIDGE * weights)
        weights -= step
        if np.abs(step).max() < 1e-4:
            break
    return weights
