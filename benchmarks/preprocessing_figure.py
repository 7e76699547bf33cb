"""Draw the way of a picture from the file to the network's input, on a drawn head.

python -m benchmarks.preprocessing_figure --out docs/images/road.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from diagnostics.scans import phantom
from mlcore.images.decode import decode, to_display
from mlcore.preprocessing.preprocess import crop
from mlcore.training.augment import augment
from mlcore.training.synthetic_lesions import draw_lesion

_SIDE, _GAP, _TITLE = 220, 12, 34
_PAPER, _INK, _MARK = (255, 255, 255), (60, 60, 60), (40, 120, 230)


def panel(picture: np.ndarray, title: str) -> np.ndarray:
    """One step: the picture fitted into a square, its name below."""
    shown = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    scale = _SIDE / max(shown.shape[:2])
    how = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    shown = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=how)
    out = np.full((_SIDE + _TITLE, _SIDE, 3), _PAPER, np.uint8)
    top, left = (_SIDE - shown.shape[0]) // 2, (_SIDE - shown.shape[1]) // 2
    out[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    cv2.putText(out, title, (2, _SIDE + 22), cv2.FONT_HERSHEY_SIMPLEX, 0.48, _INK, 1, cv2.LINE_AA)
    return out


def road() -> np.ndarray:
    """All steps, beside each other; blue first."""
    head = (phantom.draw(5, phantom.Lesion(0.6, 0.4, 0.1), side=320) // 10).clip(0, 200).astype(np.uint8)
    page = np.pad(np.pad(head, ((50, 20), (30, 70))), 30, constant_values=255)
    cv2.putText(page, "T1 AX  12:40", (50, 66), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 200, 1, cv2.LINE_AA)
    decoded = decode(cv2.imencode(".png", page)[1].tobytes())
    square, (x0, y0, x1, y1) = crop(decoded, 128)
    found = cv2.cvtColor(to_display(decoded), cv2.COLOR_GRAY2BGR)
    cv2.rectangle(found, (x0, y0), (x1 - 1, y1 - 1), _MARK, 4)
    changed = [augment(square, "strong", np.random.default_rng(seed)) for seed in (1, 3)]
    steps = (
        (page, "1 the file, as it came"),
        (found, "2 the head, found"),
        (decoded.pixels[y0:y1, x0:x1], "3 cropped"),
        (square, "4 square, 128, percentiles"),
        (changed[0], "5 changed for training"),
        (changed[1], "5 and once more"),
        (_with_lesion(), "6 a healthy one, lesion drawn"),
    )
    gap = np.full((_SIDE + _TITLE, _GAP, 3), _PAPER, np.uint8)
    return np.hstack([each for picture, title in steps for each in (panel(picture, title), gap)][:-1])


def _with_lesion() -> np.ndarray:
    """What training makes of a healthy head now and then."""
    healthy = (phantom.draw(6, side=320) // 10).clip(0, 200).astype(np.uint8)
    square, _ = crop(decode(cv2.imencode(".png", np.pad(healthy, 20))[1].tobytes()), 128)
    drawn = draw_lesion(square, np.random.default_rng(4))
    if drawn is None:
        raise RuntimeError("The drawn head has no tissue that a lesion would stand out from.")
    return drawn


def main() -> None:
    """Draw and write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, required=True, help="PNG file to write")
    asked = ask.parse_args()
    cv2.imwrite(str(asked.out), road(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
