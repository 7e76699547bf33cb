"""From bytes at the door to something that can be stored: checked, decoded, stripped of metadata.

The decoding itself happens in other processes, within limits (ADR 0015), by mlcore's own decoder: what is accepted
here is what the model will see (ADR 0002).
"""

import hashlib
from dataclasses import dataclass
from datetime import date

import numpy as np

from mlcore.images.decoded import SHAPE_ONLY, Refused
from mlcore.images.decoding.pool import Ended

from . import decoding
from .decoding import DecodingUnavailable

__all__ = ["SHAPE_ONLY", "DecodingUnavailable", "Ended", "Refused", "Taken", "displayed", "take"]


@dataclass(frozen=True)
class Taken:
    """An accepted file: the untouched ``original`` and what is made of it for showing and comparing."""

    original: bytes
    sha256: str
    format: str
    width: int
    height: int
    bits: int
    frames: int
    study_date: date | None
    pixels: bytes
    preview: bytes
    fingerprint: bytes


def take(data: bytes) -> Taken:
    """Check and decode one file.

    Raises
    ------
    Refused
        With a sentence that says what was wrong and what is accepted; `Ended` where a limit ended it.
    DecodingUnavailable
        Nothing was decoded.
    """
    return Taken(original=data, sha256=hashlib.sha256(data).hexdigest(), **decoding.take(data))


def displayed(data: bytes, side: int) -> np.ndarray:
    """The image of a stored original as the viewer shows it at first: (h, w) uint8, no side longer than ``side``.

    Pixels that are no squares have their true shape in it.

    Raises
    ------
    Refused, DecodingUnavailable
    """
    return decoding.show(data, side)
