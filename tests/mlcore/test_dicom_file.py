"""DICOM files whose outside is odd: no preamble, no group 2, a wrong syntax, fragments and tables that do not fit."""

import functools
import io
import itertools
import struct
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from mlcore.images.dicom.streams import checked_rle
from tests.mlcore.phantom import head

SIDE = 64
IMAGE = (head(5, tumour=True).astype("<u2") * 16) + np.arange(SIDE, dtype="<u2")
BYTES = head(5, tumour=True)
PREAMBLE = b"\0" * 128 + b"DICM"


def body(implicit: bool, little: bool) -> bytes:
    """A data set without anything before it."""
    dataset = Dataset()
    tags = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": "1.2.3",
        "Modality": "MR",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SIDE,
        "Columns": SIDE,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "WindowCenter": "600",
        "WindowWidth": "1200",
        "PixelData": IMAGE.astype("<u2" if little else ">u2").tobytes(),
    }
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OW"
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=implicit, little_endian=little)
    return out.getvalue()


def group_2(syntax: str | None) -> bytes:
    said = b"\x02\x00\x03\x00UI" + struct.pack("<H", 6) + b"1.2.3\0"
    if syntax is not None:
        name = syntax.encode() + b"\0" * (len(syntax) % 2)
        said += b"\x02\x00\x10\x00UI" + struct.pack("<H", len(name)) + name
    return b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(said)) + said


BODIES = {
    "implicit": (True, True),
    "explicit": (False, True),
    "big endian": (False, False),
}
BEGINNINGS = {
    "preamble, no group 2": PREAMBLE,
    "group 2 without a syntax": PREAMBLE + group_2(None),
    "group 2 with an empty syntax": PREAMBLE + group_2(""),
    "group 2 that says implicit": PREAMBLE + group_2(ImplicitVRLittleEndian),
    "group 2 that says explicit": PREAMBLE + group_2(ExplicitVRLittleEndian),
    "group 2 that says big endian": PREAMBLE + group_2(ExplicitVRBigEndian),
    "group 2 that says deflated": PREAMBLE + group_2(DeflatedExplicitVRLittleEndian),
    "group 2 without preamble": group_2(ExplicitVRLittleEndian),
    "group 2 without preamble or syntax": group_2(None),
    "nothing": b"",
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("written", BODIES)
def test_whatever_stands_before_it_a_data_set_is_read(beginning, written):
    decoded = decode(BEGINNINGS[beginning] + body(*BODIES[written]))
    assert np.array_equal(decoded.pixels, IMAGE)
    assert (decoded.centre, decoded.width) == (600.0, 1200.0)


@pytest.mark.parametrize("bits", [-15, 15])
def test_deflated_with_the_header_of_zlib_and_without(bits):
    deflate = zlib.compressobj(6, zlib.DEFLATED, bits)
    packed = deflate.compress(body(False, True)) + deflate.flush()
    whole = PREAMBLE + group_2(DeflatedExplicitVRLittleEndian) + packed
    assert np.array_equal(decode(whole).pixels, IMAGE)
    with pytest.raises(Refused) as refused:
        decode(whole[:-200])
    assert refused.value.code == "truncated"


def encapsulated(value: bytes, syntax: UID, *, frames: int = 1, bits: int = 8, samples: int = 1, **tags) -> bytes:
    """A file around encapsulated pixel data, delimiter and all as given."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    usual = {
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "MONOCHROME2" if samples == 1 else "RGB",
        "NumberOfFrames": frames,
        "Rows": SIDE,
        "Columns": SIDE,
        "BitsAllocated": 8 if bits <= 8 else 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
    }
    for name, each in {**usual, **tags}.items():
        if each is not None:
            setattr(made, name, each)
    made.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    # Written by hand, as what is not as it should be would not be written.
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(out, enforce_file_format=True)
    data = out.getvalue().replace(*_syntaxes(syntax))
    return data + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + value


def _syntaxes(syntax: UID) -> tuple[bytes, bytes]:
    old = b"\x02\x00\x10\x00UI\x14\x00" + ExplicitVRLittleEndian.encode() + b"\0"
    name = syntax.encode() + b"\0" * (len(syntax) % 2)
    return old, b"\x02\x00\x10\x00UI" + struct.pack("<H", len(name)) + name


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def items(*parts: bytes) -> bytes:
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part for part in parts)


def even(part: bytes) -> bytes:
    return part + b"\0" * (len(part) % 2)


@functools.cache
def stream(kind: str, *, mirrored: bool = False) -> bytes:
    """One compressed frame."""
    image = BYTES[::-1].copy() if mirrored else BYTES
    out = io.BytesIO()
    if kind in ("baseline", "progressive"):
        Image.fromarray(image).save(out, "JPEG", quality=100, progressive=kind == "progressive")
        return even(out.getvalue())
    syntax = {"RLE": RLELossless, "JPEG 2000": JPEG2000Lossless, "JPEG-LS": JPEGLSLossless}[kind]
    plugin = {"RLE": "pydicom", "JPEG 2000": "pylibjpeg", "JPEG-LS": "pyjpegls"}[kind]
    made = pydicom.dcmread(io.BytesIO(PREAMBLE + group_2(ExplicitVRLittleEndian) + body(False, True)))
    made.BitsAllocated = made.BitsStored = image.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelData = image.tobytes()
    made.compress(syntax, encoding_plugin=plugin)
    return pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)


KINDS = ["baseline", "progressive", "RLE", "JPEG 2000", "JPEG-LS"]
SAID = [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]
SAID += [ExplicitVRLittleEndian]


def assert_read(data: bytes, frames: int = 1) -> None:
    decoded = decode(data)
    assert decoded.frames == frames
    assert np.abs(decoded.pixels.astype(int) - BYTES).max() <= 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", SAID, ids=lambda said: said.keyword)
def test_the_stream_itself_says_what_it_is(kind, said):
    assert_read(encapsulated(items(b"", stream(kind)) + END, said))


@pytest.mark.parametrize("kind", KINDS)
def test_a_syntax_that_is_not_known_is_refused_by_its_name(kind):
    with pytest.raises(Refused, match="MPEG2") as refused:
        decode(encapsulated(items(b"", stream(kind)) + END, UID("1.2.840.10008.1.2.4.100")))
    assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize("said", SAID[:-1], ids=lambda said: said.keyword)
def test_pixels_that_are_not_compressed_whatever_the_file_says(said):
    whole = PREAMBLE + group_2(said) + body(False, True)
    assert np.array_equal(decode(whole).pixels, IMAGE)


def offsets(*places: int) -> bytes:
    return struct.pack(f"<{len(places)}I", *places)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "table", [b"", offsets(0), offsets(77), offsets(0, 12), offsets(2**32 - 2), offsets(5, 4, 3), b"\0\0"], ids=repr
)
def test_of_one_frame_no_offset_table_is_asked(kind, table):
    whole = stream(kind)
    assert_read(encapsulated(items(table, whole) + END, JPEGBaseline8Bit))
    half = len(whole) // 4 * 2
    assert_read(encapsulated(items(table, whole[:half], whole[half:]) + END, JPEGBaseline8Bit))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", [b"", offsets(0, 9), offsets(0, 2**31), offsets(900, 0), offsets(0)], ids=repr)
def test_as_many_fragments_as_frames_need_no_offset_table(kind, table):
    frames = stream(kind), stream(kind, mirrored=True)
    assert_read(encapsulated(items(table, *frames) + END, JPEGBaseline8Bit, frames=2), frames=2)


@pytest.mark.parametrize("kind", ["baseline", "JPEG 2000", "JPEG-LS"])
def test_of_more_fragments_than_frames_the_streams_or_the_tables_tell(kind):
    one, other = stream(kind), stream(kind, mirrored=True)
    half = len(one) // 4 * 2
    parts = (one[:half], one[half:], other)
    second = 16 + len(one)
    for table, extended in itertools.product(
        (b"", offsets(0, second), offsets(0, second + 2)), (None, struct.pack("<QQ", 0, second), b"\1" * 16)
    ):
        tags = {} if extended is None else {"ExtendedOffsetTable": extended, "ExtendedOffsetTableLengths": extended}
        assert_read(encapsulated(items(table, *parts) + END, JPEGBaseline8Bit, frames=2, **tags), frames=2)


def test_fragments_that_nothing_tells_apart_are_refused():
    one = stream("RLE")
    half = len(one) // 4 * 2
    with pytest.raises(Refused) as refused:
        decode(encapsulated(items(b"", one[:half], one[half:], one) + END, RLELossless, frames=2))
    assert refused.value.code == "damaged"


@pytest.mark.parametrize("kind", KINDS)
def test_without_offset_table_or_end_whole_fragments_are_read(kind):
    whole = stream(kind)
    assert_read(encapsulated(items(b"", whole), JPEGBaseline8Bit))
    if kind != "RLE":  # whose first bytes could be a table
        assert_read(encapsulated(items(whole) + END, JPEGBaseline8Bit))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("end", [b"", END, b"\xff\xd9" + END])
def test_a_stream_that_is_cut_is_refused(kind, share, end):
    whole = stream(kind)
    cut = whole[: int(len(whole) * share) // 2 * 2]
    if end.startswith(b"\xff\xd9"):
        cut, end = cut + b"\xff\xd9", END
    data = encapsulated(items(b"", cut) + end, JPEGBaseline8Bit)
    if not end:
        data = encapsulated(items(b"", whole), JPEGBaseline8Bit)[: -(len(whole) - len(cut))]
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.code in ("truncated", "damaged", "no_pixels")


def extended_12() -> tuple[bytes, np.ndarray]:
    """pydicom's image of 12-bit JPEG Extended as an MRI, and what dcmtk 3.6.7 makes of it at some places."""
    made = pydicom.dcmread(get_testdata_file("JPGExtended.dcm", download=False))
    made.Modality = "MR"
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue(), np.array([244, 95, 1, 10, 1])


def test_jpeg_extended_of_12_bits_is_read_as_dcmtk_reads_it():
    data, wanted = extended_12()
    pixels = decode(data).pixels
    assert (pixels.dtype, pixels.shape, int(pixels.sum()), int(pixels.max())) == (np.uint16, (1024, 256), 3767007, 264)
    assert pixels[[420, 230, 100, 500, 900], [140, 120, 64, 128, 200]].tolist() == wanted.tolist()


@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_jpeg_extended_of_12_bits_that_was_cut_is_refused(share):
    made = pydicom.dcmread(get_testdata_file("JPGExtended.dcm", download=False))
    frame = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
    made.Modality, made.PixelData = "MR", encapsulate([frame[: int(len(frame) * share)] + b"\xff\xd9"])
    out = io.BytesIO()
    made.save_as(out)
    with pytest.raises(Refused) as refused:
        decode(out.getvalue())
    assert refused.value.code in ("truncated", "damaged")


def test_the_header_may_leave_out_what_the_stream_says():
    colours = np.stack([BYTES, BYTES // 2, BYTES // 3], axis=2)
    out = io.BytesIO()
    Image.fromarray(colours).save(out, "JPEG", quality=100, subsampling=0)
    left_out = dict.fromkeys(
        ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit")
    )
    decoded = decode(encapsulated(items(b"", even(out.getvalue())) + END, JPEGBaseline8Bit, **left_out))
    assert np.abs(decoded.pixels - colours @ np.array([0.299, 0.587, 0.114])).max() <= 2


def rle(*segments: bytes) -> bytes:
    starts, at = [], 64
    for each in segments:
        starts.append(at)
        at += len(each)
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def test_an_rle_segment_is_measured_before_it_is_unpacked():
    whole = rle(b"\x81\x07" * 32)
    assert checked_rle(whole, SIDE * SIDE, 1) == whole
    # What follows the last pixel is dropped, so that a segment of gigabytes costs nothing.
    assert checked_rle(rle(b"\x81\x07" * 5_000_000), SIDE * SIDE, 1) == whole
    for torn in (rle(b"\x81\x07" * 31), rle(b"\x7f\x07\x07"), rle(b"\x81"), rle(b"")):
        with pytest.raises(Refused) as refused:
            checked_rle(torn, SIDE * SIDE, 1)
        assert refused.value.code == "truncated"
    for wrong in (rle(b"\x81\x07" * 32, b"\x81\x07" * 32), rle(b"\x80" + b"\x82\x07" * 33)):
        with pytest.raises(Refused) as refused:
            checked_rle(wrong, SIDE * SIDE, 1)
        assert refused.value.code == "damaged"


def test_rle_is_not_unpacked_in_python(monkeypatch):
    from pydicom.pixels.decoders import rle as in_python

    def never(*args):
        raise AssertionError("RLE was unpacked in Python")

    monkeypatch.setattr(in_python, "_decode_frame", never)
    monkeypatch.setattr(in_python, "_rle_decode_segment", never)
    assert_read(encapsulated(items(b"", stream("RLE")) + END, RLELossless))


@pytest.mark.parametrize("word", ["MONOCHROME2", "monochrome2", " Monochrome2 ", "MONOCHROME2\0"])
def test_a_code_is_known_in_any_letters(word):
    data = encapsulated(items(b"", stream("RLE")) + END, RLELossless, PhotometricInterpretation="MONOCHROME2")
    written = b"CS" + struct.pack("<H", 12) + b"MONOCHROME2 "
    assert written in data
    text = word.encode() + b" " * (len(word) % 2)
    assert_read(data.replace(written, b"CS" + struct.pack("<H", len(text)) + text))
