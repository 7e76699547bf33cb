"""From a DICOM file's pixel data to stored values, whatever they are packed or compressed with."""

from __future__ import annotations

import dataclasses
import io

import gdcm
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mlcore.images import jpeg
from mlcore.images.decoded import Refused
from mlcore.images.dicom.frames import frame_bytes, is_encapsulated
from mlcore.images.dicom.header import Header, get
from mlcore.images.dicom.streams import Stream, check_tiles, checked_jpeg_ls, checked_rle, stream_of

# One decoder for each kind of stream: with several, a stream that the first refuses would be tried on the next.
_DECODERS = {RLELossless: "pylibjpeg", JPEGLosslessSV1: "gdcm", JPEGLSLossless: "pyjpegls", JPEG2000: "pylibjpeg"}
_FILLED_UP = (JPEGExtended12Bit, JPEGLosslessSV1)
_END_OF_IMAGE = b"\xff\xd9"
# Anything that is no marker; long enough to begin the next block.
_MORE = bytes((7 * i + 3) % 251 for i in range(512))
_PACKED = 12  # bits allocated: two values in three bytes


def stored_values(dataset: Dataset, header: Header, syntax: UID, index: int = 0) -> tuple[np.ndarray, Header]:
    """Decode one frame.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of the file.
    header : Header
        As `header_of` gives it.
    syntax : UID
        Of the file; the pixels themselves decide where it is wrong.
    index : int
        Of the frame, from 0 and below `header.frames`. No other is decompressed.

    Returns
    -------
    numpy.ndarray, shape (H, W) or (H, W, 3)
        Stored values: sign extended, unused bits dropped. Colour is red, green and blue.
    Header
        The header, as far as the stream knew better.

    Raises
    ------
    Refused
        `truncated`, `damaged`, `unsupported_format`, `colour_dicom`.
    """
    value = memoryview(dataset[header.keyword].value or b"")
    if header.keyword != "PixelData":
        return _floats(value, header, syntax, index), header
    if is_encapsulated(value):
        frame = frame_bytes(value, header.frames, index, get(dataset, "ExtendedOffsetTable") or b"")
    elif not syntax.is_encapsulated or stream_of(frame := bytes(value)) is None:
        return _native(value, header, syntax, str(dataset["PixelData"].VR), index), header
    elif index:
        raise Refused("damaged")  # one stream without items, of several frames
    return _compressed(frame, header)


def _floats(value: memoryview, header: Header, syntax: UID, index: int) -> np.ndarray:
    kind = np.dtype(
        f"{'>' if syntax == ExplicitVRBigEndian else '<'}f{4 if header.keyword == 'FloatPixelData' else 8}"
    )
    count = header.rows * header.columns
    if header.samples != 1 or len(value) < count * header.frames * kind.itemsize:
        raise Refused("truncated" if header.samples == 1 else "colour_dicom")
    found = np.frombuffer(value, kind, count, offset=index * count * kind.itemsize)
    return found.reshape(header.rows, header.columns).astype(kind.newbyteorder("="))


def _native(value: memoryview, header: Header, syntax: UID, vr: str, index: int) -> np.ndarray:
    count = header.rows * header.columns * header.samples
    bits = count * header.allocated
    if header.photometric == "YBR_FULL_422":
        # After decompression many writers forget to say that nothing is left out any more.
        if len(value) >= count * header.frames:
            header = dataclasses.replace(header, photometric="YBR_FULL")
        else:
            bits = bits * 2 // 3
    if len(value) < (bits * header.frames + 7) // 8:
        raise Refused("truncated")
    swapped = syntax == ExplicitVRBigEndian and vr == "OW" and header.allocated <= 8
    frame = _packed(value, index * bits, bits, swapped=swapped)
    if header.allocated == _PACKED:
        frame, header = _unpacked(frame, count), dataclasses.replace(header, allocated=16)
    endian = ExplicitVRBigEndian if syntax == ExplicitVRBigEndian else ExplicitVRLittleEndian
    return _by_pydicom(endian, frame, header, vr=vr)


def _packed(value: memoryview, begin: int, bits: int, *, swapped: bool) -> bytes:
    """Give so many bits as whole words that begin with the first of them.

    Frames follow each other without padding (PS3.5 8.1.1), so one may begin within a byte, or in the second byte of a
    word: where the bytes of words are `swapped`, they are so before and after.
    """
    first, last = begin // 16 * 2, (begin + bits + 15) // 16 * 2
    words = bytes(value[first:last])
    within = begin - 8 * first
    if within == 0:
        return words
    found = np.frombuffer(words.ljust(last - first, b"\0"), np.uint8)
    found = found.reshape(-1, 2)[:, ::-1].ravel() if swapped else found
    if within == 8:
        found = found[1:]
    else:
        found = np.packbits(np.unpackbits(found, bitorder="little")[within:], bitorder="little")
    found = np.pad(found, (0, len(found) % 2))
    return (found.reshape(-1, 2)[:, ::-1] if swapped else found).tobytes()


def _unpacked(value: bytes, count: int) -> bytes:
    """Give 16-bit little-endian words for values of 12 bits that share bytes (DICOM PS3.5 D.2, retired)."""
    triples = (
        np.frombuffer(value.ljust((count + 1) // 2 * 3, b"\0"), np.uint8, (count + 1) // 2 * 3)
        .reshape(-1, 3)
        .astype("<u2")
    )
    words = np.stack((triples[:, 0] | (triples[:, 1] & 15) << 8, triples[:, 1] >> 4 | triples[:, 2] << 4), axis=1)
    return words.ravel()[:count].astype("<u2").tobytes()


def _compressed(frame: bytes, header: Header) -> tuple[np.ndarray, Header]:
    stream = stream_of(frame)
    if stream is None:
        raise Refused("damaged")
    if stream.kind == RLELossless:
        size = -(-header.allocated // 8)
        frame = checked_rle(frame, header.rows * header.columns, header.samples * size)
        return _by_pydicom(stream.kind, encapsulate([frame], has_bot=False), header), header
    header = _agreeing(header, stream)
    if stream.kind == JPEG2000:
        check_tiles(frame)
    if stream.kind == JPEGLSLossless:
        frame = checked_jpeg_ls(frame)
    array = _decoded(frame, header, stream)
    if stream.kind in _FILLED_UP and _may_be_filled_up(array):
        _check_whole(frame, header, stream, array)
    return array, header


def _decoded(frame: bytes, header: Header, stream: Stream) -> np.ndarray:
    if stream.kind == JPEGBaseline8Bit:
        return _baseline(frame, header)
    if stream.kind == JPEGExtended12Bit:
        return _extended(frame, header, stream)
    return _by_pydicom(stream.kind, encapsulate([frame], has_bot=False), header)


def _may_be_filled_up(array: np.ndarray) -> bool:
    """Tell whether the end of the image is as flat as what libjpeg puts where something is missing."""
    corner = array[-8:, -8:].reshape(-1, array.shape[2] if array.ndim == 3 else 1)
    return bool((corner[-8:] == corner[-1]).all() or np.array_equal(array[-1], array[-2]))


def _check_whole(frame: bytes, header: Header, stream: Stream, array: np.ndarray) -> None:
    """Refuse a JPEG whose end marker stands before the end of the image.

    libjpeg fills up the rest and goes on. It reads what is missing, though, where there is something to read: more
    bytes before the end marker change nothing but an image that lacked them.
    """
    end = frame.rfind(_END_OF_IMAGE)
    if end < 0 or not np.array_equal(_decoded(frame[:end] + _MORE + frame[end:], header, stream), array):
        raise Refused("truncated")


def _agreeing(header: Header, stream: Stream) -> Header:
    """Give the header with the stream's samples and bits; refuse a stream of another size."""
    if (stream.rows, stream.columns) != (header.rows, header.columns):
        raise Refused("damaged", "The DICOM file is damaged: header and image disagree about the size.")
    if stream.samples not in (1, 3):
        raise Refused("colour_dicom")
    photometric = header.photometric
    if stream.samples != header.samples:
        photometric = "MONOCHROME2" if stream.samples == 1 else "RGB"
    allocated = 8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32
    stored = min(header.stored, stream.precision)
    return dataclasses.replace(
        header,
        samples=stream.samples,
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high=header.high if stored - 1 <= header.high < stream.precision else stored - 1,
        planar=0,
    )


def _by_pydicom(kind: UID, value: bytes, header: Header, vr: str = "OB") -> np.ndarray:
    photometric = header.photometric if header.samples == 3 else "MONOCHROME2"
    wide = photometric == "YBR_FULL" and (header.allocated, header.stored) != (8, 8)
    if wide:  # pydicom turns whole bytes only
        photometric = "RGB"
    array, _ = get_decoder(kind).as_array(
        value,
        index=0,
        decoding_plugin=_DECODERS.get(kind, ""),
        rows=header.rows,
        columns=header.columns,
        number_of_frames=1,
        samples_per_pixel=header.samples,
        photometric_interpretation=photometric,
        bits_allocated=header.allocated,
        bits_stored=header.high + 1,
        pixel_representation=int(header.signed),
        planar_configuration=header.planar,
        pixel_keyword="PixelData",
        pixel_vr=vr if vr in ("OB", "OW") else "OW",
    )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    # Values that do not begin at the lowest bit: what lies below them belongs to something else.
    if header.high + 1 > header.stored:
        array = array >> (header.high + 1 - header.stored)
    return _rgb(array, header.stored) if wide else array


def _rgb(ybr: np.ndarray, stored: int) -> np.ndarray:
    """Turn YBR_FULL of any bits into red, green and blue (DICOM PS3.3 C.7.6.3.1.2)."""
    rgb = np.empty_like(ybr)
    for row, given in zip(rgb, ybr, strict=True):  # row by row, as all at once would take eight times the image
        luma, blue, red = given.astype(np.float64).T - np.array([[0], [2 ** (stored - 1)], [2 ** (stored - 1)]])
        colours = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
        row[:] = np.clip(np.rint(np.stack(colours, axis=1)), 0, 2**stored - 1)
    return rgb


def _baseline(frame: bytes, header: Header) -> np.ndarray:
    """Decode 8-bit JPEG. Whether colours are YCbCr the stream says by its markers, and else the header."""
    file = jpeg.first_image(frame)
    with Image.open(io.BytesIO(file.data), formats=("JPEG",)) as image:
        image.load()
        file.check_whole(image)
        tells = "jfif" in image.info or "adobe_transform" in image.info
        if header.samples == 1 or header.photometric != "RGB" or tells:
            return np.array(image.convert("RGB") if header.samples == 3 else image)
    with Image.open(io.BytesIO(file.data), formats=("JPEG",)) as image:
        image.draft("YCbCr", image.size)  # leaves the three channels as they are
        return np.array(image)


def _extended(frame: bytes, header: Header, stream: Stream) -> np.ndarray:
    """Decode 12-bit JPEG Extended. GDCM can, though pydicom does not let it."""
    if header.samples != 1:
        raise Refused("jpeg_extended_12bit")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.columns, header.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stream.precision, stream.precision - 1, 0))
    text = image.GetBuffer()  # char* given as str, None where it failed
    if text is None:
        raise Refused("damaged")
    words = text.encode("utf-8", "surrogateescape")
    array = np.frombuffer(words, "<u2", header.rows * header.columns).reshape(header.rows, header.columns)
    if header.signed:
        unused = 16 - header.stored
        return (array << unused).view("<i2") >> unused
    return array.copy()
