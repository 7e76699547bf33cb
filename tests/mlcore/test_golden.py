import numpy as np
import pytest
from PIL import Image

from mlcore.data.labels import BINARY_LEAVES
from mlcore.images.decode import decode
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.preprocess import crop, prepare
from mlcore.preprocessing.quality import assess
from tests.mlcore import golden

SPEC = ModelSpec("toy", "residual", golden.CROP, 1, BINARY_LEAVES, "1")
NAMES = list(golden.files())
READ = [name for name in NAMES if not name.startswith("refused")]


def of(name: str) -> bytes:
    return (golden.FOLDER / name).read_bytes()


def expected(name: str) -> np.ndarray:
    at = READ.index(name) * golden.CROP
    return np.asarray(Image.open(golden.EXPECTED))[:, at : at + golden.CROP]


def test_the_golden_files_are_the_ones_that_are_listed():
    assert sorted(path.name for path in golden.FOLDER.iterdir()) == sorted([*NAMES, golden.EXPECTED.name])


@pytest.mark.parametrize("name", READ)
def test_the_road_makes_of_each_file_what_it_made_before(name):
    apart = np.abs(crop(decode(of(name)), golden.CROP)[0].astype(int) - expected(name))
    # Another build of a JPEG or resizing library may round otherwise, and no more.
    assert apart.max() <= 3
    assert apart.mean() < 0.3


@pytest.mark.parametrize("name", READ)
def test_whatever_the_file_the_head_is_the_same(name):
    apart = np.abs(expected(name).astype(int) - expected("grey.png"))
    assert apart.mean() < 5
    decoded = decode(of(name))
    assert assess(decoded, prepare(decoded, SPEC)).refusal is None


@pytest.mark.parametrize("name", ["refused-two-heads.png", "refused-four-heads.png"])
def test_several_heads_on_one_image_are_refused_as_such(name):
    decoded = decode(of(name))
    refusal = assess(decoded, prepare(decoded, SPEC)).refusal
    assert refusal is not None
    assert refusal.code == "several_heads"
    assert "several heads" in refusal.sentence


def test_of_several_frames_the_first_is_the_scan_and_a_warning_says_so():
    decoded = decode(of("frames.dcm"))
    assert decoded.frames == 2
    assert assess(decoded, prepare(decoded, SPEC)).warnings == ("first_frame",)
    single = decode(of("grey.png"))
    assert (single.frames, assess(single, prepare(single, SPEC)).warnings) == (1, ())
