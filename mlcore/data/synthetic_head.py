"""A head made of ellipsoids, in the coordinates of a patient: what any section through it shows in four contrasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Half axes of the scalp in mm: left, posterior, head.
HALF_AXES = (74.0, 94.0, 84.0)
CONTRASTS = ("T1", "T1ce", "T2", "FLAIR")
_TISSUES = ("fat", "bone", "fluid", "grey", "white", "eye", "oedema", "ring", "core")
_GREYS = {
    "T1": (2000, 200, 350, 900, 1250, 300, 780, 850, 500),
    "T1ce": (2000, 200, 350, 930, 1270, 320, 780, 2200, 520),
    "T2": (1300, 150, 2200, 1150, 800, 2300, 1700, 1400, 1900),
    "FLAIR": (1200, 150, 250, 1000, 800, 350, 1900, 1700, 900),
}
# By how much of a half axis: edges as soft as a slice of a few millimetres makes them.
_SOFT = 0.02
_NOISE = 18.0
_FOLDS = 90.0


@dataclass(frozen=True)
class Lesion:
    """A ball with a rim and oedema around it: its centre (left, posterior, head) and radius in mm."""

    x: float
    y: float
    z: float
    radius: float


class Head:
    """A head drawn by a seed.

    Attributes
    ----------
    lesion : Lesion or None
        The lesion in it.
    """

    def __init__(self, seed: int, lesion: Lesion | None = None) -> None:
        rng = np.random.default_rng((seed, 1))
        self._seed = seed
        self._axes = np.array(HALF_AXES) * rng.uniform(0.95, 1.04, 3)
        self._waves = rng.uniform(0.12, 0.3, (4, 3)) * rng.choice((-1.0, 1.0), (4, 3))
        self._phases = rng.uniform(0.0, 2.0 * np.pi, 4)
        self._bias = rng.uniform(-0.0008, 0.0008, 3)
        self._ventricle = rng.uniform(0.85, 1.15)
        self.lesion = lesion

    def section(self, contrast: str, points: np.ndarray, noise: tuple[int, int]) -> np.ndarray:
        """Give what a section shows.

        Parameters
        ----------
        contrast : str
            One of `CONTRASTS`.
        points : numpy.ndarray, shape (3, H, W)
            Of each pixel's centre: left, posterior and head in mm from the middle of the head.
        noise : (int, int)
            Which series and which image: the same pair gives the same noise.

        Returns
        -------
        numpy.ndarray, shape (H, W), dtype uint16
            Greys of 12 bits.
        """
        greys = dict(zip(_TISSUES, _GREYS[contrast], strict=True))
        points = points.astype(np.float32)
        image = np.zeros(points.shape[1:], np.float32)
        whole = self._far(points, (0, 0, 0), self._axes)
        folds = self._folds(points)
        for tissue, within in (("fat", 1.0), ("bone", 0.94), ("fluid", 0.895), ("grey", 0.875)):
            _laid(image, greys[tissue], whole / np.float32(within))
        _laid(image, greys["white"], np.maximum((whole + 0.05 * folds) / np.float32(0.77), whole / np.float32(0.86)))
        for side in (-1.0, 1.0):
            _laid(image, greys["fluid"], self._far(points, (13 * side, 2, 8), np.array((7, 30, 13)) * self._ventricle))
            _laid(image, greys["eye"], self._far(points, (31 * side, -72, -28), np.array((12.0, 12.0, 12.0))))
        if self.lesion is not None:
            there = self.lesion
            far = self._far(points, (there.x, there.y, there.z), np.full(3, there.radius))
            for tissue, within in (("oedema", 1.6), ("ring", 1.0), ("core", 0.65)):
                _laid(image, greys[tissue], far / np.float32(within))
        image *= 1.0 + np.tensordot(self._bias.astype(np.float32), points, 1)
        image += np.where(whole < 0.875, folds * (_FOLDS / 4), 0.0)
        rng = np.random.default_rng((self._seed, 2, *noise))
        image += rng.standard_normal(image.shape, np.float32) * np.float32(_NOISE)
        return np.clip(np.rint(np.abs(image)), 0, 4095).astype(np.uint16)

    def lesion_by_lot(self) -> Lesion:
        """Give a lesion in the white matter, at a place that the seed chooses."""
        rng = np.random.default_rng((self._seed, 3))
        x = float(rng.uniform(25, 38) * rng.choice((-1.0, 1.0)))
        return Lesion(x, float(rng.uniform(-35, 35)), float(rng.uniform(0, 30)), float(rng.uniform(9, 15)))

    @staticmethod
    def _far(points: np.ndarray, centre: tuple[float, float, float], axes: np.ndarray) -> np.ndarray:
        """Give how far points are from a centre, in half axes."""
        squares = np.zeros(points.shape[1:], np.float32)
        for along, middle, half in zip(points, centre, axes, strict=True):
            squares += ((along - np.float32(middle)) / np.float32(half)) ** 2
        return np.sqrt(squares)

    def _folds(self, points: np.ndarray) -> np.ndarray:
        """Give waves between about -2 and 2 that run through the head."""
        folds = np.zeros(points.shape[1:], np.float32)
        for wave, phase in zip(self._waves.astype(np.float32), self._phases, strict=True):
            folds += np.sin(np.tensordot(wave, points, 1) + np.float32(phase))
        return folds


def _laid(image: np.ndarray, grey: float, far: np.ndarray) -> None:
    """Lay a tissue over an image where `far` is below 1, with a soft edge."""
    share = np.clip((1.0 - far) / np.float32(_SOFT) + 0.5, 0.0, 1.0)
    image += (np.float32(grey) - image) * share
