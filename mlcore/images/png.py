"""PNG, chunk by chunk (PNG 1.2): checked, and rid of what holds no picture, before a decoder sees a byte."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mlcore.images.decoded import Refused, check_parts, check_raw, check_sides

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
_PALETTE = 3
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
# By pass of an interlaced picture: left, top, step across, step down (PNG 1.2, 2.6).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHANNELS = {GREY: 1, COLOUR: 3, _PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}


@dataclass
class Png:
    """A PNG file.

    Attributes
    ----------
    parts : list of bytes
        Its magic and those of its chunks that hold the picture.
    columns, rows : int
        Its size.
    depth : int
        Bits of a sample.
    colour : int
        Its colour type.
    clear : tuple of int
        The one grey (one number) or colour (three) that is transparent, as stored; empty where there is none.
    density : (int, int) or None
        Pixels per length across and down.
    interlaced : bool
        Whether the picture is told in seven passes.
    pixels : list of bytes
        The compressed pixels, chunk by chunk.
    """

    parts: list[bytes] = field(default_factory=lambda: [MAGIC])
    columns: int = 0
    rows: int = 0
    depth: int = 0
    colour: int = 0
    clear: tuple[int, ...] = ()
    density: tuple[int, int] | None = None
    interlaced: bool = False
    pixels: list[bytes] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """The picture as a file of its own."""
        return b"".join(self.parts)

    def without_clear(self, image: Image.Image) -> Image.Image:
        """Blacken the one transparent value in 8-bit grey or RGB; others than Pillow know how it was scaled."""
        if not self.clear or image.mode not in ("1", "L", "RGB"):
            return image
        pixels = np.array(image.convert("L") if image.mode == "1" else image)
        scale = 255 // (2**self.depth - 1)
        told = np.array(self.clear) * scale
        pixels[(pixels == told) if pixels.ndim == 2 else (pixels == told).all(axis=2)] = 0
        return Image.fromarray(pixels)


def read(data: bytes) -> Png:
    """Check every chunk of a PNG file and keep only those that hold the picture.

    Raises
    ------
    Refused
        `truncated`, `damaged`, `multi_frame`, or by its size.
    """
    png, at, count = Png(), len(MAGIC), 0
    while True:
        count += 1
        check_parts(count)
        if at + 12 > len(data):
            raise Refused("truncated")
        length, name = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise Refused("truncated")
        if name == b"acTL":
            raise Refused("multi_frame", "The PNG file is animated; upload the relevant picture alone.")
        if name in _KEPT:
            body = data[at + 8 : end - 4]
            if zlib.crc32(name + body) != struct.unpack(">I", data[end - 4 : end])[0]:
                raise Refused("damaged")
            _take_chunk(png, name, body, data[at:end])
        elif name == b"pHYs" and length == 9 and not png.pixels:
            png.density = struct.unpack(">II", data[at + 8 : at + 16])
        if name == b"IEND":
            _check_whole(png)
            return png
        at = end


def _take_chunk(png: Png, name: bytes, body: bytes, whole: bytes) -> None:
    if name == b"IHDR":
        if png.rows or len(body) != 13:
            raise Refused("damaged")
        png.columns, png.rows = struct.unpack(">II", body[:8])
        check_sides(png.rows, png.columns)
        png.depth, png.colour, _, _, interlaced = body[8:]
        png.interlaced = bool(interlaced)
        check_raw(png.rows, png.columns, png.depth * _CHANNELS.get(png.colour, 0))
    elif not png.rows:
        raise Refused("damaged")
    if name == b"IDAT":
        png.pixels.append(body)
    if name == b"tRNS" and png.colour != _PALETTE:
        # A transparent value is looked for in the stored values, which Pillow has scaled by then.
        if not png.pixels and len(body) == {GREY: 2, COLOUR: 6}.get(png.colour, -1):
            told = struct.unpack(f">{len(body) // 2}H", body)
            png.clear = tuple(value & (2**png.depth - 1) for value in told)
        return
    png.parts.append(whole)


def _check_whole(png: Png) -> None:
    """Refuse a PNG whose pixels end before the picture does: Pillow leaves the rest black and says so to nobody."""
    if not png.rows:
        raise Refused("damaged")
    bits = png.depth * _CHANNELS.get(png.colour, 0)
    passes = _ADAM7 if png.interlaced else ((0, 0, 1, 1),)
    needed = 0
    for left, top, step_x, step_y in passes:
        wide, high = (png.columns - left + step_x - 1) // step_x, (png.rows - top + step_y - 1) // step_y
        if wide > 0 and high > 0:
            needed += high * (1 + (wide * bits + 7) // 8)
    inflate, rest = zlib.decompressobj(), b"".join(png.pixels)
    while needed > 0 and not inflate.eof:
        part, rest = inflate.decompress(rest, 1 << 20), inflate.unconsumed_tail
        if not part and not rest:
            break
        needed -= len(part)
    if needed > 0:
        raise Refused("truncated")
