"""True values out of odd headers: padding, tables, windows, numbers and shapes as real files write them."""

import itertools
import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mlcore.images.decode import decode, rescaled
from mlcore.images.decoded import Refused
from tests.mlcore.test_dicom_colour import header, saved, with_pixels

SIDE = 34
BOTH_ORDERS = [ExplicitVRLittleEndian, ExplicitVRBigEndian]


def grey(words: np.ndarray, syntax=ExplicitVRLittleEndian, **tags) -> bytes:
    """Write grey pixels; a name may stand with (VR, value) for an element of another kind than the standard's."""
    bits = words.dtype.itemsize * 8
    usual = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(words.dtype.kind == "i"),
    }
    odd = {name: value for name, value in tags.items() if isinstance(value, tuple)}
    plain = {name: value for name, value in {**usual, **tags}.items() if name not in odd and value is not None}
    dataset = header(syntax, **plain)
    for name, (vr, value) in odd.items():
        dataset.add_new(name, vr, value)
    return saved(with_pixels(dataset, words))


def ramp(kind: str = "<u2", low: int = 100) -> np.ndarray:
    return (low + np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 200).astype(kind)


def padded(kind: str, value: float, low: int = 100) -> np.ndarray:
    image = ramp(kind, low)
    image[:5] = value
    return image


PADDED = [
    ("<i2", -2000, ("US", 63536)),
    ("<i2", -2000, ("SS", -2000)),
    ("<u2", 65535, ("SS", -1)),
    ("<u2", 63536, ("SS", -2000)),
    ("<u2", 65535, ("US", 65535)),
    ("u1", 255, ("SS", -1)),
    ("u1", 255, ("US", 255)),
    ("i1", -128, ("US", 128)),
    ("i1", -128, ("SS", -128)),
    ("i1", -128, ("US", 65408)),
    ("<i4", -2000, ("SS", -2000)),
    ("<u4", 60000, ("US", 60000)),
    ("<i4", -2000, ("US", 63536)),
    ("<u4", 65535, ("SS", -1)),
]


@pytest.mark.parametrize(("kind", "stored", "element"), PADDED)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, *BOTH_ORDERS], ids=lambda each: each.keyword)
def test_padding_is_found_in_the_type_of_the_pixels(kind, stored, element, syntax):
    low = -100 if kind == "i1" else 3
    data = grey(padded(kind, stored, low), syntax, PixelPaddingValue=element)
    values = rescaled(decode(data))
    rest = ramp(kind, low)[5:]
    assert np.array_equal(values[5:], rest)
    assert (values[:5] == rest.min()).all()


@pytest.mark.parametrize(
    ("slope", "photometric", "darkest"),
    [(2, "MONOCHROME2", "min"), (-2, "MONOCHROME2", "min"), (2, "MONOCHROME1", "max"), (-2, "MONOCHROME1", "max")],
)
def test_padding_is_the_darkest_true_value(slope, photometric, darkest):
    tags = {"RescaleSlope": slope, "RescaleIntercept": 5, "PhotometricInterpretation": photometric}
    values = rescaled(decode(grey(padded("<u2", 9000), PixelPaddingValue=9000, **tags)))
    assert (values[:5] == getattr(values[5:], darkest)()).all()


def test_padding_range_whose_ends_have_two_signs():
    image = ramp("<i2", -50)
    image[:2], image[2:5] = -2000, -1990
    data = grey(image, PixelPaddingValue=("US", 63536), PixelPaddingRangeLimit=("SS", -1985))
    assert rescaled(decode(data)).min() == -50


def test_padding_that_stored_bits_cannot_hold_is_found_in_the_words():
    image = ramp("<u2", 0)
    image[:5] = 0xF830  # with 12 bits stored this would be 0x830, a true value
    image[10, 10] = 0x830
    values = rescaled(decode(grey(image, BitsStored=12, HighBit=11, PixelPaddingValue=("US", 0xF830))))
    assert (values[:5] == 0).all()
    assert values[10, 10] == 0x830


def floats(keyword: str, values: np.ndarray, syntax=ExplicitVRLittleEndian, **tags) -> bytes:
    bits = values.dtype.itemsize * 8
    dataset = header(syntax, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=bits)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    setattr(dataset, keyword, values.astype(values.dtype.newbyteorder(order)).tobytes())
    for name, value in tags.items():
        if name == "PixelPaddingValue":
            dataset.add_new(name, "SS", int(value))
        else:
            setattr(dataset, name, value)
    return saved(dataset)


FLOATS = {"FloatPixelData": np.float32, "DoubleFloatPixelData": np.float64}
FLOAT_PADDING = {
    "its own": lambda keyword: (f"{keyword.removesuffix('Data')}PaddingValue", -9999.9),
    "of the other width": lambda keyword: (
        f"{'Double' if not keyword.startswith('Double') else ''}FloatPixelPaddingValue",
        -9999.9,
    ),
    "of whole numbers": lambda keyword: ("PixelPaddingValue", -9999.0),
    "no number": lambda keyword: (f"{keyword.removesuffix('Data')}PaddingValue", float("nan")),
    "the least there is": lambda keyword: (f"{keyword.removesuffix('Data')}PaddingValue", float(-(2.0**100))),
    "infinite": lambda keyword: (f"{keyword.removesuffix('Data')}PaddingValue", float("-inf")),
}


@pytest.mark.parametrize("keyword", FLOATS)
@pytest.mark.parametrize("how", FLOAT_PADDING)
@pytest.mark.parametrize("syntax", BOTH_ORDERS, ids=lambda each: each.keyword)
def test_padding_among_floats(keyword, how, syntax):
    name, value = FLOAT_PADDING[how](keyword)
    image = ramp("f4").astype(FLOATS[keyword]) / 7
    rest = image[5:].copy()
    image[:5] = value
    tags = {name: value, "RescaleSlope": 2, "RescaleIntercept": -1}
    values = rescaled(decode(floats(keyword, image, syntax, **tags)))
    assert np.allclose(values[5:], rest * 2 - 1, rtol=1e-6)
    assert np.allclose(values[:5], rest.min() * 2 - 1, rtol=1e-6)


@pytest.mark.parametrize("keyword", FLOATS)
def test_what_is_no_number_is_padding_without_being_declared(keyword):
    image = ramp("f4").astype(FLOATS[keyword])
    image[3:9] = np.nan
    values = rescaled(decode(floats(keyword, image)))
    assert np.isfinite(values).all() and (values[3:9] == values.min()).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_of_nothing_that_is_a_number_is_refused(value):
    with pytest.raises(Refused) as refused:
        decode(floats("FloatPixelData", np.full((SIDE, SIDE), value, np.float32)))
    assert refused.value.code == "damaged"


def item(descriptor: list[int], data: object, vr: str = "US", signed: bool = False) -> Sequence:
    made = Dataset()
    made.add_new(0x00283002, "SS" if signed else "US", descriptor)
    made.add_new(0x00283006, vr, data)
    return Sequence([made])


def bytes_of(values: list[int], syntax, packed: bool = False) -> bytes:
    if packed:
        values = [low | high << 8 for low, high in zip(values[::2], values[1::2], strict=True)]
    return np.array(values, ">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()


TABLE = [(index * 37) % 251 for index in range(200)]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, *BOTH_ORDERS], ids=lambda each: each.keyword)
@pytest.mark.parametrize("how", ["words in US", "words in OW", "bytes in pairs in OW", "bytes in pairs in US"])
@pytest.mark.parametrize("which", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_is_read_however_it_is_written(syntax, how, which):
    bits, values = (8, TABLE) if "pairs" in how else (16, [each * 257 for each in TABLE])
    if how.endswith("US"):
        given = [low | high << 8 for low, high in zip(values[::2], values[1::2], strict=True)] if bits == 8 else values
    else:
        given = bytes_of(values, syntax, packed=bits == 8)
    data = grey(ramp(low=0), syntax, **{which: item([200, 50, bits], given, how[-2:])})
    decoded = decode(data)
    wanted = np.array(values)[np.clip(ramp(low=0).astype(int) - 50, 0, 199)]
    if which == "ModalityLUTSequence":
        assert np.array_equal(rescaled(decoded), wanted)
        assert (decoded.slope, decoded.intercept) == (1.0, 0.0)
    else:
        assert (decoded.grey_table.first, decoded.grey_table.bits) == (50, bits)
        assert decoded.grey_table.values.tolist() == values


def test_a_table_of_signed_pixels_begins_below_nought():
    image = ramp("<i2", -100)
    for signed, first in ((True, -80), (False, 65456)):
        data = grey(image, ModalityLUTSequence=item([200, first, 16], TABLE, signed=signed))
        assert np.array_equal(rescaled(decode(data)), np.array(TABLE)[np.clip(image.astype(int) + 80, 0, 199)])


def test_a_table_of_as_many_entries_as_there_can_be():
    values = [65535 - index for index in range(65536)]
    data = grey(ramp(), ModalityLUTSequence=item([0, 0, 16], bytes_of(values, None), "OW"))
    assert np.array_equal(rescaled(decode(data)), 65535 - ramp().astype(int))


def test_a_table_goes_before_slope_and_intercept_and_an_empty_one_counts_for_nothing():
    tags = {"RescaleSlope": 3, "RescaleIntercept": 1}
    found = decode(grey(ramp(), ModalityLUTSequence=item([200, 100, 16], TABLE), **tags))
    assert np.array_equal(rescaled(found), np.array(TABLE)[ramp().astype(int) - 100])
    for empty in (Sequence([]), Sequence([Dataset()])):
        assert np.array_equal(rescaled(decode(grey(ramp(), ModalityLUTSequence=empty, **tags))), ramp() * 3.0 + 1)


def test_a_torn_modality_table_is_refused_as_it_is_the_value_of_a_pixel():
    with pytest.raises(Refused) as refused:
        decode(grey(ramp(), ModalityLUTSequence=item([200, 100, 16], TABLE[:150])))
    assert refused.value.code == "damaged"


def test_padding_is_no_input_of_a_modality_table():
    table = item([200, 100, 16], [1000 - each for each in range(200)])
    values = rescaled(decode(grey(padded("<u2", 9000), PixelPaddingValue=9000, ModalityLUTSequence=table)))
    assert (values[:5] == values[5:].min()).all()
    assert values.min() > 800


WINDOWS = {
    ("1200,5", "2400,0"): [(1200.5, 2400.0)],
    ("1200\\", "2400\\"): [(1200.0, 2400.0)],
    ("\\1200", "\\2400"): [(1200.0, 2400.0)],
    ("1\\ANON\\3", "10\\20\\30"): [(1.0, 10.0), (3.0, 30.0)],
    ("1\\2\\3", "10\\0\\30"): [(1.0, 10.0), (3.0, 30.0)],
    ("1\\2", "-10\\20"): [(2.0, 20.0)],
    ("1e2\\2", "1E1\\20"): [(100.0, 10.0), (2.0, 20.0)],
    ("nan\\2", "10\\20"): [(2.0, 20.0)],
    ("1,5\\2,25", "10,5\\20"): [(1.5, 10.5), (2.25, 20.0)],
    ("-0,5", "3,0"): [(-0.5, 3.0)],
    ("1,200,5", "10"): [],
    ("ANON", "ANON"): [],
    ("", ""): [],
    ("00400 \\00400", " 02000\\01000 "): [(400.0, 2000.0), (400.0, 1000.0)],
    ("5\\6\\7", "50"): [(5.0, 50.0)],
}


def _text(data: bytes, replaced: dict[bytes, str]) -> bytes:
    """Write texts of the same element anew, in explicit little-endian: pydicom itself would refuse to write them."""
    for tag, text in replaced.items():
        at = data.index(tag)
        length = struct.unpack("<H", data[at + 6 : at + 8])[0]
        body = text.encode() + b" " * (len(text) % 2)
        data = data[: at + 6] + struct.pack("<H", len(body)) + body + data[at + 8 + length :]
    return data


@pytest.mark.parametrize(("centres", "widths"), WINDOWS)
def test_a_window_that_is_none_harms_no_other(centres, widths):
    data = grey(ramp(), WindowCenter="1", WindowWidth="2")
    data = _text(data, {b"\x28\x00\x50\x10DS": centres, b"\x28\x00\x51\x10DS": widths})
    decoded = decode(data)
    assert [(c, w) for _, c, w in decoded.presets] == WINDOWS[centres, widths]
    assert (decoded.centre, decoded.width) == (WINDOWS[centres, widths] or [(None, None)])[0]


def test_a_decimal_comma_is_read_everywhere():
    data = grey(ramp(), RescaleSlope="1", RescaleIntercept="0", PixelSpacing=["1", "1"])
    written = {b"\x28\x00\x52\x10DS": "-3,5", b"\x28\x00\x53\x10DS": "0,25", b"\x28\x00\x30\x00DS": "0,7\\0,35"}
    decoded = decode(_text(data, written))
    assert (decoded.slope, decoded.intercept, decoded.spacing) == (0.25, -3.5, (0.7, 0.35))


SHAPES = {
    "PixelAspectRatio": ([2, 1], None, 2.0),
    "ImagerPixelSpacing": (["1.4", "0.7"], None, 2.0),
    "NominalScannedPixelSpacing": (["0.3", "0.6"], None, 0.5),
    "PixelSpacing": (["1.5", "0.5"], (1.5, 0.5), 3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_a_pixel_is_told_and_millimetres_only_at_the_patient(name):
    value, spacing, aspect = SHAPES[name]
    decoded = decode(grey(ramp(), **{name: value}))
    assert (decoded.spacing, decoded.aspect) == (spacing, pytest.approx(aspect))


def test_pixel_spacing_goes_before_all_that_tells_less():
    for names in itertools.combinations(SHAPES, 2):
        decoded = decode(grey(ramp(), **{name: SHAPES[name][0] for name in (*names, "PixelSpacing")}))
        assert (decoded.spacing, decoded.aspect) == ((1.5, 0.5), 3.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PixelAspectRatio", [0, 1]),
        ("PixelAspectRatio", [1000, 1]),
        ("PixelAspectRatio", [-2, 1]),
        ("PixelAspectRatio", [2]),
        ("ImagerPixelSpacing", ["", ""]),
        ("PixelSpacing", ["0", "0"]),
        ("PixelSpacing", ["0.7"]),
    ],
)
def test_a_shape_that_cannot_be_is_none(name, value):
    decoded = decode(grey(ramp(), **{name: value}))
    assert (decoded.spacing, decoded.aspect) == (None, 1.0)


@pytest.mark.parametrize("kind", ["<u2", "<i2", "u1", "i1"])
def test_values_at_the_upper_end_of_their_container(kind):
    image = ramp(kind, 0 if kind[-2] == "u" else -100)
    bits = image.dtype.itemsize * 8
    stored = bits - 2
    kept = (image.astype(int) % 2**stored) - (2 ** (stored - 1) if "i" in kind else 0)
    words = ((kept % 2**stored) << 2 | 3).astype(f"u{image.dtype.itemsize}").view(image.dtype)
    decoded = decode(grey(words, BitsStored=stored, HighBit=bits - 1, WindowCenter=5, WindowWidth=9))
    assert np.array_equal(rescaled(decoded), kept)
    assert decoded.bits == stored


def test_twelve_bits_that_share_bytes():
    values = (np.arange(SIDE * SIDE) * 7) % 4096
    packed = bytearray()
    for low, high in zip(values[::2], values[1::2], strict=True):
        packed += bytes([low & 255, low >> 8 | (high & 15) << 4, high >> 4])
    dataset = header(SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=12, BitsStored=12)
    dataset.HighBit, dataset.PixelData = 11, bytes(packed)
    dataset["PixelData"].VR = "OW"
    assert np.array_equal(decode(saved(dataset)).pixels.ravel(), values)


MISSING = ["SamplesPerPixel", "PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation", "Modality"]


@pytest.mark.parametrize("left_out", [*MISSING, "BitsAllocated", "everything"])
@pytest.mark.parametrize("empty", [False, True])
def test_what_a_header_leaves_out_is_as_usual(left_out, empty):
    names = MISSING if left_out == "everything" else [left_out]
    dataset = header(SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=16, BitsStored=16)
    dataset.HighBit = 15
    with_pixels(dataset, ramp("<u2", 40000))
    for name in names:
        if empty and dataset[name].VR != "CS":
            dataset[name].value = None
        elif empty:
            dataset[name].value = ""
        else:
            del dataset[name]
    assert np.array_equal(decode(saved(dataset)).pixels, ramp("<u2", 40000))


ODD = {"BitsStored": [0, 99, 17], "HighBit": [99, 0, 3], "PixelRepresentation": [2, 7], "SamplesPerPixel": [0]}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_what_a_header_says_that_cannot_be_is_as_usual(name, value):
    assert np.array_equal(decode(grey(ramp(), **{name: value})).pixels, ramp())
