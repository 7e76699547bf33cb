"""JPEG, segment by segment (ITU-T T.81, annex B): where the first image ends, and whether all of it is there.

A decoder looks for markers wherever it stands, so it takes the bytes of a maker note, of a film behind the picture or
of a second picture for parts of the first; and what is missing it fills with grey and says so to nobody.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mlcore.images.decoded import PIXEL_LIMIT, Refused, check_parts, check_sides
from mlcore.images.kinds import ADVICE, UNSUPPORTED

MAGIC = b"\xff\xd8\xff"
# A progressive JPEG may order any number of passes over the whole picture; real ones have about ten.
_MOST_SCANS = 64
# Of the largest picture.
_MOST_PASSES = 12
_SOI, _EOI, _SOS, _DNL, _TEM = 0xD8, 0xD9, 0xDA, 0xDC, 0x01
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_JPEG_LS = 0xF7
_HUFFMAN, _PROGRESSIVE, _ARITHMETIC = (0xC0, 0xC1, 0xC2), (0xC2, 0xCA), (0xC9, 0xCA)
# Tables: Huffman and arithmetic coding, quantisation, restart interval.
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)
_NOTES = (*range(0xE0, 0xF0), 0xFE)
# Of Adobe's note the last byte says how the colours were turned: 0 not, 1 YCbCr, 2 YCCK.
_ADOBE, _LAST_TRANSFORM = 0xEE, 2
# Of all notes only these change the picture: the colours (JFIF, Adobe), and which way is up (Exif).
_KEPT_NOTES = ((0xE0, b"JFIF\0"), (0xE1, b"Exif\0\0"), (_ADOBE, b"Adobe"))
_COEFFICIENTS = 64
# In entropy-coded data FF 00 is a byte FF, FF FF a filling, FF D0 to FF D7 a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILL = re.compile(rb"\xff+")
_FILLED = re.compile(rb"\xff\xff+")
# The first bytes of the next image. In no table can they stand: a step of 0, or a symbol twice, is none.
_SWALLOWED = re.compile(rb"\xff\xd8\xff[^\x00\xff]\x00")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
# What libjpeg puts where a block is missing: zero coefficients, which is the middle grey; next to it where inverted.
_FILLING = (127, 128)
# Anything that is no marker; long enough to begin the next block.
_MORE = bytes((7 * i + 3) % 251 for i in range(512))
# A tall block of a thinned colour picture: four of eight rows.
_TALLEST_BLOCK = 32


@dataclass
class Jpeg:
    """The first image of a file.

    Attributes
    ----------
    parts : list of bytes
        The image, segment by segment, without notes that do not change it; one part for each scan's coded data.
    coded : list of int
        Which of the parts are coded data.
    frame : int
        The marker of its frame header; 0 before that was seen.
    density : (int, int) or None
        Pixels per length across and down, as JFIF says.
    rows : int
        Its lines; 0 until they were told.
    header : int
        Which of the parts is the frame header.
    left : dict of int to list of bool
        By component, which of its 64 coefficients no scan has told to the last bit.
    """

    parts: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    coded: list[int] = field(default_factory=list)
    frame: int = 0
    density: tuple[int, int] | None = None
    rows: int = 0
    header: int = 0
    left: dict[int, list[bool]] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The image as a file that ends where the image ends."""
        return b"".join(self.parts)

    def check_whole(self, image: Image.Image) -> None:
        """Refuse an image that libjpeg has filled up.

        libjpeg reads what is missing where there is something to read: more bytes before the end of a scan, or before
        a restart, change nothing but a picture that lacked them.

        Parameters
        ----------
        image : PIL.Image.Image
            Decoded from `data`.

        Raises
        ------
        Refused
            `truncated`.
        """
        restarts = any(_RESTART.search(self.parts[at]) for at in self.coded)
        if len(self.coded) == 1 and not restarts and not _may_be_filled_up(image):
            return
        longer = list(self.parts)
        for at in self.coded:
            longer[at] = _RESTART.sub(lambda found: _MORE + found[0], longer[at]) + _MORE
        with Image.open(io.BytesIO(b"".join(longer)), formats=("JPEG",)) as again:
            again.load()
            one, other = np.asarray(image), np.asarray(again)
        if self.frame in _ARITHMETIC:
            # An arithmetic coder leaves out the zeros at the end of a scan, so that its last blocks may change.
            one, other = one[:-_TALLEST_BLOCK], other[:-_TALLEST_BLOCK]
        if not np.array_equal(one, other):
            raise Refused("truncated")


def first_image(data: bytes) -> Jpeg:
    """Walk a JPEG file to the end of its first image; what lies behind it is not looked at.

    Parameters
    ----------
    data : bytes
        The whole file, beginning with the start of an image.

    Returns
    -------
    Jpeg
        The image.

    Raises
    ------
    Refused
        `truncated` where the image ends before its end marker, or lacks scans; `damaged` where it breaks the
        format; `too_large`, `too_small` and the like by its size; `unsupported_format` for a kind that is not read.
    """
    image, at, count = Jpeg(), 2, 0
    while True:
        count += 1
        check_parts(count)
        marker, at = _next_marker(data, at)
        if marker == _EOI:
            break
        if marker == _SOI:
            # The next image begins, and this one had no end.
            raise Refused("truncated")
        if marker == _TEM or marker in _RESTARTS:
            continue
        body, at = _body(data, at)
        _take_segment(image, marker, body)
        if marker == _SOS:
            at = _take_coded(image, data, at)
    image.parts.append(b"\xff\xd9")
    _check_complete(image)
    _check_passes(image)
    return image


def sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk the markers of a JPEG stream up to its first scan and give each (rows, columns) announced.

    Raises
    ------
    Refused
        `truncated` where the stream ends before a scan, `damaged` where no size was announced.
    """
    at, seen = 2, False
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in (0x00, _TEM, _SOI) or marker in _RESTARTS:
            at += 2
        elif marker == _SOS:
            if not seen:
                raise Refused("damaged")
            return
        else:
            if marker in _FRAMES or marker == _JPEG_LS:
                if at + 9 > len(data):
                    break
                rows, columns = struct.unpack(">HH", data[at + 5 : at + 9])
                seen = True
                yield rows, columns
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise Refused("truncated")


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Give the marker that must stand here, behind any filling, and where it ends."""
    filling = _FILL.match(data, at)
    if filling is None and at < len(data):
        raise Refused("damaged")
    if filling is None or filling.end() == len(data):
        raise Refused("truncated")
    marker = data[filling.end()]
    if marker == 0x00:
        raise Refused("damaged")
    return marker, filling.end() + 1


def _body(data: bytes, at: int) -> tuple[bytes, int]:
    """Give what a segment holds behind its length, which stands here, and where it ends."""
    if at + 2 > len(data):
        raise Refused("truncated")
    end = at + struct.unpack(">H", data[at : at + 2])[0]
    if end < at + 2:
        raise Refused("damaged")
    if end > len(data):
        raise Refused("truncated")
    return data[at + 2 : end], end


def _take_segment(image: Jpeg, marker: int, body: bytes) -> None:
    """Keep a segment, or leave it out where it does not change the picture."""
    if marker in _FRAMES or marker == _JPEG_LS:
        _take_frame(image, marker, body)
    elif marker == _SOS:
        _take_scan(image, body)
    elif marker == _DNL:
        _take_height(image, body)
        return
    elif marker in _NOTES:
        if not _read_note(image, marker, body):
            return
    elif marker in _TABLES:
        if _SWALLOWED.search(body):
            raise Refused("truncated")
    else:
        # Within coded data nothing else may stand: the picture broke off.
        raise Refused("truncated" if image.coded else "damaged")
    image.parts.append(bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body)


def _read_note(image: Jpeg, marker: int, body: bytes) -> bool:
    """Take from a note what it says of the density; tell whether it is one of those that change the picture."""
    if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
        image.density = struct.unpack(">HH", body[8:12])
    if not any(marker == kept and body.startswith(name) for kept, name in _KEPT_NOTES):
        return False
    if marker == _ADOBE and (len(body) < 12 or body[11] > _LAST_TRANSFORM):
        raise Refused("damaged")
    return True


def _take_frame(image: Jpeg, marker: int, body: bytes) -> None:
    if image.frame or len(body) < 6 or len(body) != 6 + 3 * body[5] or not 2 <= body[0] <= 16:
        raise Refused("damaged")
    precision, rows, columns = struct.unpack(">BHH", body[:5])
    if marker not in _HUFFMAN + _ARITHMETIC or precision != 8:
        name = f"JPEG of {precision} bits" if precision != 8 else "lossless or hierarchical JPEG"
        name = "JPEG-LS" if marker == _JPEG_LS else name
        raise Refused("unsupported_format", f"{UNSUPPORTED.format(name=name)} {ADVICE['picture']}")
    if rows:
        check_sides(rows, columns)
    image.frame, image.rows, image.header = marker, rows, len(image.parts)
    image.left = {body[6 + 3 * i]: [True] * _COEFFICIENTS for i in range(body[5])}


def _take_scan(image: Jpeg, body: bytes) -> None:
    many = body[0] if body else 0
    if not image.frame or not 1 <= many <= 4 or len(body) != 4 + 2 * many or len(image.coded) >= _MOST_SCANS:
        raise Refused("damaged")
    first, last, bits = body[1 + 2 * many : 4 + 2 * many]
    if image.frame not in _PROGRESSIVE:
        first, last, bits = 0, _COEFFICIENTS - 1, 0
    for component in body[1 : 1 + 2 * many : 2]:
        if component not in image.left or not first <= last < _COEFFICIENTS:
            raise Refused("damaged")
        if bits & 0x0F == 0:
            image.left[component][first : last + 1] = [False] * (last + 1 - first)


def _take_coded(image: Jpeg, data: bytes, at: int) -> int:
    """Keep a scan's coded data, which stand here, without filling; give where they end."""
    found = _MARKER.search(data, at)
    if found is None:
        raise Refused("truncated")
    image.coded.append(len(image.parts))
    image.parts.append(_FILLED.sub(b"\xff", data[at : found.start()].rstrip(b"\xff")))
    _check_restarts(image.parts[-1])
    return found.start()


def _take_height(image: Jpeg, body: bytes) -> None:
    """Write the number of lines, which stands behind the first scan, into the frame header, where decoders look."""
    if not image.coded or len(body) != 2:
        raise Refused("damaged")
    if image.rows:
        return
    (image.rows,) = struct.unpack(">H", body)
    header = image.parts[image.header]
    check_sides(image.rows, struct.unpack(">H", header[7:9])[0])
    image.parts[image.header] = header[:5] + body + header[7:]


def _check_restarts(coded: bytes) -> None:
    """Refuse coded data with a hole: restarts are numbered from 0 to 7, over and over."""
    for number, found in enumerate(_RESTART.finditer(coded)):
        if found[1][0] != 0xD0 + number % 8:
            raise Refused("damaged")


def _check_complete(image: Jpeg) -> None:
    if not image.coded or not image.rows:
        raise Refused("damaged")
    if any(any(left) for left in image.left.values()):
        # A progressive picture that broke off between two scans is whole to a decoder, and blurred.
        raise Refused("truncated")


def _check_passes(image: Jpeg) -> None:
    """Refuse a picture of the largest size that is told in many more passes than any is: each takes its time."""
    (columns,) = struct.unpack(">H", image.parts[image.header][7:9])
    if image.rows * columns * len(image.coded) > _MOST_PASSES * PIXEL_LIMIT:
        raise Refused("too_large", f"The image is too large: {columns} × {image.rows} pixels in many passes.")


def _may_be_filled_up(image: Image.Image) -> bool:
    """Tell whether the last block is of the one grey with which libjpeg fills what is missing."""
    corner = np.asarray(image.crop((image.width - 1, image.height - 1, image.width, image.height)))
    return bool(np.isin(corner, _FILLING).all())
