"""DICOM: what may be read is settled from the header before a pixel is decompressed."""

from __future__ import annotations

import datetime
import io
import struct
import threading
import warnings
import zlib
from typing import Any

import numpy as np
import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame, parse_fragments
from pydicom.filereader import read_dataset
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mlcore.decoded import BYTE_LIMIT, Decoded, Refused, check_sides, colour_of
from mlcore.dicom_frames import with_groups_of_first_frame
from mlcore.dicom_view import grey_table_of, orientation_of
from mlcore.jpeg import sizes as jpeg_sizes

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
COMPRESSED = (
    RLELossless,
    JPEG2000Lossless,
    JPEG2000,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)
GREY = ("MONOCHROME1", "MONOCHROME2")
# Values are computed and handed on as float32.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")

# pydicom speaks of odd files through `warnings`, whose filters belong to the whole process: two threads that
# each silence them can leave them silent for good. One at a time cannot, and one file takes milliseconds.
_ONE_AT_A_TIME = threading.Lock()


_STORAGE = "1.2.840.10008.5.1.4.1.1."


def is_dicom(data: bytes) -> bool:
    """Tell whether the bytes carry the DICOM preamble, or begin as a DICOM file that lacks it."""
    return _has_preamble(data) or _begins_with_a_tag(data)


def _has_preamble(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def _begins_with_a_tag(data: bytes) -> bool:
    """Tell whether the first bytes are a tag that a DICOM file without preamble begins with: group 2 or 8."""
    if len(data) < 1024:
        return False
    group, element = struct.unpack("<HH", data[:4])
    # Some writers leave out the length of group 2 and its version together with the preamble.
    return (group == 0x0002 and element <= 0x0003) or (group == 0x0008 and element <= 0x0018)


def decode_dicom(data: bytes) -> Decoded:
    """Decode a DICOM MR image; of one with several frames the first.

    Parameters
    ----------
    data : bytes
        The whole file. Old archives leave out the preamble: then its header must say that it holds an image.

    Returns
    -------
    Decoded
        Stored values with rescale, VOI windows and spacing; colour is turned into 8-bit luma. `frames` says how many
        there are; the others are neither read nor decompressed.

    Raises
    ------
    Refused
        `not_an_image`, `not_mr`, `no_pixels`, `colour_dicom`, `jpeg_extended_12bit`,
        `unsupported_format`, `too_large`, `too_small`, `truncated`, `damaged`.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        syntax = _checked_syntax(data)
        dataset = _read(data, syntax)
        _check_header(dataset)
        _check_pixels(dataset, syntax)
        return _decoded(with_groups_of_first_frame(dataset), syntax)


def _read(data: bytes, syntax: UID) -> Dataset:
    if _has_preamble(data):
        return pydicom.dcmread(io.BytesIO(data))
    # Whatever bytes there are can be read as some dataset, so one without a preamble must prove itself.
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        whole = str(dataset.get("SOPClassUID", "")).startswith(_STORAGE) and "Rows" in dataset
    except Exception as error:
        raise Refused("not_an_image") from error
    if not whole:
        raise Refused("not_an_image")
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _checked_syntax(data: bytes) -> UID:
    """Read the transfer syntax and, for a deflated file, make sure that inflating it is safe."""
    stream = io.BytesIO(data)
    if _has_preamble(data):
        stream.seek(132)
    elif data[:2] == b"\x08\x00":
        # Without file meta information nothing but a native little-endian dataset can be meant.
        return ExplicitVRLittleEndian if data[4:6].isalpha() else ImplicitVRLittleEndian
    meta = read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag.group != 2
    )
    syntax = UID(str(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)))
    if syntax == JPEGExtended12Bit:
        raise Refused("jpeg_extended_12bit")
    if syntax not in NATIVE and syntax not in COMPRESSED:
        name = _word(syntax.name)
        raise Refused("unsupported_format", f"The DICOM transfer syntax {name} is not read here.")
    if syntax == DeflatedExplicitVRLittleEndian:
        _check_inflation(data[stream.tell() :])
    return syntax


def _check_inflation(body: bytes) -> None:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, body
    while rest and not inflate.eof:
        size += len(inflate.decompress(rest, 1 << 20))
        if size > BYTE_LIMIT:
            raise Refused("too_large", "The deflated DICOM file is too large once inflated.")
        rest = inflate.unconsumed_tail
    if not inflate.eof:
        raise Refused("truncated")


def _check_header(dataset: Dataset) -> None:
    modality = str(dataset.get("Modality", "") or "").strip().upper()
    if modality and modality != "MR":
        raise Refused("not_mr", f"The DICOM file is no MRI: its modality is {_word(modality)}.")
    if not any(name in dataset for name in ("PixelData", "FloatPixelData")):
        raise Refused("no_pixels")
    rows, columns = _whole(dataset, "Rows", 0), _whole(dataset, "Columns", 0)
    if rows < 1 or columns < 1:
        raise Refused("no_pixels")
    check_sides(rows, columns, _frames(dataset))
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    samples = _whole(dataset, "SamplesPerPixel", 1)
    if photometric not in GREY + COLOUR or samples not in (1, 3):
        raise Refused("colour_dicom")


def _check_pixels(dataset: Dataset, syntax: UID) -> None:
    """Hold the stored pixels against the header: a small one may stand before a stream of gigabytes."""
    rows, columns, frames = int(dataset.Rows), int(dataset.Columns), _frames(dataset)
    if "PixelData" not in dataset:
        return
    if syntax in NATIVE:
        bits = rows * columns * _whole(dataset, "SamplesPerPixel", 1) * _whole(dataset, "BitsAllocated", 8)
        if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
            bits = bits * 2 // 3
        if len(dataset.PixelData) < (bits * frames + 7) // 8:
            raise Refused("truncated")
        return
    # No two frames share a fragment, so fewer of those are a file whose end is missing.
    if frames > 1 and parse_fragments(dataset.PixelData)[0] - 1 < frames:
        raise Refused("truncated")
    if syntax == RLELossless:
        # Each RLE byte unpacks to at most 64, and the decoder stops at the size of the header.
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=frames)
    sizes = list(jpeg_sizes(frame)) if frame.startswith(b"\xff\xd8") else [_jpeg2000_size(frame)]
    if any(size != (rows, columns) for size in sizes):
        raise Refused("damaged", "The DICOM file is damaged: header and image disagree about the size.")


def _jpeg2000_size(frame: bytes) -> tuple[int, int]:
    """Read (rows, columns) from the SIZ segment (ISO/IEC 15444-1 A.5.1)."""
    at = frame.find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 24 > len(frame):
        raise Refused("truncated")
    right, bottom, left, top = struct.unpack(">4I", frame[at + 8 : at + 24])
    return bottom - top, right - left


def _decoded(dataset: Dataset, syntax: UID) -> Decoded:
    pixels, coloured = _pixels(dataset)
    colour = coloured is not None
    if not colour:
        pixels = _without_padding(pixels, dataset)
    presets = () if colour else _presets(dataset)
    slope, intercept = (1.0, 0.0) if colour else _rescale(pixels, dataset)
    return Decoded(
        pixels=pixels,
        slope=slope,
        intercept=intercept,
        centre=presets[0][1] if presets else None,
        width=presets[0][2] if presets else None,
        presets=presets,
        voi_function=_voi_function(dataset),
        inverted=str(dataset.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1",
        spacing=_spacing(dataset),
        orientation=orientation_of(dataset),
        grey_table=None if colour else grey_table_of(dataset),
        format="dicom",
        bits=_whole(dataset, "BitsStored", pixels.dtype.itemsize * 8),
        frames=_frames(dataset),
        meta={
            "format": "DICOM",
            "transfer_syntax": _word(syntax.name),
            "modality": "MR" if dataset.get("Modality") else "",
            "photometric": _word(str(dataset.get("PhotometricInterpretation", ""))),
        },
        colour=coloured or 0.0,
        study_date=_date(str(dataset.get("StudyDate", "") or "")),
    )


def _pixels(dataset: Dataset) -> tuple[np.ndarray, float | None]:
    """Give stored values (H, W) in one of the four allowed types, and how coloured they were; None where grey."""
    stored = pixel_array(dataset, index=0)
    if str(dataset.get("PhotometricInterpretation", "")).strip() == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    colour = None
    if stored.ndim == 3:
        scale = 255.0 / (2 ** (8 * stored.dtype.itemsize) - 1)
        weights = np.array([0.299, 0.587, 0.114])
        step = max(1, min(stored.shape[:2]) // 64)
        colour = colour_of(np.asarray(stored[::step, ::step] * scale, dtype=np.uint8))
        stored = np.rint(stored.astype(np.float64) @ weights * scale).astype(np.uint8)
    if stored.ndim != 2:
        raise Refused("damaged")
    for kind in (np.uint8, np.uint16, np.int16):
        if stored.dtype == np.dtype(kind).newbyteorder("=") or stored.dtype.newbyteorder("=") == kind:
            return np.ascontiguousarray(stored, dtype=np.dtype(kind).newbyteorder("<")), colour
    if stored.dtype == np.int8:
        return np.ascontiguousarray(stored, dtype="<i2"), colour
    floats = np.ascontiguousarray(stored, dtype="<f4")
    if not np.isfinite(floats).all():
        raise Refused("damaged", "The DICOM file is damaged: its image holds values that are no numbers.")
    return floats, colour


def _without_padding(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Give padding (PS3.3 C.7.5.1.1.2) the darkest true value: it shows nothing, and would bend every scale."""
    ends = _numbers(dataset, "PixelPaddingValue")
    if len(ends) != 1:
        return pixels
    ends += _numbers(dataset, "PixelPaddingRangeLimit")[:1]
    padding = (pixels >= min(ends)) & (pixels <= max(ends))
    if not padding.any() or padding.all():
        return pixels
    true = pixels[~padding]
    dark_is_high = str(dataset.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    return np.where(padding, true.max() if dark_is_high else true.min(), pixels).astype(pixels.dtype)


def _rescale(pixels: np.ndarray, dataset: Dataset) -> tuple[float, float]:
    """Give slope and intercept. What leaves float32 is refused: no true value could be shown or judged."""
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    slope = 1.0 if slope == 0 else slope
    largest = max(abs(float(pixels.min())), abs(float(pixels.max())))
    if abs(slope) * largest + abs(intercept) > _LARGEST or abs(slope) > _LARGEST:
        raise Refused("damaged", "The DICOM file is damaged: its rescaling leads to values that are no numbers.")
    return slope, intercept


def _presets(dataset: Dataset) -> tuple[tuple[str, float, float], ...]:
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    # The explanations of the windows are free text and may carry anything, so they are numbered instead.
    exact = _voi_function(dataset) != "LINEAR"
    pairs = [
        (c, w)
        for c, w in zip(centres, widths, strict=False)
        if max(abs(c), w) <= _LARGEST and (w >= 1 or (exact and w >= _SMALLEST))
    ]
    return tuple((f"Window {i}", c, w) for i, (c, w) in enumerate(pairs, start=1))


def _voi_function(dataset: Dataset) -> str:
    word = str(dataset.get("VOILUTFunction", "LINEAR") or "LINEAR").strip().upper()
    return word if word in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    values = _numbers(dataset, "PixelSpacing")
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 and max(values) <= _LARGEST else None


def _numbers(dataset: Dataset, name: str) -> list[float]:
    value: Any = dataset.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        value = [value]
    try:
        numbers = [float(each) for each in value]
    except (TypeError, ValueError):
        return []
    return numbers if all(np.isfinite(numbers)) else []


def _number(dataset: Dataset, name: str, default: float) -> float:
    numbers = _numbers(dataset, name)
    return numbers[0] if numbers else default


def _whole(dataset: Dataset, name: str, default: int) -> int:
    numbers = _numbers(dataset, name)
    return int(numbers[0]) if numbers else default


def _frames(dataset: Dataset) -> int:
    return max(1, _whole(dataset, "NumberOfFrames", 1))


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date(int(text[0:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _word(text: str) -> str:
    """Keep a technical word harmless: printable, short."""
    return "".join(c for c in text if c.isalnum() or c in " -_.,()")[:64]


# Odd values in fields that are not used here must not stand in the way of the image.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
