"""JPEG and PNG to one grey image: their structure is walked by hand before Pillow sees a byte.

Pillow's own guard against decompression bombs warns first and refuses late; the headers are so simple
that the sizes are read here, which also keeps text chunks and colour profiles (can be bombs) away.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile

from mlcore.images import jpeg, png
from mlcore.images.decoded import Decoded, Refused, check_sides, colour_of

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
# These exchange width and height.
_TURNS_ASIDE = (5, 6, 7, 8)
# Of sixteen bits Pillow hands out the upper or the lower byte of each sample; of grey with alpha, which is as wide as
# 8-bit RGBA, all four bytes at once.
_HALVES = {
    png.COLOUR: ("RGB;16B", "RGB;16L"),
    png.COLOUR_ALPHA: ("RGBA;16B", "RGBA;16L"),
    png.GREY_ALPHA: ("RGBA",),
}
_ROWS_AT_ONCE = 256
# Two densities differ by less where one was rounded; where they differ by more, no pixel is so long.
_NEARLY_SQUARE, _LONGEST_PIXEL = 1.005, 20.0


def decode_raster(data: bytes) -> Decoded:
    """Decode a JPEG or PNG file, told apart by its first bytes.

    Parameters
    ----------
    data : bytes
        The whole file, beginning with the magic bytes of JPEG or PNG.

    Returns
    -------
    Decoded
        Luma (ITU-R BT.601), uint8, or uint16 for a PNG of 16 bits; transparency laid over black, upright.

    Raises
    ------
    Refused
        `truncated`, `damaged`, `too_large`, `too_small`, `elongated`, `multi_frame`, `unsupported_format`.
    """
    file = png.read(data) if data.startswith(png.MAGIC) else jpeg.first_image(data)
    grey, colour, turn = _through_pillow(file)
    for step in _TURNS.get(turn, ()):
        grey = grey.transpose(step)
    pixels = _pixels(grey, file)
    aspect = _aspect(file.density)
    kind = "png" if isinstance(file, png.Png) else "jpeg"
    return Decoded(
        pixels=pixels,
        aspect=1 / aspect if turn in _TURNS_ASIDE else aspect,
        format=kind,
        bits=pixels.dtype.itemsize * 8,
        meta={"format": kind.upper()},
        colour=colour,
    )


def _through_pillow(file: png.Png | jpeg.Jpeg) -> tuple[Image.Image, float, int]:
    """Decode a file whose structure holds: one grey channel, how coloured the image was, and its orientation.

    Raises
    ------
    Refused
        Whatever Pillow says of the file.
    """
    try:
        with _opened(file.data) as image:
            check_sides(image.height, image.width)
            turn = _orientation(image)
            return *_grey_of_file(file, image), turn
    except Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused("too_large") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise Refused("truncated" if "truncated" in str(error) else "damaged") from error


def _grey_of_file(file: png.Png | jpeg.Jpeg, image: ImageFile.ImageFile) -> tuple[Image.Image, float]:
    if isinstance(file, png.Png) and file.depth == 16 and file.colour in _HALVES:
        return _grey_of_sixteen(file)
    image.load()
    if isinstance(file, png.Png):
        return _grey(file.without_clear(image))
    file.check_whole(image)
    return _grey(image)


def _pixels(grey: Image.Image, file: png.Png | jpeg.Jpeg) -> np.ndarray:
    """Give a grey channel as uint8 or uint16 (H, W), black where a grey PNG names one value as transparent."""
    pixels = np.array(grey)
    pixels = np.ascontiguousarray(pixels, dtype=np.uint16 if pixels.dtype.itemsize > 1 else np.uint8)
    if isinstance(file, png.Png) and pixels.dtype == np.uint16 and len(file.clear) == 1:
        pixels[pixels == file.clear[0]] = 0
    return pixels


def _opened(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))


def _orientation(image: ImageFile.ImageFile) -> int:
    """Give the EXIF orientation; 1 (upright) where unreadable, as a bad tag is no reason to refuse."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (ValueError, TypeError, SyntaxError, KeyError, IndexError, EOFError, OSError, struct.error):
        return 1


def _aspect(density: tuple[int, int] | None) -> float:
    """Give height by width of a pixel: whatever the unit of the two densities is, it is the same."""
    if density is None or 0 in density:
        return 1.0
    aspect = density[0] / density[1]
    return aspect if _NEARLY_SQUARE <= max(aspect, 1 / aspect) <= _LONGEST_PIXEL else 1.0


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


def _grey_of_sixteen(file: png.Png) -> tuple[Image.Image, float]:
    """Give the luma of a PNG of 16 bits with colour or alpha, which Pillow cuts to 8, and how coloured it was."""
    halves: list[np.ndarray] = []
    colour = 0.0
    for raw in _HALVES[file.colour]:
        with _opened(file.data) as image:
            image.tile = [tile._replace(args=raw) for tile in image.tile]
            image.load()
            if not halves and file.colour != png.GREY_ALPHA:
                colour = _grey(image.reduce(max(1, min(image.size) // _COLOUR_SIDE)))[1]
            halves.append(np.asarray(image))
    grey = np.empty((file.rows, file.columns), np.uint16)
    for top in range(0, file.rows, _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        if len(halves) == 2:
            samples = halves[0][rows].astype(np.uint32) << 8 | halves[1][rows]
        else:
            samples = halves[0][rows, :, ::2].astype(np.uint32) << 8 | halves[0][rows, :, 1::2]
        grey[rows] = _luma(samples, file)
    return Image.fromarray(grey), colour


def _luma(samples: np.ndarray, file: png.Png) -> np.ndarray:
    """Give luma over black for uint32 (H, W, channels) of 16 bits, in whole numbers: no product leaves 32 bits."""
    if file.colour == png.GREY_ALPHA:
        luma = samples[..., 0]
    else:
        luma = (samples[..., 0] * 299 + samples[..., 1] * 587 + samples[..., 2] * 114 + 500) // 1000
    if file.colour == png.COLOUR:
        return np.where((samples == file.clear).all(axis=2), 0, luma) if file.clear else luma
    return np.asarray((luma * samples[..., -1] + 32767) // 65535)
