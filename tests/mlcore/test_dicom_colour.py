"""Colour in DICOM: luma by the bits stored, held against pydicom's own conversion in every way to write it."""

import io
import itertools
import warnings

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from mlcore.images.decode import decode
from mlcore.images.decoded import Refused
from tests.mlcore.dicom_grid import NATIVE
from tests.mlcore.phantom import head, jpeg

LUMA = np.array([0.299, 0.587, 0.114])
SIDE = 34


def header(syntax: UID = ExplicitVRLittleEndian, **tags: object) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_little_endian=little)
    usual = {"SOPClassUID": MRImageStorage, "Modality": "MR", "Rows": SIDE, "Columns": SIDE, "PixelRepresentation": 0}
    for name, value in {**usual, **tags}.items():
        setattr(dataset, name, value)
    return dataset


def saved(dataset: FileDataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def with_pixels(dataset: FileDataset, words: np.ndarray) -> FileDataset:
    order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    dataset.PixelData = words.astype(words.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if words.dtype.itemsize == 1 else "OW"
    return dataset


def assert_luma(data: bytes, wanted: np.ndarray, within: float = 0.5) -> None:
    """`wanted` is luma from 0 to 255, not yet rounded."""
    decoded = decode(data)
    assert decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels - wanted).max() <= within + 1e-6


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits", [(8, 8), (8, 6), (16, 8), (16, 12), (16, 16)], ids=str)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_is_scaled_by_the_bits_stored(syntax, bits, photometric):
    allocated, stored = bits
    rng = np.random.default_rng(allocated + stored)
    colours = rng.integers(0, 2**stored, (SIDE, SIDE, 3)).astype(f"u{allocated // 8}")
    for planar in (0, 1):
        tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "PlanarConfiguration": planar}
        dataset = header(syntax, BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, **tags)
        data = saved(with_pixels(dataset, np.moveaxis(colours, 2, 0).copy() if planar else colours))
        wanted = colours.astype(float) @ LUMA * 255 / (2**stored - 1)
        if photometric != "RGB":
            # pydicom turns 8 bits only; of more or fewer the upper or all of them say nearly the same.
            eight = np.rint(colours * (255 / (2**stored - 1))).astype(np.uint8)
            wanted = convert_color_space(eight, "YBR_FULL", "RGB").astype(float) @ LUMA
        assert_luma(data, wanted, within=0.5 if photometric == "RGB" or stored == 8 else 3)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits", [(8, 8), (16, 12), (16, 16)], ids=str)
def test_compressed_colour_is_scaled_by_the_bits_stored(syntax, bits):
    allocated, stored = bits
    colours = np.random.default_rng(stored).integers(0, 2**stored, (SIDE, SIDE, 3)).astype(f"u{allocated // 8}")
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    dataset = header(syntax, BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, **tags)
    plugin = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}[syntax]
    dataset.compress(syntax, colours, encoding_plugin=plugin)
    assert np.array_equal(pixel_array(dataset, index=0), colours)
    assert_luma(saved(dataset), colours.astype(float) @ LUMA * 255 / (2**stored - 1))


@pytest.mark.parametrize("full", [False, True])
def test_colours_that_share_their_hue_are_spread_again(full):
    """YBR_FULL_422, and the same word over data that were written out in full."""
    rng = np.random.default_rng(1)
    luma, hue = rng.integers(16, 235, (SIDE, SIDE)), rng.integers(100, 156, (SIDE, SIDE // 2, 2)).repeat(2, axis=1)
    ybr = np.concatenate((luma[..., None], hue), axis=2).astype(np.uint8)
    shared = np.stack((luma[:, ::2], luma[:, 1::2], hue[:, ::2, 0], hue[:, ::2, 1]), axis=2).astype(np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    dataset = header(BitsAllocated=8, BitsStored=8, HighBit=7, **tags)
    data = saved(with_pixels(dataset, ybr if full else shared))
    assert_luma(data, convert_color_space(ybr, "YBR_FULL", "RGB").astype(float) @ LUMA)


def palette(syntax: UID, indices: np.ndarray, depth: int, how: str, first: int = 0) -> FileDataset:
    """An image of indices with three tables of so many bits, written in one of the ways there are."""
    bits = indices.dtype.itemsize * 8
    dataset = header(
        syntax,
        SamplesPerPixel=1,
        PhotometricInterpretation="PALETTE COLOR",
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
    )
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    for number, colour in enumerate(("Red", "Green", "Blue")):
        values = (np.arange(256) * (number + 3) * (257 if depth == 16 else 1)) % 2**depth
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, first, depth])
        if how == "bytes in pairs":
            values = values[::2] | values[1::2] << 8
        if how == "segments":
            values = np.concatenate([[0, 2, *values[:2]], *([1, 1, each] for each in values[2:])])
            values = values[::2] | np.append(values, 0)[1::2] << 8 if depth == 8 else values
        name = f"{'Segmented' if how == 'segments' else ''}{colour}PaletteColorLookupTableData"
        setattr(dataset, name, np.asarray(values).astype(order).tobytes())
        dataset[name].VR = "OW"
    return with_pixels(dataset, indices)


WAYS = [(16, "words"), (8, "bytes in pairs"), (8, "words"), (16, "segments"), (8, "segments")]


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize(("depth", "how"), WAYS)
def test_a_palette_is_scaled_by_its_own_bits(syntax, depth, how):
    for kind, first in itertools.product((np.uint8, np.uint16), (0, 20)):
        indices = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE)).astype(kind)
        data = saved(palette(syntax, indices, depth, how, first))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # pydicom takes each table as little-endian, so its own reading is that of the plain file.
            rgb = apply_color_lut(indices, palette(ExplicitVRLittleEndian, indices, depth, how, first))
        assert_luma(data, rgb.astype(float) @ LUMA * 255 / (2**depth - 1))


def test_bytes_under_the_name_of_words_are_no_black_palette():
    indices = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    dataset = palette(ExplicitVRLittleEndian, indices, 8, "words")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
    assert decode(saved(dataset)).pixels.max() > 200


@pytest.mark.parametrize("left_out", ["RedPaletteColorLookupTableData", "BluePaletteColorLookupTableDescriptor"])
def test_a_palette_that_is_not_whole_is_refused(left_out):
    dataset = palette(ExplicitVRLittleEndian, np.zeros((SIDE, SIDE), np.uint8), 8, "words")
    del dataset[left_out]
    with pytest.raises(Refused) as refused:
        decode(saved(dataset))
    assert refused.value.code == "damaged"


@pytest.mark.parametrize("words", [[2, 1, 0, 0], [0, 2, 1, 2, 2, 5, 9, 0], [1, 5, 9], [0, 9, 1]])
def test_segments_that_lead_nowhere_are_refused(words):
    dataset = palette(ExplicitVRLittleEndian, np.zeros((SIDE, SIDE), np.uint8), 16, "segments")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", np.array(words, "<u2").tobytes())
    with pytest.raises(Refused) as refused:
        decode(saved(dataset))
    assert refused.value.code == "damaged"


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_FULL"])
def test_the_markers_of_a_jpeg_go_before_the_header(syntax, photometric):
    colours = np.stack([head(seed, tumour=True) for seed in range(3)], axis=2)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "PlanarConfiguration": 0}
    dataset = header(syntax, BitsAllocated=8, BitsStored=8, HighBit=7, **tags, Rows=64, Columns=64)
    dataset.PixelData = encapsulate([jpeg(colours, quality=98, subsampling=0)])
    dataset["PixelData"].is_undefined_length = True
    decoded = decode(saved(dataset)).pixels
    assert np.abs(decoded - colours.astype(float) @ LUMA).mean() < 2
