"""Compressed frames of a DICOM file: what a stream is, how large, and whether whole, before a decoder sees it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mlcore.images.decoded import Refused, check_parts

_JPEG, _JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP"
# Frame headers of JPEG (ISO/IEC 10918-1 B.2.2) and JPEG-LS (14495-1 C.2.2): the decoder itself tells sequential,
# progressive and arithmetic ones apart.
_LOSSY, _LOSSLESS, _NEAR = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA), (0xC3,), (0xF7,)
_FRAME_HEADERS = {*range(0xC0, 0xD0), *_NEAR} - {0xC4, 0xC8, 0xCC}
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_CODESTREAM, _START_OF_TILE_PART = b"\xff\x4f", b"\xff\x90"
_RLE_HEADER = 64
_MOST_SEGMENTS = 15


@dataclass(frozen=True)
class Stream:
    """What a compressed frame says of itself; sizes are 0 for RLE, which says nothing.

    `kind` is the transfer syntax of the decoder that reads it, whatever the file says.
    """

    kind: UID
    rows: int = 0
    columns: int = 0
    samples: int = 0
    precision: int = 0


def stream_of(frame: bytes) -> Stream | None:
    """Tell what a frame is by its first bytes; None where it is no known stream.

    Raises
    ------
    Refused
        `truncated`, `damaged` where its header ends early or contradicts itself.
    """
    if frame.startswith(_JPEG):
        return _jpeg(frame)
    if frame.startswith((_JPEG_2000, _JP2_BOX)):
        return _jpeg_2000(frame)
    if len(frame) >= _RLE_HEADER:
        segments, first = struct.unpack("<II", frame[:8])
        if 0 < segments <= _MOST_SEGMENTS and first == _RLE_HEADER:
            return Stream(RLELossless)
    return None


def _jpeg(frame: bytes) -> Stream:
    found = {_frame_header(frame, marker, at) for marker, at in _segments(frame) if marker in _FRAME_HEADERS}
    if len(found) != 1:
        raise Refused("damaged")
    return found.pop()


def _frame_header(frame: bytes, marker: int, at: int) -> Stream:
    if marker not in _LOSSY + _LOSSLESS + _NEAR or at + 8 > len(frame):
        raise Refused("damaged")
    precision, rows, columns, samples = struct.unpack(">BHHB", frame[at + 2 : at + 8])
    if not 2 <= precision <= 16:
        raise Refused("damaged")
    return Stream(_jpeg_kind(marker, precision), rows, columns, samples, precision)


def _jpeg_kind(marker: int, precision: int) -> UID:
    if marker in _LOSSLESS:
        return JPEGLosslessSV1
    if marker in _NEAR:
        return JPEGLSLossless
    return JPEGBaseline8Bit if precision == 8 else JPEGExtended12Bit


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Walk the marker segments up to the first scan; give (marker, where its length stands)."""
    at = 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:  # GDCM would end the whole process over it
            raise Refused("damaged")
        if frame[at + 1] == 0xFF:
            at += 1
        elif frame[at + 1] in (0x00, 0x01) or 0xD0 <= frame[at + 1] <= 0xD8:
            at += 2
        elif frame[at + 1] == 0xDA:
            return
        else:
            yield frame[at + 1], at + 2
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise Refused("truncated")


def _jpeg_2000(frame: bytes) -> Stream:
    """Read the SIZ segment (ISO/IEC 15444-1 A.5.1)."""
    at = frame.find(_JPEG_2000)
    if at < 0 or at + 45 > len(frame):
        raise Refused("truncated")
    right, bottom, left, top = struct.unpack(">4I", frame[at + 8 : at + 24])
    samples, depth = struct.unpack(">HB", frame[at + 40 : at + 43])
    if right <= left or bottom <= top:
        raise Refused("damaged")
    return Stream(JPEG2000, bottom - top, right - left, samples, (depth & 0x7F) + 1)


def check_tiles(frame: bytes) -> None:
    """Refuse a JPEG 2000 stream that lacks a part of a tile: decoders would show what is there, blurred or black."""
    at = frame.find(_JPEG_2000)
    tiles = _number_of_tiles(frame, at)
    # For each tile decoders set aside some kilobytes, whatever is in it.
    check_parts(tiles)
    if len(_tiles_from(frame, _first_tile_part(frame, at))) < tiles:
        raise Refused("truncated")


def _number_of_tiles(frame: bytes, at: int) -> int:
    """Read from the SIZ segment of a stream how many tiles cover its image (ISO/IEC 15444-1 A.5.1)."""
    right, bottom, _, _, wide, high, left, top = struct.unpack(">8I", frame[at + 8 : at + 40])
    if not wide or not high:
        raise Refused("damaged")
    return -(-(right - left) // wide) * -(-(bottom - top) // high)


def _first_tile_part(frame: bytes, at: int) -> int:
    """Walk the segments of the main header; give where the first part of a tile begins."""
    at += len(_START_OF_CODESTREAM)
    while frame[at : at + 2] != _START_OF_TILE_PART:
        if at + 4 > len(frame) or frame[at] != 0xFF:
            raise Refused("truncated" if at + 4 > len(frame) else "damaged")
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return at


def _tiles_from(frame: bytes, at: int) -> set[int]:
    """Walk the parts of tiles (ISO/IEC 15444-1 A.4.2), each of which must be whole; give the tiles that are there."""
    seen = set()
    while frame[at : at + 2] == _START_OF_TILE_PART:
        if at + 12 > len(frame):
            raise Refused("truncated")
        tile, length = struct.unpack(">HI", frame[at + 4 : at + 10])
        seen.add(tile)
        if length == 0:  # up to the end of the stream
            if frame.rfind(_END_OF_IMAGE) < at:
                raise Refused("truncated")
            break
        if length < 12 or at + length > len(frame):
            raise Refused("truncated")
        at += length
    return seen


def checked_jpeg_ls(frame: bytes) -> bytes:
    """Give a JPEG-LS stream up to its end marker; refuse one without, as CharLS would go on looking for seconds."""
    end = frame.rfind(_END_OF_IMAGE)
    if end < 0:
        raise Refused("truncated")
    return frame[: end + len(_END_OF_IMAGE)]


def checked_rle(frame: bytes, pixels: int, segments: int) -> bytes:
    """Make sure that an RLE frame (DICOM PS3.5 annex G) unpacks to what the header says.

    Parameters
    ----------
    frame : bytes
        Header and segments.
    pixels : int
        Bytes that each segment must give.
    segments : int
        Bytes of a pixel.

    Returns
    -------
    bytes
        The frame, each segment without what follows its last pixel.

    Raises
    ------
    Refused
        `damaged`, `truncated`.
    """
    count, *starts = struct.unpack("<16I", frame[:_RLE_HEADER])
    if count != segments:
        raise Refused("damaged", "The DICOM file is damaged: header and image disagree about the bits of a pixel.")
    ends = [*starts[1:count], len(frame)]
    parts, at = list[bytes](), [_RLE_HEADER]
    for start, end in zip(starts, ends, strict=False):
        if not _RLE_HEADER <= start <= end <= len(frame):
            raise Refused("truncated" if end > len(frame) else "damaged")
        part = frame[start : _end_of_segment(frame, start, end, pixels)]
        parts.append(part)
        at.append(at[-1] + len(part))
    return struct.pack("<16I", count, *at[:-1], *[0] * (_MOST_SEGMENTS - count)) + b"".join(parts)


def _end_of_segment(frame: bytes, at: int, end: int, pixels: int) -> int:
    """Walk from run to run, unpacking nothing, until there are enough bytes."""
    given = 0
    while given < pixels:
        if at >= end:
            raise Refused("truncated")
        control = frame[at]
        if control < 128:
            given += control + 1
            at += control + 2
        elif control > 128:
            given += 257 - control
            at += 2
        else:
            at += 1
    if at > end:
        raise Refused("truncated")
    if given > pixels:
        raise Refused("damaged")
    return at
