"""What runs a network, as the rest sees it; and LiteRT, which starts in a blink and needs no TensorFlow."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.measure.calibrate import softmax

# Probabilities of the published engine and of the trained network may differ by this much.
PARITY = 1e-5
# At loading, on a processor that publishing never saw.
_PROBE_REACH = 1e-4
_SIZES = (16, 4, 1)

Forward = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class NotFinite(ArithmeticError):
    """A network gave something that is no number; no opinion may be made of it."""


class EngineFailed(RuntimeError):
    """LiteRT is missing, cannot read the network, or computes something else than what was published."""


@dataclass(frozen=True)
class Engine:
    """A network as LiteRT reads it.

    Attributes
    ----------
    content : bytes
        The flat buffer.
    probe : numpy.ndarray, shape (leaves,), dtype float32
        Logits that the trained network gave for `probe_image`.
    """

    content: bytes
    probe: np.ndarray


def probe_image(size: int, channels: int) -> np.ndarray:
    """Give a picture that every machine draws alike, float32 (1, size, size, channels)."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float64) / size
    disc = np.hypot(x - 0.5, y - 0.5) < 0.4
    grey = disc * (0.4 + 0.2 * np.sin(20.0 * x) * np.cos(14.0 * y) + 0.3 * (np.hypot(x - 0.6, y - 0.4) < 0.1))
    return np.repeat(grey.astype(np.float32)[None, ..., None], channels, axis=-1)


def checked(answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join batches of (logits, maps); raises `NotFinite`."""
    logits = np.concatenate([each[0] for each in answers])
    if not np.isfinite(logits).all():
        raise NotFinite("The network gave something that is no number; its weights or its input are damaged.")
    return logits, np.concatenate([each[1] for each in answers])


class LiteRt:
    """A network run by LiteRT.

    Parameters
    ----------
    content : bytes
        The flat buffer, of a network with one image for input and logits and maps for output.
    threads : int
        1 or more.

    Raises
    ------
    EngineFailed
        Where LiteRT is not installed or does not take the buffer.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        try:
            self._make: Any = importlib.import_module("ai_edge_litert.interpreter").Interpreter
        except ImportError as error:
            raise EngineFailed("LiteRT is not installed.") from error
        self._content, self._threads = content, threads
        # One by number of images, made when first wanted: each has its memory laid out for that number.
        self._interpreters: dict[int, Any] = {}
        self._one_at_a_time = threading.Lock()
        with self._one_at_a_time:
            outputs = self._interpreter(1).get_output_details()
        shapes = {len(each["shape"]): tuple(int(side) for side in each["shape"][1:]) for each in outputs}
        if set(shapes) != {2, 4}:
            raise EngineFailed("The network gives something else than logits and maps.")
        self.maps_shape = (shapes[4][0], shapes[4][1], shapes[4][2])

    def _interpreter(self, count: int) -> Any:
        if count not in self._interpreters:
            try:
                made = self._make(model_content=self._content, num_threads=self._threads)
                image = made.get_input_details()[0]
                made.resize_tensor_input(image["index"], [count, *image["shape"][1:]], strict=True)
                made.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise EngineFailed("LiteRT does not take the network.") from error
            self._interpreters[count] = made
        return self._interpreters[count]

    def __call__(self, tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run the network: float32 (N, s, s, c) to logits (N, leaves) and maps (N, h, w, c). Raises `NotFinite`."""
        answers, start = [], 0
        with self._one_at_a_time:
            while start < len(tensors):
                count = next(size for size in _SIZES if size <= len(tensors) - start)
                one = self._interpreter(count)
                one.set_tensor(one.get_input_details()[0]["index"], tensors[start : start + count])
                one.invoke()
                out = {len(each["shape"]): one.get_tensor(each["index"]) for each in one.get_output_details()}
                answers.append((out[2], out[4]))
                start += count
        return checked(answers)


def started(engine: Engine, size: int, channels: int, threads: int) -> LiteRt:
    """Start LiteRT and hold it against the published answer.

    Raises
    ------
    EngineFailed
        Where it does not start, or computes something else on this machine.
    """
    run = LiteRt(engine.content, threads)
    try:
        logits, _ = run(probe_image(size, channels))
    except (NotFinite, ValueError, RuntimeError) as error:
        raise EngineFailed("LiteRT cannot run the network on this machine.") from error
    wanted = engine.probe[None]
    if logits.shape != wanted.shape or np.abs(softmax(logits) - softmax(wanted)).max() > _PROBE_REACH:
        raise EngineFailed("LiteRT computes something else on this machine than what was published.")
    return run


def largest_difference(run: Forward, wanted: Forward, tensors: np.ndarray) -> float:
    """Give by how much the probabilities of two engines differ at most, over some images and three that are none."""
    odd = np.stack([np.zeros_like(tensors[0]), np.ones_like(tensors[0])])
    seen = np.concatenate((tensors, odd, probe_image(tensors.shape[1], tensors.shape[-1])))
    return float(np.abs(softmax(run(seen)[0]) - softmax(wanted(seen)[0])).max())
