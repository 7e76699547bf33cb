"""Any one frame of a file is decoded as the first is, and none of the others."""

import io
import tracemalloc

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from mlcore.data.synthetic_study import Wanted, write_study
from mlcore.images.decode import NoSuchFrame, Refused, decode, frame
from mlcore.images.decoding.pool import DecodingPool
from mlcore.images.dicom.frames import frame_bytes
from tests.mlcore.phantom import head, png
from tests.mlcore.test_decode import dicom, file
from tests.mlcore.test_dicom_frames import again, frames, group, own_frame

THREE = [np.full((40, 64), 100 * k, np.uint16) + np.arange(64, dtype=np.uint16) for k in range(3)]


def test_each_frame_is_its_own():
    data = frames(*THREE)
    for index, pixels in enumerate(THREE):
        decoded = frame(data, index)
        assert (decoded.frames, np.array_equal(decoded.pixels, pixels)) == (3, True)
    assert np.array_equal(decode(data).pixels, frame(data, 0).pixels)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_frame_that_there_is_not_is_the_caller_s_fault(index):
    with pytest.raises(NoSuchFrame):
        frame(frames(*THREE), index)
    with pytest.raises(NoSuchFrame):
        frame(png(head(1, tumour=False)), 1)
    assert frame(png(head(1, tumour=False)), 0).format == "png"


def test_each_frame_has_its_own_scale_and_window():
    own = [
        group(
            FrameVOILUTSequence={"WindowCenter": str(100 * k), "WindowWidth": "50"},
            PixelValueTransformationSequence={"RescaleSlope": str(k + 1), "RescaleIntercept": str(-k)},
        )
        for k in range(3)
    ]
    data = frames(*THREE, PerFrameFunctionalGroupsSequence=Sequence(own))
    told = [frame(data, k) for k in range(3)]
    assert [(each.slope, each.intercept, each.centre) for each in told] == [(1, 0, 0), (2, -1, 100), (3, -2, 200)]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_frames_that_begin_in_the_middle_of_a_word(syntax):
    """Of an odd number of bytes each; the bytes of big-endian words stand the other way round."""
    odd = [np.random.default_rng(k).integers(0, 255, (33, 35), np.uint8) for k in range(3)]
    value = np.frombuffer(b"".join(each.tobytes() for each in odd) + b"\0", np.uint8)
    if syntax == ExplicitVRBigEndian:
        value = value.reshape(-1, 2)[:, ::-1]
    tags = {"NumberOfFrames": 3, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    dataset = pydicom.dcmread(io.BytesIO(dicom(odd[0].astype(np.uint16), **tags, PixelData=value.tobytes())))
    dataset.decode()
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=syntax == ExplicitVRLittleEndian)
    data = out.getvalue()
    for index, pixels in enumerate(odd):
        assert np.array_equal(frame(data, index).pixels, pixels)


def test_frames_that_begin_within_a_byte():
    """One bit a pixel, 33 × 35 of them, and twelve bits."""
    ones = [np.random.default_rng(k).integers(0, 2, (33, 35), np.uint8) for k in range(3)]
    bits = np.packbits(np.concatenate([each.ravel() for each in ones]), bitorder="little")
    tags = {"NumberOfFrames": 3, "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    data = dicom(ones[0], **tags, PixelData=np.pad(bits, (0, len(bits) % 2)).tobytes())
    for index, pixels in enumerate(ones):
        assert np.array_equal(frame(data, index).pixels, pixels)
    twelve = [np.random.default_rng(k).integers(0, 4096, (33, 35), np.uint16) for k in range(3)]
    every = np.concatenate([each.ravel() for each in twelve]).astype("<u2")
    bits = np.packbits(
        np.unpackbits(every.view(np.uint8).reshape(-1, 2), axis=1, bitorder="little")[:, :12], bitorder="little"
    )
    tags = {"NumberOfFrames": 3, "BitsAllocated": 12, "BitsStored": 12, "HighBit": 11}
    data = dicom(twelve[0], **tags, PixelData=np.pad(bits, (0, len(bits) % 2)).tobytes())
    for index, pixels in enumerate(twelve):
        assert np.array_equal(frame(data, index).pixels, pixels)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
@pytest.mark.parametrize("offsets", [True, False])
def test_of_compressed_frames_only_the_one_is_decompressed(name, offsets):
    good = own_frame(name)
    data = again(name, [b"no frame", good, b"nor this"], 3, offsets=offsets)
    assert np.array_equal(frame(data, 1).pixels, decode(file(name)).pixels)
    for index in (0, 2):
        with pytest.raises(Refused):
            frame(data, index)


def test_a_frame_in_several_fragments_is_found_by_the_offsets():

    parts = [b"\xff\xd8\xff" + bytes([k]) * 61 for k in range(3)]
    whole = memoryview(encapsulate(parts, fragments_per_frame=2, has_bot=True))
    for index, part in enumerate(parts):
        assert frame_bytes(whole, 3, index).rstrip(b"\0") == part.rstrip(b"\0")


def test_three_hundred_frames_one_by_one_take_the_memory_of_one(tmp_path):
    (path,) = write_study(tmp_path, Wanted(series=1, slices=300, side=128, enhanced=True))
    data = path.read_bytes()
    middle = frame(data, 150)
    assert (middle.frames, middle.pixels.shape) == (300, (128, 128))
    assert middle.pixels.mean() > 2 * frame(data, 0).pixels.mean()
    tracemalloc.start()
    try:
        for index in range(0, 300, 60):
            frame(data, index)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All frames are 10 MB.
    assert most < 5_000_000


def test_a_process_decodes_the_frame_that_is_asked_for():
    pool = DecodingPool(most=1)
    try:
        data = frames(*THREE)
        for index, pixels in enumerate(THREE):
            assert np.array_equal(pool.decode(data, index).pixels, pixels)
            assert pool.take(data, index)["frames"] == 3
            assert pool.show(data, 64, index).shape == (40, 64)
        assert pool.take(data, 1)["pixels"] != pool.take(data)["pixels"] == pool.take(data, 0)["pixels"]
        with pytest.raises(NoSuchFrame):
            pool.decode(data, 3)
    finally:
        pool.close()
