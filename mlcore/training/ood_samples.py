"""Pictures that are no MRI of a head, drawn: what the detector of such pictures learns from beside the true heads.

A detector that has seen such pictures of any kind knows others better than one that has seen none (outlier exposure,
Hendrycks et al. 2019, arXiv:1812.04606). Photographs cannot be drawn, but what makes them photographs can: things that
hide one another (dead leaves, Lee, Mumford & Huang 2001, Int J Comput Vis 41:35) and a power that falls with frequency
(Field 1987, J Opt Soc Am A 4:2379). Most are put into the outline of a head, as outside it everything is easy to tell.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from mlcore.training.crops import CropFile

MOST = 4000  # pictures
FEWEST = 64


def drawn(heads: np.ndarray | CropFile, seed: int, *, tick: Callable[[], None] = lambda: None) -> np.ndarray:
    """Draw pictures, as many as there are heads within `FEWEST` and `MOST`.

    Parameters
    ----------
    heads : numpy.ndarray or CropFile, shape (N, s, s), dtype uint8
        Cropped heads of the training part: outlines and pieces are taken from them.
    seed : int
        Decides everything.
    tick : callable
        Called after every few pictures; may raise to stop.

    Returns
    -------
    numpy.ndarray, shape (M, s, s), dtype uint8
        What `mlcore.preprocessing.preprocess.crop` could have given.
    """
    rng = np.random.default_rng((seed, len(heads)))
    side = heads.shape[1]
    made = np.empty((min(max(len(heads), FEWEST), MOST), side, side), np.uint8)
    for i in range(len(made)):
        head = heads[int(rng.integers(len(heads)))]
        made[i] = _KINDS[int(rng.integers(len(_KINDS)))](rng, head)
        if i % 16 == 0:
            tick()
    return made


def _field(rng: np.random.Generator, side: int) -> np.ndarray:
    """A random picture whose power falls with frequency, float32 (side, side) of spread 1."""
    stretch = rng.uniform(0.6, 1.6)
    waves = np.hypot(np.fft.fftfreq(side)[:, None] * stretch, np.fft.rfftfreq(side)[None])
    waves[0, 0] = 1.0 / side
    power = waves ** -rng.uniform(0.6, 2.2)
    made = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * power, (side, side))
    return np.asarray((made - made.mean()) / max(float(made.std()), 1e-9), np.float32)


def _leaves(rng: np.random.Generator, side: int) -> np.ndarray:
    """Discs, ovals and polygons that hide one another, with a texture and a light from one side; float32."""
    picture = np.zeros((side, side), np.float32)
    unit = side / 128.0
    for _ in range(int(rng.integers(8, 120))):
        reach = float(np.clip(rng.pareto(1.5) * 4.0 + 3.0, 3.0, 77.0)) * unit
        at, grey = rng.uniform(0, side, 2), float(rng.uniform(0, 255))
        middle, kind = (int(at[0]), int(at[1])), int(rng.integers(3))
        if kind == 0:
            cv2.circle(picture, middle, round(reach), grey, -1, cv2.LINE_AA)
        elif kind == 1:
            axes = (round(reach), round(reach * rng.uniform(0.2, 1.0)))
            cv2.ellipse(picture, middle, axes, float(rng.uniform(0, 180)), 0, 360, grey, -1, cv2.LINE_AA)
        else:
            turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = np.column_stack((np.cos(turns), np.sin(turns))) * reach + at
            cv2.fillPoly(picture, [corners.astype(np.int32)], grey, cv2.LINE_AA)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    lit = (x * rng.normal() + y * rng.normal()) * 60.0 + _field(rng, side) * rng.uniform(0, 25)
    return np.asarray(cv2.GaussianBlur((picture + lit).astype(np.float32), (0, 0), float(rng.uniform(0.3, 1.5))))


def _stretched(picture: np.ndarray) -> np.ndarray:
    """Scale to uint8 between the percentiles 1 and 99, as a crop is."""
    low, high = np.percentile(picture, (1, 99))
    return np.asarray(np.clip((picture - low) / max(high - low, 1e-6), 0, 1) * 255, np.uint8)


def _anything(rng: np.random.Generator, side: int) -> np.ndarray:
    return _stretched(_leaves(rng, side) if rng.random() < 0.65 else _field(rng, side))


def _in_an_oval(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    side = len(picture)
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    narrow = rng.uniform(0.72, 1.0)
    across, down = (narrow, 1.0) if rng.random() < 0.7 else (1.0, narrow)
    return np.where(np.hypot(x / across, y / down) < 1, picture, 0).astype(np.uint8)


def _whole(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    return _anything(rng, len(head))


def _oval(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    return _in_an_oval(rng, _anything(rng, len(head)))


def _in_the_outline(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    """Fill the outline of a true head with something else."""
    reach = max(3, len(head) // 6)
    bright = (cv2.GaussianBlur(head, (7, 7), 0) > 12).astype(np.uint8)
    outline = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    return np.where(outline > 0, np.maximum(_anything(rng, len(head)), 15), 0).astype(np.uint8)


def _shuffled(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    """Lay the squares of a true head in another order."""
    side = len(head)
    many = int(rng.choice([each for each in (2, 4, 8) if side % each == 0] or [1]))
    each = side // many
    squares = head.reshape(many, each, many, each).transpose(0, 2, 1, 3).reshape(many * many, each, each)
    mixed = squares[rng.permutation(len(squares))].reshape(many, many, each, each)
    return mixed.transpose(0, 2, 1, 3).reshape(side, side)


def _scrambled(rng: np.random.Generator, head: np.ndarray) -> np.ndarray:
    """Keep a true head's power at every frequency, and nothing of where it lies."""
    power = np.abs(np.fft.rfft2(head.astype(np.float64) - head.mean()))
    turns = np.angle(np.fft.rfft2(rng.normal(size=head.shape)))
    made = _stretched(np.fft.irfft2(power * np.exp(1j * turns), head.shape))
    return _in_an_oval(rng, made) if rng.random() < 0.6 else made


_Kind = Callable[[np.random.Generator, np.ndarray], np.ndarray]
# Ovals come twice: to the network a photograph in one is nearest to a head.
_KINDS: tuple[_Kind, ...] = (_whole, _oval, _oval, _in_the_outline, _shuffled, _scrambled)
