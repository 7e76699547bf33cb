"""JPEG and PNG: sizes are read and chunks sorted out by hand before Pillow sees a byte.

Pillow's own guard against decompression bombs warns first and refuses late; the headers are so simple
that the sizes are read here, which also keeps text chunks and colour profiles (can be bombs) away.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile

from mlcore.decoded import Decoded, Refused, check_sides, colour_of

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
# A progressive JPEG may order any number of passes over the whole picture; real ones have about ten.
_MOST_SCANS = 64
# What libjpeg puts where a block is missing: zero coefficients, which is the middle grey.
_FILLING = 128
# Anything that is no marker; long enough to begin the next block.
_MORE = bytes((7 * i + 3) % 251 for i in range(512))
# By colour type, and by pass of an interlaced picture: left, top, step across, step down (PNG 1.2, 2.6).
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ORIENTATION = 0x0112
_COLOUR_SIDE = 64
_TURNS: dict[int, tuple[Image.Transpose, ...]] = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}


def decode_raster(data: bytes) -> Decoded:
    """Decode a JPEG or PNG file, told apart by its first bytes.

    Parameters
    ----------
    data : bytes
        The whole file, beginning with the magic bytes of JPEG or PNG.

    Returns
    -------
    Decoded
        8-bit luma (ITU-R BT.601), or uint16 for a 16-bit grey PNG; transparency laid over black, upright.

    Raises
    ------
    Refused
        `truncated`, `damaged`, `too_large`, `too_small`, `multi_frame`.
    """
    if data.startswith(PNG_MAGIC):
        clean, kind = _sorted_png(data), "png"
    else:
        for rows, columns in jpeg_sizes(data):
            check_sides(rows, columns)
        _check_jpeg_end(data)
        clean, kind = data, "jpeg"
    try:
        with Image.open(io.BytesIO(clean), formats=("JPEG", "PNG")) as image:
            check_sides(image.height, image.width)
            image.load()
            turn = _orientation(image)
            if kind == "jpeg" and _may_be_filled_up(image):
                _check_jpeg_whole(data, image)
            grey, colour = _grey(image)
    except Image.DecompressionBombError as error:
        raise Refused("too_large") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("truncated" if "truncated" in str(error) else "damaged") from error
    for step in _TURNS.get(turn, ()):
        grey = grey.transpose(step)
    pixels = np.array(grey)
    pixels = np.ascontiguousarray(pixels, dtype=np.uint16 if pixels.dtype.itemsize > 1 else np.uint8)
    return Decoded(
        pixels=pixels, format=kind, bits=pixels.dtype.itemsize * 8, meta={"format": kind.upper()}, colour=colour
    )


def jpeg_sizes(data: bytes) -> Iterator[tuple[int, int]]:
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
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker == 0xDA:
            if not seen:
                raise Refused("damaged")
            return
        else:
            # Frame headers, 0xF7 being that of JPEG-LS; the others in the range hold tables.
            if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
                if at + 9 > len(data):
                    break
                rows, columns = struct.unpack(">HH", data[at + 5 : at + 9])
                seen = True
                yield rows, columns
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise Refused("truncated")


def _check_jpeg_end(data: bytes) -> None:
    """Refuse a JPEG without its end marker: where little is missing, Pillow fills it with grey."""
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise Refused("damaged")
    if data.find(b"\xff\xd9", data.rfind(b"\xff\xda")) < 0:
        raise Refused("truncated")


def _may_be_filled_up(image: Image.Image) -> bool:
    """Tell whether the last block is of the one grey with which libjpeg fills what is missing."""
    corner = image.crop((image.width - 1, image.height - 1, image.width, image.height)).convert("L")
    return corner.getpixel((0, 0)) == _FILLING


def _check_jpeg_whole(data: bytes, image: Image.Image) -> None:
    """Refuse a JPEG whose end marker stands before the end of the picture.

    libjpeg fills the rest with grey and says so to nobody. It reads what is missing, though, where there is something
    to read: more bytes before the end marker change nothing but a picture that lacked them.
    """
    end = data.find(b"\xff\xd9", data.rfind(b"\xff\xda"))
    with Image.open(io.BytesIO(data[:end] + _MORE + data[end:]), formats=("JPEG",)) as longer:
        longer.load()
        if longer.tobytes() != image.tobytes():
            raise Refused("truncated")


def _check_png_whole(columns: int, rows: int, header: bytes, pixels: list[bytes]) -> None:
    """Refuse a PNG whose pixels end before the picture does: Pillow leaves the rest black and says so to nobody."""
    depth, colour, _, _, interlaced = header[8:13]
    bits = depth * _CHANNELS.get(colour, 0)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    needed = 0
    for left, top, step_x, step_y in passes:
        wide, high = (columns - left + step_x - 1) // step_x, (rows - top + step_y - 1) // step_y
        if wide > 0 and high > 0:
            needed += high * (1 + (wide * bits + 7) // 8)
    inflate, rest = zlib.decompressobj(), b"".join(pixels)
    while needed > 0 and not inflate.eof:
        part, rest = inflate.decompress(rest, 1 << 20), inflate.unconsumed_tail
        if not part and not rest:
            break
        needed -= len(part)
    if needed > 0:
        raise Refused("truncated")


def _sorted_png(data: bytes) -> bytes:
    """Check every chunk of a PNG file and keep only those that hold the picture."""
    kept, at, seen_header = [PNG_MAGIC], len(PNG_MAGIC), False
    header, pixels = b"", list[bytes]()
    while True:
        if at + 12 > len(data):
            raise Refused("truncated")
        length, name = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise Refused("truncated")
        if name == b"acTL":
            raise Refused("multi_frame", "The PNG file is animated; hand in the picture that matters alone.")
        if name in _PNG_KEPT:
            body = data[at + 8 : end - 4]
            if zlib.crc32(name + body) != struct.unpack(">I", data[end - 4 : end])[0]:
                raise Refused("damaged")
            if name == b"IHDR":
                if seen_header or length != 13:
                    raise Refused("damaged")
                columns, rows = struct.unpack(">II", body[:8])
                check_sides(rows, columns)
                seen_header, header = True, body
            elif not seen_header:
                raise Refused("damaged")
            if name == b"IDAT":
                pixels.append(body)
            kept.append(data[at:end])
        if name == b"IEND":
            if not seen_header:
                raise Refused("damaged")
            _check_png_whole(columns, rows, header, pixels)
            return b"".join(kept)
        at = end


def _orientation(image: ImageFile.ImageFile) -> int:
    """Give the EXIF orientation; 1 (upright) where unreadable, as a bad tag is no reason to refuse."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (ValueError, TypeError, SyntaxError, KeyError, IndexError, EOFError, OSError, struct.error):
        return 1


def _grey(image: Image.Image) -> tuple[Image.Image, float]:
    """Give one grey channel, 8-bit luma or the 16 bits of a grey PNG unchanged, and how coloured the image was."""
    if image.mode.startswith("I;16"):
        return image, 0.0
    if image.mode in ("I", "F"):
        return Image.fromarray(np.clip(np.asarray(image), 0, 65535).astype(np.uint16)), 0.0
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        black = Image.new("RGBA", clear.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, clear).convert("RGB")
    elif image.mode not in ("L", "RGB", "1"):
        image = image.convert("RGB")
    if image.mode != "RGB":
        return image.convert("L"), 0.0
    # A hint of colour, as JPEG leaves at edges, averages out in the smaller picture.
    return image.convert("L"), colour_of(np.asarray(image.reduce(max(1, min(image.size) // _COLOUR_SIDE))))
