"""Files of every kind that the decoder reads, drawn, and what the road to the network makes of them.

    python -m tests.mlcore.golden

writes `tests/mlcore/golden/`: the files, and `expected.png`, in which beside each other stands what must come out of
each file, in the order of `files`. It is to be run, and looked at, when the preprocessing changes on purpose, which is
a new `PREPROCESS_VERSION`.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from diagnostics.scans import phantom
from mlcore.images.decode import decode
from mlcore.preprocessing.preprocess import crop

FOLDER = Path(__file__).parent / "golden"
EXPECTED = FOLDER / "expected.png"
SIDE, CROP = 128, 64


def drawn(side: int = SIDE) -> np.ndarray:
    """A head of eight bits."""
    return (phantom.draw(5, phantom.Lesion(0.6, 0.4, 0.1), side=side) // 10).clip(0, 255).astype(np.uint8)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _turned() -> bytes:
    """Lies on its side in the file, and EXIF says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(Image.fromarray(np.rot90(drawn(), 1)), "JPEG", quality=95, exif=exif.tobytes())


def _palette() -> bytes:
    image = Image.fromarray(drawn()).quantize(64)
    return _saved(image, "PNG")


def _rgba() -> bytes:
    alpha = np.where(drawn() > 20, 255, 0).astype(np.uint8)
    return _saved(Image.fromarray(np.dstack([drawn()] * 3 + [alpha])), "PNG")


def _labelled(picture: np.ndarray) -> np.ndarray:
    """Letters burned in beside the head."""
    marked = np.pad(picture, ((26, 0), (0, 0)))
    cv2.putText(marked, "T1 AX 12:40", (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    cv2.putText(marked, "L", (SIDE - 14, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    return marked


def files() -> dict[str, bytes]:
    """Draw every file."""
    from tests.mlcore.test_decode import dicom

    grey, image = drawn(), Image.fromarray(drawn())
    wide = phantom.draw(5, phantom.Lesion(0.6, 0.4, 0.1), side=SIDE)
    signed = wide.astype(np.int16) - 500
    return {
        "grey.jpg": _saved(image, "JPEG", quality=95),
        "progressive.jpg": _saved(image, "JPEG", quality=95, progressive=True),
        "colour.jpg": _saved(image.convert("RGB"), "JPEG", quality=95),
        "cmyk.jpg": _saved(image.convert("CMYK"), "JPEG", quality=95),
        "exif-turned.jpg": _turned(),
        "grey.png": _saved(image, "PNG"),
        "palette.png": _palette(),
        "rgba.png": _rgba(),
        "sixteen-bit.png": _saved(Image.fromarray(wide), "PNG"),
        "rescaled.dcm": dicom(signed, RescaleSlope="2.5", RescaleIntercept="1250"),
        "window.dcm": dicom(wide, WindowCenter="1000", WindowWidth="900", VOILUTFunction="SIGMOID"),
        "monochrome1.dcm": dicom(4095 - wide, PhotometricInterpretation="MONOCHROME1"),
        "frames.dcm": dicom(wide, NumberOfFrames=2, PixelData=wide.tobytes() + (4095 - wide).tobytes()),
        "black-border.png": _saved(Image.fromarray(np.pad(grey, ((10, 90), (60, 5)))), "PNG"),
        "white-border.png": _saved(Image.fromarray(np.pad(grey, 40, constant_values=255)), "PNG"),
        "text.png": _saved(Image.fromarray(_labelled(grey)), "PNG"),
        "refused-two-heads.png": _saved(Image.fromarray(np.hstack((grey, grey[:, ::-1]))), "PNG"),
        "refused-four-heads.png": _saved(Image.fromarray(np.tile(grey, (2, 2))), "PNG"),
    }


def main() -> None:
    """Write the files and what is expected of them."""
    FOLDER.mkdir(exist_ok=True)
    made = files()
    for name, data in made.items():
        (FOLDER / name).write_bytes(data)
    rows = [crop(decode(data), CROP)[0] for name, data in made.items() if not name.startswith("refused")]
    Image.fromarray(np.hstack(rows)).save(EXPECTED)


if __name__ == "__main__":
    main()
