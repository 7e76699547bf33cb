import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from diagnostics.scans.intake import displayed, ingest
from mlcore.data.labels import BINARY_LEAVES
from mlcore.images.decode import decode
from mlcore.images.percentile import percentiles
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.preprocess import crop, prepare, square_to_frame, to_tensor
from mlcore.preprocessing.quality import Quality, assess
from tests.mlcore.phantom import head, png
from tests.mlcore.test_decode import dicom

SPEC = ModelSpec("toy", "seed_cnn", 64, 3, BINARY_LEAVES, "1")


def test_the_crop_is_the_head_whatever_lies_around_it():
    picture = head(1, tumour=True, side=200)
    plain, _ = crop(decode(png(picture)), 64)
    framed = np.pad(picture, ((40, 90), (10, 60)))
    moved, box = crop(decode(png(framed)), 64)
    assert np.abs(plain.astype(int) - moved).mean() < 6
    rows, columns = np.nonzero(framed > 60)
    assert abs(box[0] - columns.min()) <= 6
    assert abs(box[3] - rows.max()) <= 6


def test_a_white_page_around_the_picture_is_no_head():
    picture = head(1, tumour=True, side=200)
    page = np.pad(picture, 60, constant_values=255)
    _, box = crop(decode(png(page)), 64)
    assert box[0] > 55
    assert box[2] < 265


def test_a_true_scale_of_sixteen_bits_gives_the_same_tensor():
    picture = head(2, tumour=True, side=128)
    bytes_of_8 = prepare(decode(png(picture)), SPEC).tensor
    wide = dicom(picture.astype(np.int16) * 7 + 30, RescaleSlope="0.5", RescaleIntercept="-12")
    assert np.abs(prepare(decode(wide), SPEC).tensor - bytes_of_8).max() <= 2 / 255
    inverted = dicom(1000 - picture.astype(np.int16), PhotometricInterpretation="MONOCHROME1")
    assert np.abs(prepare(decode(inverted), SPEC).tensor - bytes_of_8).max() <= 2 / 255


def test_the_tensor_has_the_shape_and_range_of_the_spec():
    prepared = prepare(decode(png(head(1, tumour=False, side=90))), SPEC)
    assert (prepared.tensor.shape, prepared.tensor.dtype) == ((64, 64, 3), np.float32)
    assert prepared.tensor.min() == 0.0
    assert 0.9 < prepared.tensor.max() <= 1.0


def test_a_cache_of_crops_gives_exactly_the_tensor_of_inference():
    decoded = decode(png(head(5, tumour=True, side=150)))
    square, _ = crop(decoded, SPEC.size)
    assert np.array_equal(to_tensor(square, SPEC.channels), prepare(decoded, SPEC).tensor)


@pytest.mark.parametrize("frame", [(200, 300), (300, 200), (640, 480), (40, 40)])
def test_a_map_lies_on_the_frame_where_its_crop_lay(frame):
    height, width = frame
    box = (width // 4, height // 3, width // 2, height // 3 * 2)
    made = square_to_frame(np.ones((8, 8), np.float32), box, frame, 256)
    assert max(made.shape) == min(256, max(frame))
    assert abs(made.shape[1] / made.shape[0] - width / height) < 0.02
    scale = made.shape[1] / width
    rows, columns = np.nonzero(made)
    assert abs(columns.min() - box[0] * scale) <= 1
    assert abs(columns.max() + 1 - box[2] * scale) <= 1
    assert abs(rows.min() - box[1] * scale) <= 1
    assert abs(rows.max() + 1 - box[3] * scale) <= 1


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image_is_refused_as_blank(value):
    decoded = decode(png(np.full((64, 64), value, np.uint8)))
    refusal = assess(decoded, prepare(decoded, SPEC)).refusal
    assert refusal is not None
    assert refusal.code == "blank"
    assert "blank" in refusal.sentence


def test_a_good_head_passes_and_a_blurred_or_small_one_is_warned_of():
    good = decode(png(head(1, tumour=True, side=200)))
    assert assess(good, prepare(good, SPEC)) == Quality(None, ())
    for poor in (
        cv2.GaussianBlur(head(1, tumour=True, side=200), (0, 0), 25),
        head(1, tumour=True, side=50),
    ):
        decoded = decode(png(poor))
        assert assess(decoded, prepare(decoded, SPEC)).warnings == ("low_quality",)


@settings(deadline=None)
@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 255).map(float)),
    st.floats(0.0, 100.0),
)
def test_percentiles_of_eight_bits_are_those_of_numpy(values, percent):
    assert percentiles(values, percent, 99.0) == tuple(float(v) for v in np.percentile(values, (percent, 99.0)))


@pytest.mark.parametrize("offset", [-1.0, 0.5, 300.0])
def test_percentiles_of_other_values_are_those_of_numpy(offset):
    values = np.arange(500, dtype=np.float32).reshape(20, 25) + np.float32(offset)
    assert percentiles(values, 1.0, 99.0) == tuple(float(v) for v in np.percentile(values, (1.0, 99.0)))


@pytest.mark.parametrize("sides", [(32, 32), (32, 640), (640, 32), (33, 660), (250, 5000), (5000, 250), (33, 40)])
@pytest.mark.parametrize("filled", ["noise", "line", "corner", "head"])
def test_the_most_extreme_shapes_that_are_taken_go_all_the_way(sides, filled):
    """What is elongated beyond these is refused at the door: the worker would fail with it, and try again."""
    picture = np.zeros(sides, np.uint8)
    rows, columns = sides
    if filled == "noise":
        picture[:] = np.random.default_rng(1).integers(0, 256, sides)
    elif filled == "line":
        picture[rows // 2] = 200
    elif filled == "corner":
        picture[-2:, -2:] = 255
    else:
        picture[:] = cv2.resize(head(1, tumour=True), (columns, rows))
    data = png(picture)
    decoded = decode(data)
    prepared = prepare(decoded, SPEC)
    assert prepared.tensor.shape == (64, 64, 3)
    assert np.isfinite(prepared.tensor).all()
    assert isinstance(assess(decoded, prepared), Quality)
    laid = square_to_frame(np.ones((7, 7), np.float32), prepared.box, sides, 256)
    assert max(laid.shape) == min(256, max(sides))
    taken = ingest(data)
    assert (taken.height, taken.width) == sides
    assert max(displayed(data, 512).shape) == min(512, max(sides))
