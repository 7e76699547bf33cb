"""Whether an image is like those that the model was trained on.

A confident network is confident about a photograph too. The distance of what it sees to what it saw in training tells
more (Lee et al. 2018, arXiv:1807.03888): the mean and spread of its last feature maps, and beside them, as a network
trained on heads alone has no reason to notice what a head is not, the coarse picture, its edges and its grey values.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_PICTURE, _EDGES, _GREYS = 8, 4, 16
# Numbers beside those of the maps.
BESIDE = _PICTURE**2 + _EDGES**2 + _GREYS
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
        """Give the Mahalanobis distance to the nearest leaf, float64 (N,), for descriptions (N, d)."""
        nearest = np.full(len(described), np.inf)
        for mean in self.means.astype(np.float64):
            apart = described.astype(np.float64) - mean
            nearest = np.minimum(nearest, ((apart @ self.precision.astype(np.float64)) * apart).sum(axis=1))
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
    numpy.ndarray, shape (N, 2 c + 96), dtype float32
        Mean and spread of each map, 8 × 8 mean greys, 4 × 4 mean edges, shares of 16 grey levels.
    """
    rows = []
    for grey in tensors[..., 0]:
        picture = cv2.resize(grey, (_PICTURE, _PICTURE), interpolation=cv2.INTER_AREA)
        edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
        edges = cv2.resize(edges, (_EDGES, _EDGES), interpolation=cv2.INTER_AREA)
        greys = np.histogram(grey, _GREYS, (0.0, 1.0))[0] / grey.size
        rows.append(np.concatenate((picture.ravel(), edges.ravel(), greys)))
    return np.hstack((maps.mean(axis=(1, 2)), maps.std(axis=(1, 2)), np.stack(rows))).astype(np.float32)


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
