"""From bytes at the door to something that can be stored: checked, decoded, stripped of metadata.

The decoding itself happens in other processes, within limits (ADR 0015), by mlcore's own decoder: what is accepted
here is what the model will see (ADR 0002).
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
from django.utils.functional import lazy

from diagnostics.errors import Invalid
from mlcore.images.decoded import SHAPE_ONLY, Refused
from mlcore.images.decoding.process import Ended
from mlcore.images.dicom.instance import Instance

from . import decoding
from .decoding import DecodingUnavailable
from .instances import instance_from
from .stored_messages import in_words

__all__ = [
    "SHAPE_ONLY",
    "DecodingUnavailable",
    "FileRefused",
    "IngestedImage",
    "KeptFile",
    "displayed",
    "ingest",
    "received",
]


class FileRefused(Invalid):
    """A file that cannot be taken: the learning core's refusal, told in the reader's language.

    ``code`` is the core's own. ``ended`` is set where a limit ended the decoding.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(lazy(in_words, str)(refused.sentence, refused.code), code=refused.code)
        self.ended = refused if isinstance(refused, Ended) else None

    @classmethod
    def because(cls, code: str) -> Self:
        """A refusal by its code alone."""
        return cls(Refused(code))


@dataclass(frozen=True)
class IngestedImage:
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
    instance: Instance | None = None


@dataclass(frozen=True)
class KeptFile:
    """An object that belongs to a study and is no image to read: a report, a document, a screenshot."""

    original: bytes
    sha256: str
    instance: Instance


def received(data: bytes) -> IngestedImage | KeptFile:
    """Check one file and decode it, if it is an image to read.

    Raises
    ------
    FileRefused
        With a sentence that says what was wrong and what is accepted.
    DecodingUnavailable
        Nothing was decoded.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    with in_our_words():
        told = decoding.take(data)
    said = told.pop("instance")
    instance = instance_from(said)
    if instance is not None and said["kept"]:
        return KeptFile(data, sha256, instance)
    return IngestedImage(original=data, sha256=sha256, instance=instance, **told)


def ingest(data: bytes) -> IngestedImage:
    """Check and decode the file of an image; errors as of :func:`received`."""
    found = received(data)
    if isinstance(found, KeptFile):
        raise FileRefused.because("no_pixels")
    return found


def displayed(data: bytes, side: int, index: int | None = None) -> np.ndarray:
    """A stored original, or one frame of it, as the viewer shows it: (h, w) uint8, no side longer than ``side``.

    Pixels that are no squares have their true shape in it.

    Raises
    ------
    FileRefused, DecodingUnavailable
    """
    with in_our_words():
        return decoding.show(data, side, index)


@contextlib.contextmanager
def in_our_words() -> Iterator[None]:
    """Tell the learning core's refusals as this domain's own."""
    try:
        yield
    except Refused as refused:
        raise FileRefused(refused) from refused
