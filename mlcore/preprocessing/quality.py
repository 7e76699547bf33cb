"""Whether an image can be judged at all, by rules that a person can check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from mlcore.images.decode import to_display
from mlcore.images.decoded import Decoded, Refused
from mlcore.preprocessing.montage import Heads
from mlcore.preprocessing.preprocess import Prepared

LOW_QUALITY = "low_quality"
OUT_OF_DISTRIBUTION = "out_of_distribution"
FIRST_FRAME = "first_frame"
SEVERAL_HEADS = "several_heads"
# MRI is grey. The most coloured of 6,023 public slices, some marked or tinted, has 0.038; photographs begin at 0.06.
MOST_COLOUR = 0.05
_SMALLEST_HEAD = 64
# Of 6,023 public slices 99.9 % lie above 946 and the least at 337; blurred by a fiftieth of the side most fall below.
_LEAST_SHARPNESS = 400.0
_SHARPNESS_SIDE = 64
_LOOKED_AT_SIDE = 128
_LEAST_CONTRAST = 20.0


@dataclass(frozen=True)
class Quality:
    """The verdict.

    Attributes
    ----------
    refusal : Refused or None
        Where nothing can be said of the image.
    warnings : tuple of str
        `low_quality` where something can be said, with care; `out_of_distribution` where the image is coloured;
        `first_frame` where the file holds frames that nobody looked at; `several_heads` where it is not sure that
        the image shows one head.
    """

    refusal: Refused | None
    warnings: tuple[str, ...]


def assess(decoded: Decoded, prepared: Prepared) -> Quality:
    """Judge an image.

    Parameters
    ----------
    decoded : Decoded
        The image.
    prepared : Prepared
        What was made of it.

    Returns
    -------
    Quality
        Refused as `blank` where the image, or the head in it, is of one value or nearly so, and as `several_heads`
        where it shows more than one head, or its file says so; warned of as
        `low_quality` where the head is under 64 pixels wide or high, blurred, or nearly without contrast, as
        `out_of_distribution` where the image is coloured, as no scan is, as `first_frame` where it is the first
        of several, and as `several_heads` where it is not sure that it shows one head.
    """
    # Every so many pixels tell as well as all whether there is anything to see.
    step = max(1, max(decoded.pixels.shape) // _LOOKED_AT_SIDE)
    shown = to_display(dataclasses.replace(decoded, pixels=decoded.pixels[::step, ::step]))
    blank = Quality(Refused("blank", "The image is blank: it shows nothing but one value."), ())
    if np.ptp(decoded.pixels) == 0 or shown.std() < 2.0:
        return blank
    if prepared.heads is Heads.SEVERAL:
        return Quality(Refused(SEVERAL_HEADS), ())
    if prepared.tensor.std() < 0.01:
        return blank
    x0, y0, x1, y1 = prepared.box
    grey = np.rint(prepared.tensor[..., 0] * 255.0).astype(np.uint8)
    # At one size, as the same blur looks sharper in a smaller picture.
    small = cv2.resize(grey, (_SHARPNESS_SIDE, _SHARPNESS_SIDE), interpolation=cv2.INTER_AREA)
    sharpness = float(cv2.Laplacian(small, cv2.CV_64F).var())
    tiny = min(x1 - x0, y1 - y0) < _SMALLEST_HEAD
    poor = tiny or sharpness < _LEAST_SHARPNESS or float(grey.std()) < _LEAST_CONTRAST
    found = {
        LOW_QUALITY: poor,
        OUT_OF_DISTRIBUTION: decoded.colour > MOST_COLOUR,
        FIRST_FRAME: decoded.frames > 1,
        SEVERAL_HEADS: prepared.heads is Heads.UNSURE,
    }
    return Quality(None, tuple(name for name, so in found.items() if so))
