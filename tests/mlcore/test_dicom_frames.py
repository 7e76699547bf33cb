"""A DICOM file with several frames: the first is the scan, and what it says of itself is the first frame's."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence

from mlcore.data.dataset import from_folder
from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from mlcore.serving.predict import Predictor
from mlcore.training.baseline_protocol import augment_files
from tests.mlcore.phantom import head, png
from tests.mlcore.test_decode import dicom, file

FIRST = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
SECOND = FIRST[::-1].copy()


def frames(*pixels: np.ndarray, **tags) -> bytes:
    data = b"".join(each.tobytes() for each in pixels)
    return dicom(pixels[0], NumberOfFrames=len(pixels), PixelData=data, **tags)


def again(name: str, fragments: list[bytes], count: int, *, offsets: bool) -> bytes:
    """One of pydicom's files with these compressed frames in place of its own."""
    dataset = pydicom.dcmread(io.BytesIO(file(name)))
    dataset.NumberOfFrames = count
    dataset.PixelData = encapsulate(fragments, has_bot=offsets)
    dataset["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def own_frame(name: str) -> bytes:
    return get_frame(pydicom.dcmread(io.BytesIO(file(name))).PixelData, 0, number_of_frames=1)


def test_the_first_frame_is_the_scan():
    decoded = decode(frames(FIRST, SECOND, SECOND))
    assert decoded.frames == 3
    assert np.array_equal(decoded.pixels, FIRST)
    assert decode(frames(FIRST)).frames == 1


def test_a_number_of_frames_that_cannot_be_is_one_or_refused():
    assert decode(dicom(FIRST, NumberOfFrames="0")).frames == 1
    with pytest.raises(Refused) as refused:
        decode(dicom(FIRST, NumberOfFrames="-4"))
    assert refused.value.code == "damaged"


def test_a_colour_cine_becomes_the_luma_of_its_first_frame():
    cine = np.zeros((2, 64, 64, 3), np.uint8)
    cine[0, ..., 0], cine[1] = 100, 255
    decoded = decode(dicom(cine[0], NumberOfFrames=2, PixelData=cine.tobytes(), Modality=None))
    assert (decoded.frames, decoded.pixels.shape, decoded.pixels.dtype) == (2, (64, 64), np.uint8)
    assert np.all(decoded.pixels == 30)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
@pytest.mark.parametrize("offsets", [True, False])
def test_of_compressed_frames_only_the_first_is_decompressed(name, offsets):
    good = own_frame(name)
    decoded = decode(again(name, [good, b"no frame", b"nor this"], 3, offsets=offsets))
    assert decoded.frames == 3
    assert np.array_equal(decoded.pixels, decode(file(name)).pixels)
    with pytest.raises(Refused):
        decode(again(name, [b"no frame", good, good], 3, offsets=offsets))


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"])
def test_a_file_with_fewer_frames_than_it_says_is_cut(name):
    good = own_frame(name)
    with pytest.raises(Refused) as refused:
        decode(again(name, [good, good], 3, offsets=False))
    assert refused.value.code == "truncated"


def test_so_many_frames_that_no_file_holds_them_are_refused_by_the_header():
    with pytest.raises(Refused, match="64 × 64 pixels in each of 2000000000 frames") as refused:
        decode(dicom(FIRST, NumberOfFrames=2_000_000_000))
    assert refused.value.code == "too_large"


def group(**macros: dict) -> Dataset:
    made = Dataset()
    for name, values in macros.items():
        inside = Dataset()
        for attribute, value in values.items():
            setattr(inside, attribute, value)
        setattr(made, name, Sequence([inside]))
    return made


def test_what_an_enhanced_file_says_of_its_first_frame_counts():
    shared = group(
        PixelMeasuresSequence={"PixelSpacing": ["0.5", "0.25"]},
        FrameVOILUTSequence={"WindowCenter": "1", "WindowWidth": "2"},
        PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
    )
    own = group(
        FrameVOILUTSequence={"WindowCenter": "600", "WindowWidth": "1600"},
        PixelValueTransformationSequence={"RescaleSlope": "2", "RescaleIntercept": "-10"},
    )
    other = group(FrameVOILUTSequence={"WindowCenter": "7", "WindowWidth": "8"})
    decoded = decode(
        frames(
            FIRST,
            SECOND,
            SharedFunctionalGroupsSequence=Sequence([shared]),
            PerFrameFunctionalGroupsSequence=Sequence([own, other]),
        )
    )
    assert (decoded.spacing, decoded.orientation) == ((0.5, 0.25), ("L", "P"))
    assert (decoded.centre, decoded.width) == (600.0, 1600.0)
    assert (decoded.slope, decoded.intercept) == (2.0, -10.0)


def test_empty_groups_say_nothing():
    empty = Sequence([group(PixelMeasuresSequence={})])
    decoded = decode(frames(FIRST, SECOND, SharedFunctionalGroupsSequence=empty, PixelSpacing=["1", "2"]))
    assert decoded.spacing == (1.0, 2.0)
    assert decode(frames(FIRST, PerFrameFunctionalGroupsSequence=Sequence([]))).spacing is None


def test_a_label_of_several_frames_is_nobody_s(tmp_path):
    """Which of them a folder's name is about nobody knows, so none is learned from."""
    for name in ("yes", "no"):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "one.png").write_bytes(png(head(len(name), tumour=name == "yes")))
    (tmp_path / "site" / "yes" / "volume.dcm").write_bytes(frames(FIRST, SECOND))
    for listed in (from_folder, lambda path, on_refused: augment_files(path, tmp_path / "out", on_refused=on_refused)):
        refused = []
        listed(tmp_path / "site", on_refused=lambda path, why, to=refused: to.append((path.name, why.code)))
        assert refused == [("volume.dcm", "multi_frame")]


def test_an_opinion_on_the_first_frame_says_so(toy):
    said = Predictor.load(toy.folder).predict(
        [frames(head(3, tumour=True), head(4, tumour=False)), png(head(3, tumour=True))]
    )
    assert "first_frame" in said[0].warnings
    assert "first_frame" not in said[1].warnings
    assert said[0].probabilities == said[1].probabilities
