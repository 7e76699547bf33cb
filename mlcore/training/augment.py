"""Random changes to a cropped head that must not change the opinion, and that break the shortcuts of public sets.

Sharpness, size and compression of a file say from which hospital it came, and so, in public sets, what is on it.
Random re-sampling and re-compression make them worthless as clues.
"""

from __future__ import annotations

import cv2
import numpy as np

LEVELS = ("none", "light", "strong")


def augment(square: np.ndarray, level: str, rng: np.random.Generator) -> np.ndarray:
    """Change one image at random.

    Parameters
    ----------
    square : numpy.ndarray, shape (s, s), dtype uint8
        A cropped head.
    level : str
        `none`; `light` (flip, rotation 10°, shift, brightness); `strong` (also scale, shear, contrast, gamma, uneven
        coil, blur, noise, re-sampling, JPEG re-compression).
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    numpy.ndarray, shape (s, s), dtype uint8
        The changed image.

    Raises
    ------
    ValueError
        For an unknown level.
    """
    if level == "none":
        return square
    if level == "light":
        return _tones(_moved(square, rng, turn=10.0, scale=0.0, shift=0.06, shear=0.0), rng, 0.15, 0.0)
    if level != "strong":
        raise ValueError(f"The augmentation {level!r} is unknown; known are {', '.join(LEVELS)}.")
    image = _moved(square, rng, turn=20.0, scale=0.15, shift=0.08, shear=0.08)
    if rng.random() < 0.5:
        image = _resampled(image, rng)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2)))
    if rng.random() < 0.3:
        image = _shaded(image, rng)
    image = _tones(image, rng, 0.25, 0.35)
    if rng.random() < 0.25:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(2.0, 10.0))
        image = np.clip(image + noise, 0.0, 255.0).astype(np.uint8)
    if rng.random() < 0.5:
        image = _recompressed(image, int(rng.integers(35, 96)))
    return np.asarray(image, dtype=np.uint8)


def _shaded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighten and darken by a smooth field, as a receive coil does."""
    coarse = rng.uniform(0.7, 1.3, (4, 4)).astype(np.float32)
    field = cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(image * field, 0.0, 255.0).astype(np.uint8)


def _recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Pass the image through JPEG."""
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _moved(
    square: np.ndarray, rng: np.random.Generator, *, turn: float, scale: float, shift: float, shear: float
) -> np.ndarray:
    """Flip, turn (degrees), scale and shear (shares), shift (shares of the side)."""
    side = square.shape[0]
    angle = np.deg2rad(rng.uniform(-turn, turn))
    zoom = float(np.exp(rng.uniform(-scale, scale)))
    stretch = float(np.exp(rng.uniform(-scale, scale) / 3.0))
    lean = rng.uniform(-shear, shear)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = zoom * turned @ np.array([[mirror * stretch, lean], [0.0, 1.0 / stretch]])
    centre = np.full(2, (side - 1) / 2.0)
    offset = centre + rng.uniform(-shift, shift, 2) * side - matrix @ centre
    return cv2.warpAffine(
        square, np.hstack((matrix, offset[:, None])), (side, side), flags=cv2.INTER_LINEAR, borderValue=0
    )


def _tones(image: np.ndarray, rng: np.random.Generator, reach: float, gamma: float) -> np.ndarray:
    """Change brightness and contrast by up to `reach`, and the gamma by up to e to the power of `gamma`."""
    levels = np.arange(256, dtype=np.float32) / 255.0
    levels = levels ** float(np.exp(rng.uniform(-gamma, gamma)))
    levels = (levels - 0.5) * float(rng.uniform(1.0 - reach, 1.0 + reach)) + 0.5
    levels = levels * float(rng.uniform(1.0 - reach, 1.0 + reach / 2))
    table = np.rint(np.clip(levels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return table[image]


def _resampled(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make the image smaller and large again, by random methods."""
    side = image.shape[0]
    ways = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
    small = max(8, int(side * rng.uniform(0.45, 0.95)))
    there = cv2.resize(image, (small, small), interpolation=ways[int(rng.integers(0, 3))])
    return cv2.resize(there, (side, side), interpolation=ways[int(rng.integers(1, 4))])
