"""Drawn lesions in healthy heads, so that a network cannot tell a tumour by how the scan was taken.

In public sets the scans with a tumour are mostly of one sequence with contrast medium, the healthy ones of many. A
network that goes by the sequence is right there and nowhere else: a ball drawn into a healthy T2 image leaves it calm.
Networks that learned from drawn lesions in healthy organs find true ones (Hu et al. 2023, arXiv:2303.14869).
"""

from __future__ import annotations

import cv2
import numpy as np

# Radius, in shares of the side.
_SMALLEST, _LARGEST = 0.06, 0.17
# How much a lesion must differ from the tissue around it, in shares of the head's range, and in grey levels.
_LEAST_CONTRAST, _LEAST_LEVELS = 0.15, 10.0
# Darker is air or bone.
_TISSUE = 20


def draw_lesion(square: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Draw a lesion into a head.

    Parameters
    ----------
    square : numpy.ndarray, shape (s, s), dtype uint8
        A cropped head.
    rng : numpy.random.Generator
        Decides place, size, shape and look: solid, ring or uneven, bright or dark, with a halo or without.

    Returns
    -------
    numpy.ndarray, shape (s, s), dtype uint8, or None
        The head with the lesion; None where there is no tissue that it would stand out from.
    """
    side, head = square.shape[0], _head(square)
    found = np.flatnonzero(_within(head, side // 12))
    if len(found) == 0:
        return None
    place = divmod(int(found[int(rng.integers(len(found)))]), side)
    radius = side * float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    far = _distance(side, place, radius, rng)
    tissue, beside = square[square > _TISSUE], square[(far > 1.0) & (far < 1.5)]
    around = float(np.median(beside)) if len(beside) else 0.0
    grey = _grey(tissue, around, rng)
    if grey is None:
        return None
    image, inside = square.astype(np.float32), _within(head, side // 16)
    if rng.random() < 0.5:
        image += _halo(far, rng) * inside * np.float32(np.ptp(tissue))
    filled = _filled(far, around, grey, rng)
    softness, share = float(rng.uniform(0.05, 0.35)), float(rng.uniform(0.7, 1.0))
    lesion = share * np.clip((1.0 - far) / softness, 0.0, 1.0) * inside
    return np.clip(np.rint(lesion * filled + (1.0 - lesion) * image), 0, 255).astype(np.uint8)


def _head(square: np.ndarray) -> np.ndarray:
    """Give where the head is, its dark places among it: uint8 (s, s), 0 or 1."""
    bright = (cv2.blur(square, (7, 7)) > _TISSUE).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), np.uint8)


def _within(head: np.ndarray, margin: int) -> np.ndarray:
    """Give what of the head lies further than so many pixels from its edge, and from that of the picture."""
    square = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.erode(head, square, iterations=max(1, margin), borderValue=0), np.uint8)


def _distance(side: int, place: tuple[int, int], radius: float, rng: np.random.Generator) -> np.ndarray:
    """Give how far each pixel is from the middle, float32 (side, side): 1 at the lesion's stretched, uneven edge."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    y, x = y - place[0], x - place[1]
    turn = float(rng.uniform(0.0, np.pi))
    u = x * np.cos(turn) + y * np.sin(turn)
    v = (y * np.cos(turn) - x * np.sin(turn)) / float(rng.uniform(0.55, 1.0))
    angle, uneven = np.arctan2(v, u), np.ones((side, side), np.float32)
    for wave in range(2, 7):
        strength, phase = float(rng.normal(0.0, 0.12)) / (wave - 1) ** 0.5, float(rng.uniform(0.0, 2.0 * np.pi))
        uneven += strength * np.cos(wave * angle + phase)
    return np.asarray(np.hypot(u, v) / (radius * np.maximum(uneven, 0.4)), np.float32)


def _grey(tissue: np.ndarray, around: float, rng: np.random.Generator) -> float | None:
    """Choose a grey that this head has elsewhere and that stands out here, bright three times in four."""
    if len(tissue) == 0:
        return None
    low, high = np.percentile(tissue, (2.0, 99.0))
    least = max(_LEAST_CONTRAST * float(high - low), _LEAST_LEVELS)
    for _ in range(8):
        rank = rng.uniform(70.0, 99.5) if rng.random() < 0.75 else rng.uniform(2.0, 35.0)
        grey = float(np.percentile(tissue, rank))
        if abs(grey - around) >= least:
            return grey
    return None


def _halo(far: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give what an oedema adds or takes away, in shares of the head's range."""
    reach = float(rng.uniform(1.4, 2.2))
    strength = float(rng.uniform(0.1, 0.3)) * (1.0 if rng.random() < 0.5 else -1.0)
    return np.asarray(np.clip((reach - far) / (reach - 1.0), 0.0, 1.0) * strength, np.float32)


def _filled(far: np.ndarray, around: float, grey: float, rng: np.random.Generator) -> np.ndarray:
    """Give the greys of the lesion: solid, with another core, or uneven."""
    side, contrast, kind = far.shape[0], grey - around, rng.random()
    filled = np.full(far.shape, grey, np.float32)
    if kind < 0.35:
        inner = around + contrast * float(rng.uniform(-0.6, 0.4))
        filled[far < float(rng.uniform(0.4, 0.8))] = inner
    elif kind > 0.6:
        uneven = float(rng.uniform(0.3, 0.8)) * abs(contrast)
        filled += _clouds(side, int(rng.integers(8, 24)), rng) * uneven
    return np.asarray(filled + _clouds(side, 32, rng) * 6.0, np.float32)


def _clouds(side: int, grains: int, rng: np.random.Generator) -> np.ndarray:
    """Give smooth noise about 0, with a spread of about 1 and so many grains a side."""
    coarse = rng.normal(0.0, 1.0, (grains, grains)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
