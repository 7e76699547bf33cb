import numpy as np

from mlcore.data.labels import LEAVES
from mlcore.images.decode import decode
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.preprocess import prepare
from mlcore.preprocessing.quality import assess
from tests.mlcore.phantom import head, jpeg, png

SPEC = ModelSpec("n", "residual", 128, 1, LEAVES, "1")


def warned(data: bytes) -> tuple[str, ...]:
    decoded = decode(data)
    return assess(decoded, prepare(decoded, SPEC)).warnings


def tinted(share: float) -> np.ndarray:
    grey = head(1, tumour=True, side=256).astype(float)
    return np.stack((grey, grey * (1 - share), grey * (1 - share)), axis=-1).astype(np.uint8)


def test_a_coloured_picture_is_out_of_distribution():
    assert warned(png(tinted(0.8))) == ("out_of_distribution",)
    assert warned(jpeg(tinted(0.8))) == ("out_of_distribution",)


def test_a_grey_scan_in_a_coloured_file_or_with_a_tint_is_not():
    assert warned(jpeg(tinted(0.0), quality=30)) == ()
    assert warned(png(tinted(0.05))) == ()
    marked = tinted(0.0)
    marked[5:20, 5:60] = (255, 255, 0)
    assert warned(png(marked)) == ()
