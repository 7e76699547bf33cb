"""Small files that want to cost much: memory or processor time far beyond what any scan needs.

Each is a function without arguments that gives the file; `BOMBS` has them by name, `SEED` decides all that is random.
Streams of the same byte are put together from ready blocks, so that a gigabyte takes no time to write.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

SEED = 11
BOMBS: dict[str, Callable[[], bytes]] = {}
MB = 1 << 20


def bomb(make: Callable[[], bytes]) -> Callable[[], bytes]:
    kept = functools.cache(make)
    BOMBS[make.__name__] = kept
    return kept


# --- streams and pieces ------------------------------------------------------------------------------------


def deflated_zeros(length: int, *, raw: bool = False) -> bytes:
    """A deflate stream of so many zero bytes, rounded up to whole megabytes: one block again and again."""
    flush = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = flush.compress(bytes(MB)) + flush.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    count = -(-length // MB)
    body = block * count + end
    if raw:
        return body
    # The checksum of zeros follows from their number (RFC 1950).
    return b"\x78\x9c" + body + struct.pack(">I", (count * MB % 65521) << 16 | 1)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, *, before: bytes = b"", idat: bytes | None = None,
        interlaced: int = 0, after: bytes = b"") -> bytes:  # fmt: skip
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if idat is None:
        idat = deflated_zeros(height * (1 + (width * depth * channels + 7) // 8))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", idat) + after + chunk(b"IEND", b"")


def picture(side: int = 128) -> np.ndarray:
    """A round bright thing on black, uint8."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    noise = np.random.default_rng(SEED).normal(0, 6, (side, side))
    return np.clip(220 - ((x - side / 2) ** 2 + (y - side / 2) ** 2) * 900 / side**2 + noise, 0, 255).astype(np.uint8)


def small_png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "PNG")
    return out.getvalue()


def in_small_png(extra: bytes) -> bytes:
    """Chunks put behind the header of a good image."""
    good = small_png()
    return good[:33] + extra + good[33:]


def jpeg(side: int = 128, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(side)).save(out, "JPEG", **options)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def dicom(syntax: str = ExplicitVRLittleEndian, **tags: object) -> bytes:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = MRImageStorage, "1.2.3.4", "MR"
    values: dict[str, object] = {
        "Rows": 128, "Columns": 128, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
        "PixelData": (picture().astype("<u2") * 4).tobytes(),
    }  # fmt: skip
    for name, value in {**values, **tags}.items():
        setattr(made, name, value)
    if "PixelData" in made:
        made["PixelData"].VR = "OB" if syntax not in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian) else "OW"
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def deflated(extra: bytes) -> bytes:
    """A deflated DICOM file with so much more behind its elements."""
    whole = dicom(DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    return whole[:start] + extra


def exif(entries: int, each: int) -> bytes:
    """EXIF whose entries all point at the same bytes: each reader that believes them copies these again and again."""
    head = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", entries)
    where = len(head) + entries * 12 + 4
    listed = b"".join(struct.pack("<HHII", 0x8000 + i, 7, each, where) for i in range(entries))
    return head + listed + bytes(4) + bytes(each)


# --- PNG ---------------------------------------------------------------------------------------------------


@bomb
def png_7000_rgba_16_bit() -> bytes:
    return png(7000, 7000, 16, 6)


@bomb
def png_50000_by_1000() -> bytes:
    return png(50_000, 1_000, 8, 0)


@bomb
def png_4096_rgba_16_bit() -> bytes:
    return png(4096, 4096, 16, 6)


@bomb
def png_30000_one_bit() -> bytes:
    return png(30_000, 30_000, 1, 0)


@bomb
def png_65000_palette() -> bytes:
    return png(65_000, 700, 8, 3, before=chunk(b"PLTE", bytes(768)))


@bomb
def png_7000_interlaced() -> bytes:
    return png(7000, 7000, 8, 2, interlaced=1)


@bomb
def png_two_billion_wide() -> bytes:
    return png(0x7FFFFFFF, 0x7FFFFFFF, 8, 2, idat=deflated_zeros(MB))


@bomb
def png_ztxt_of_a_gigabyte() -> bytes:
    return in_small_png(chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(1024 * MB)))


@bomb
def png_itxt_of_a_gigabyte() -> bytes:
    return in_small_png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + deflated_zeros(1024 * MB)))


@bomb
def png_iccp_of_a_gigabyte() -> bytes:
    return in_small_png(chunk(b"iCCP", b"profile\0\0" + deflated_zeros(1024 * MB)))


@bomb
def png_whose_pixels_go_on_for_a_gigabyte() -> bytes:
    return png(128, 128, 8, 0, idat=deflated_zeros(1024 * MB))


@bomb
def png_of_a_million_chunks() -> bytes:
    return in_small_png(chunk(b"teXt", b"") * 1_000_000)


@bomb
def png_of_half_a_million_empty_idat() -> bytes:
    good = small_png()
    at = good.index(b"IDAT") - 4
    return good[:at] + chunk(b"IDAT", b"") * 500_000 + good[at:]


@bomb
def png_animated_with_thousands_of_frames() -> bytes:
    return in_small_png(chunk(b"acTL", struct.pack(">II", 100_000, 0)))


@bomb
def png_exif_that_copies_itself() -> bytes:
    return in_small_png(chunk(b"eXIf", exif(20_000, 200_000)))


# --- JPEG --------------------------------------------------------------------------------------------------


def resized(data: bytes, rows: int, columns: int) -> bytes:
    """A JPEG whose header announces another size."""
    at = next(i for i in (data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) if i >= 0)
    return data[: at + 5] + struct.pack(">HH", rows, columns) + data[at + 9 :]


@bomb
def jpeg_65500_square() -> bytes:
    return resized(jpeg(), 65_500, 65_500)


@bomb
def jpeg_65500_by_32() -> bytes:
    return resized(jpeg(), 65_500, 32)


@bomb
def jpeg_progressive_4096_of_63_scans() -> bytes:
    return _scans(resized(jpeg(progressive=True), 4096, 4096), 63)


@bomb
def jpeg_progressive_of_ten_thousand_scans() -> bytes:
    return _scans(jpeg(progressive=True), 10_000)


def _scans(data: bytes, count: int) -> bytes:
    """A progressive JPEG whose first scan is repeated."""
    start = data.index(b"\xff\xda")
    second = data.index(b"\xff", start + 12)
    while data[second + 1] in (0, *range(0xD0, 0xD8)):
        second = data.index(b"\xff", second + 2)
    return data[:start] + data[start:second] * count + b"\xff\xd9"


@bomb
def jpeg_of_twenty_megabytes_of_rubbish() -> bytes:
    good = jpeg()
    return good[:2] + b"\x00" * (20 * MB) + good[2:]


@bomb
def jpeg_of_a_million_comments() -> bytes:
    good = jpeg()
    return good[:2] + segment(0xFE, b"") * 1_000_000 + good[2:]


@bomb
def jpeg_exif_that_copies_itself() -> bytes:
    good = jpeg()
    return good[:2] + segment(0xE1, b"Exif\0\0" + exif(2_600, 30_000)) + good[2:]


@bomb
def jpeg_whose_second_header_is_huge() -> bytes:
    good = jpeg()
    at = good.index(b"\xff\xc0")
    again = good[at : at + 2 + struct.unpack(">H", good[at + 2 : at + 4])[0]]
    return good[:at] + again + resized(again, 65_000, 65_000) + good[at + len(again) :]


@bomb
def jpeg_multi_picture_index_of_sixty_thousand() -> bytes:
    good = jpeg()
    index = b"MPF\0" + exif(2_600, 30_000)
    return good[:2] + segment(0xE2, index) + good[2:]


# --- DICOM -------------------------------------------------------------------------------------------------


@bomb
def dicom_deflated_of_two_gigabytes() -> bytes:
    return deflated(deflated_zeros(2048 * MB, raw=True))


@bomb
def dicom_deflated_of_120_megabytes() -> bytes:
    return deflated(deflated_zeros(120 * MB, raw=True))


@bomb
def dicom_deflated_whose_pixels_are_60_megabytes() -> bytes:
    whole = dicom(Rows=4096, Columns=4096, SamplesPerPixel=3, PlanarConfiguration=0,
                  PhotometricInterpretation="RGB", BitsAllocated=8, BitsStored=8, HighBit=7,
                  PixelData=b"")  # fmt: skip
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    body = whole[start : whole.index(b"\xe0\x7f\x10\x00")] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 48 * MB)
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = squeeze.compress(body) + squeeze.flush(zlib.Z_FULL_FLUSH)
    syntax = dicom(DeflatedExplicitVRLittleEndian)
    return syntax[: 144 + struct.unpack("<I", syntax[140:144])[0]] + head + deflated_zeros(48 * MB, raw=True)


def j2k(rows: int, columns: int, *, tile: tuple[int, int] | None = None, parts: int = 1, more: bytes = b"") -> bytes:
    """The main header of a JPEG 2000 stream (ISO/IEC 15444-1 A.5) and an empty tile."""
    wide, high = tile or (columns, rows)
    size = struct.pack(">H8IH", 0, columns, rows, 0, 0, wide, high, 0, 0, parts) + b"\x0f\x01\x01" * parts
    style = struct.pack(">BBHB5B", 0, 0, 1, 0, 5, 4, 4, 0, 1)
    quant = b"\x40" + bytes(8 * i for i in range(9, 25))
    tile_part = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14, 0, 1) + b"\xff\x93"
    return (
        b"\xff\x4f"
        + segment(0x51, size)
        + segment(0x52, style)
        + segment(0x5C, quant)
        + more
        + tile_part
        + b"\xff\xd9"
    )


def compressed(syntax: str, frame: bytes, **tags: object) -> bytes:
    return dicom(syntax, PixelData=encapsulate([frame]), **tags)


@bomb
def dicom_jpeg_2000_of_60000_square() -> bytes:
    return compressed(JPEG2000Lossless, j2k(60_000, 60_000), Rows=60_000, Columns=60_000)


@bomb
def dicom_jpeg_2000_larger_than_its_header() -> bytes:
    return compressed(JPEG2000Lossless, j2k(60_000, 60_000))


@bomb
def dicom_jpeg_2000_of_a_million_tiles() -> bytes:
    return compressed(JPEG2000Lossless, j2k(4096, 4096, tile=(4, 4)), Rows=4096, Columns=4096)


@bomb
def dicom_jpeg_2000_of_60_thousand_tiles() -> bytes:
    return compressed(JPEG2000Lossless, j2k(4096, 4096, tile=(17, 17)), Rows=4096, Columns=4096)


@bomb
def dicom_jpeg_2000_of_16_thousand_components() -> bytes:
    return compressed(JPEG2000Lossless, j2k(1024, 1024, parts=16_384), Rows=1024, Columns=1024)


@bomb
def dicom_jpeg_2000_within_bounds_without_data() -> bytes:
    return compressed(JPEG2000Lossless, j2k(4096, 4096), Rows=4096, Columns=4096)


@bomb
def dicom_jpeg_ls_of_65000_square() -> bytes:
    head = segment(0xF7, struct.pack(">BHHB", 16, 65_000, 65_000, 1) + b"\x01\x11\x00")
    frame = b"\xff\xd8" + head + segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(64) + b"\xff\xd9"
    return compressed(JPEGLSLossless, frame, Rows=65_000, Columns=65_000)


@bomb
def dicom_jpeg_of_65000_square() -> bytes:
    return compressed(JPEGBaseline8Bit, resized(jpeg(), 65_000, 65_000), Rows=65_000, Columns=65_000,
                      BitsAllocated=8, BitsStored=8, HighBit=7)  # fmt: skip


def rle(segments: list[bytes]) -> bytes:
    offsets = np.cumsum([64, *(len(each) for each in segments)])[:-1]
    header = struct.pack("<16I", len(segments), *offsets, *([0] * (15 - len(segments))))
    return header + b"".join(segments)


@bomb
def dicom_rle_that_unpacks_to_a_gigabyte() -> bytes:
    # A run of 128 bytes takes two.
    return compressed(RLELossless, rle([b"\x81\x00" * (8 * MB), b"\x81\x00" * 128]))


@bomb
def dicom_rle_of_single_bytes() -> bytes:
    side = 4096
    one = b"\x00\x07" * (side * side // 2)
    return compressed(RLELossless, rle([one]), Rows=side // 2, Columns=side, BitsAllocated=8, BitsStored=8, HighBit=7)


@bomb
def dicom_of_two_billion_frames() -> bytes:
    return dicom(NumberOfFrames="2000000000")


@bomb
def dicom_of_65535_square_without_pixels() -> bytes:
    return dicom(Rows=65_535, Columns=65_535)


@bomb
def dicom_of_4096_square_in_48_bits() -> bytes:
    return compressed(RLELossless, rle([b"\x81\x00" * (4096 * 32)] * 6), Rows=4096, Columns=4096, SamplesPerPixel=3,
                      PhotometricInterpretation="RGB", PlanarConfiguration=0)  # fmt: skip


def with_elements(elements: bytes) -> bytes:
    """A DICOM file with more elements before its pixels."""
    whole = dicom(ExplicitVRLittleEndian)
    at = whole.index(b"\xe0\x7f\x10\x00")
    return whole[:at] + elements + whole[at:]


@bomb
def dicom_of_a_million_elements() -> bytes:
    return with_elements(b"".join(struct.pack("<HH2sH", 0x0029 + 2 * (i >> 16), i & 0xFFFF, b"UN"[:2], 0) + bytes(4)
                                  for i in range(1_000_000)))  # fmt: skip


@bomb
def dicom_of_a_hundred_thousand_nested_sequences() -> bytes:
    step = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    return with_elements(step * 100_000)


@bomb
def dicom_of_a_million_fragments() -> bytes:
    empty = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    good = compressed(JPEG2000Lossless, j2k(128, 128))
    at = good.index(b"\xe0\x7f\x10\x00") + 12 + 8
    return good[:at] + empty * 1_000_000 + good[at:]


@bomb
def dicom_whose_palette_unfolds_to_a_billion_entries() -> bytes:
    # A segment of three words stands for 65,535 entries on a line (PS3.3 C.7.9.2).
    unfolding = struct.pack("<HHH", 0, 1, 0) + struct.pack("<HHH", 1, 65_535, 65_535) * 16_384
    colours = {f"Segmented{name}PaletteColorLookupTableData": unfolding for name in ("Red", "Green", "Blue")}
    sizes = {f"{name}PaletteColorLookupTableDescriptor": [0, 0, 16] for name in ("Red", "Green", "Blue")}
    return dicom(PhotometricInterpretation="PALETTE COLOR", **sizes, **colours)


@bomb
def dicom_with_a_number_of_ten_million_digits() -> bytes:
    digits = b"1" * (10 * MB)
    return with_elements(struct.pack("<HH2sHI", 0x0028, 0x1053, b"UT", 0, len(digits)) + digits)


# --- no image at all ---------------------------------------------------------------------------------------


@bomb
def zip_of_a_gigabyte() -> bytes:
    body = deflated_zeros(1024 * MB, raw=True)
    head = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(body), 1024 * MB, 1, 0)
    return head + b"a" + body


@bomb
def svg_of_a_billion_laughs() -> bytes:
    names = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY l0 "ha">{names}]><svg>&l9;</svg>'.encode()


@bomb
def tiff_of_sixty_thousand_square() -> bytes:
    entries = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    listed = b"".join(struct.pack("<HHII", *each) for each in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + listed + bytes(4) + deflated_zeros(64 * MB)
