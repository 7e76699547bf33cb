"""PNG in every depth and kind of colour: what is grey keeps its bits, what is transparent lies over black."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mlcore.images.decode import Refused, decode
from tests.mlcore.phantom import head, png

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def lines(samples: np.ndarray, depth: int, filtered: int) -> bytes:
    """Pack and filter the lines of (H, W, channels): by the filter of that number, or by all five in turn where 5."""
    high, wide, channels = samples.shape
    if depth == 16:
        packed = samples.astype(">u2").view(np.uint8).reshape(high, -1)
    elif depth == 8:
        packed = samples.astype(np.uint8).reshape(high, -1)
    else:
        bits = (samples.reshape(high, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.astype(np.uint8).reshape(high, -1), axis=1)
    step, out = max(1, depth * channels // 8), []
    above = np.zeros(packed.shape[1], np.int64)
    for y, line in enumerate(packed.astype(np.int64)):
        left = np.concatenate((np.zeros(step, np.int64), line[:-step]))
        corner = np.concatenate((np.zeros(step, np.int64), above[:-step]))
        guess = left + above - corner
        apart = [abs(guess - left), abs(guess - above), abs(guess - corner)]
        paeth = np.where(
            (apart[0] <= apart[1]) & (apart[0] <= apart[2]), left, np.where(apart[1] <= apart[2], above, corner)
        )
        kind = y % 5 if filtered == 5 else filtered
        taken = (0, left, above, (left + above) // 2, paeth)[kind]
        out.append(bytes([kind]) + ((line - taken) % 256).astype(np.uint8).tobytes())
        above = line
    return b"".join(out)


def written(
    samples: np.ndarray, depth: int, colour: int, *, interlaced: bool = False, filtered: int = 5, **chunks: bytes
) -> bytes:
    """Write (H, W, channels) as a PNG file, by the format's own words, with further chunks before the pixels."""
    high, wide, _ = samples.shape
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [samples[top::down, left::across] for left, top, across, down in passes]
    body = b"".join(lines(part, depth, filtered) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", wide, high, depth, colour, 0, 0, int(interlaced))
    told = b"".join(chunk(name.encode(), inside) for name, inside in chunks.items())
    return MAGIC + chunk(b"IHDR", header) + told + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def true_values(side: int = 72, depth: int = 16) -> np.ndarray:
    """A head that uses the low bits as well."""
    rng = np.random.default_rng(8)
    wide = head(3, tumour=True, side=side).astype(np.int64) * 257
    return (np.clip(wide + rng.integers(-100, 100, wide.shape), 0, 65535) >> (16 - depth)).astype(np.int64)


def luma(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., :3] @ np.array([0.299, 0.587, 0.114])


VALUES = true_values()
OPAQUE = np.full_like(VALUES, 65535)
EACH = pytest.mark.parametrize("interlaced", [False, True])


@EACH
@pytest.mark.parametrize("filtered", range(6))
@pytest.mark.parametrize("colour", [GREY, RGB, GREY_ALPHA, RGBA])
def test_sixteen_bits_of_grey_are_kept_however_they_are_stored(colour, filtered, interlaced):
    alpha = [OPAQUE] if colour in (GREY_ALPHA, RGBA) else []
    grey = [VALUES] * (3 if colour in (RGB, RGBA) else 1)
    data = written(np.stack(grey + alpha, axis=-1), 16, colour, interlaced=interlaced, filtered=filtered)
    decoded = decode(data)
    assert decoded.pixels.dtype == np.uint16
    assert decoded.bits == 16
    assert decoded.colour == 0.0
    assert np.array_equal(decoded.pixels, VALUES)
    # The writer of this test is right: an own decoder of the format says the same.
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(theirs if theirs.ndim == 2 else theirs[..., 0], VALUES)


@EACH
@pytest.mark.parametrize("colour", [RGB, RGBA])
def test_colour_of_sixteen_bits_becomes_luma_of_sixteen(colour, interlaced):
    rng = np.random.default_rng(2)
    samples = rng.integers(0, 65536, (40, 50, 3))
    stored = np.dstack((samples, np.full((40, 50), 65535))) if colour == RGBA else samples
    decoded = decode(written(stored, 16, colour, interlaced=interlaced))
    assert decoded.pixels.dtype == np.uint16
    assert np.abs(decoded.pixels - luma(samples)).max() <= 0.5 + 1e-6
    assert decoded.colour > 0.1


@EACH
@pytest.mark.parametrize("colour", [GREY_ALPHA, RGBA])
def test_sixteen_bits_of_transparency_lie_over_black(colour, interlaced):
    alpha = np.random.default_rng(1).integers(0, 65536, VALUES.shape)
    alpha[:20], alpha[20:30] = 0, 65535
    grey = [VALUES] * (3 if colour == RGBA else 1)
    decoded = decode(written(np.stack([*grey, alpha], axis=-1), 16, colour, interlaced=interlaced))
    assert np.abs(decoded.pixels - VALUES * (alpha / 65535)).max() <= 0.5 + 1e-6
    assert not decoded.pixels[:20].any()
    assert np.array_equal(decoded.pixels[20:30], VALUES[20:30])


@EACH
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_one_transparent_value_of_grey_is_black(depth, interlaced):
    values = true_values(depth=depth)
    largest = 2**depth - 1
    told = int(np.bincount(values.ravel())[1:].argmax()) + 1
    data = written(values[..., None], depth, GREY, interlaced=interlaced, tRNS=struct.pack(">H", told))
    decoded = decode(data)
    assert decoded.pixels.dtype == (np.uint16 if depth == 16 else np.uint8)
    clear = values == told
    assert clear.any()
    assert not clear.all()
    assert not decoded.pixels[clear].any()
    assert np.array_equal(decoded.pixels[~clear], values[~clear] * (1 if depth == 16 else 255 // largest))


@EACH
@pytest.mark.parametrize("depth", [8, 16])
def test_one_transparent_colour_is_black(depth, interlaced):
    values = true_values(depth=depth)
    samples = np.stack([values] * 3, axis=-1)
    samples[10:30, 10:30] = (3, 2**depth - 2, 77)
    told = struct.pack(">HHH", 3, 2**depth - 2, 77)
    # Two of the three agree here, which is another colour.
    samples[40:50, 40:50] = (3, 2**depth - 2, 78)
    decoded = decode(written(samples, depth, RGB, interlaced=interlaced, tRNS=told))
    assert not decoded.pixels[10:30, 10:30].any()
    assert decoded.pixels[40:50, 40:50].all()


def test_a_transparent_value_of_the_wrong_length_counts_as_missing():
    """As libpng has it: the picture is whole, and what the note means nobody knows."""
    for told in (b"", b"\0", b"\0\0\0\0"):
        assert np.array_equal(decode(written(VALUES[..., None], 16, GREY, tRNS=told)).pixels, VALUES)


def test_significant_bits_change_no_value():
    """sBIT says how many bits were meant; the stored values are the true ones (PNG 1.2, 4.2.6)."""
    twelve = VALUES >> 4
    assert np.array_equal(decode(written(twelve[..., None], 16, GREY, sBIT=b"\x0c")).pixels, twelve)
    both = np.stack((twelve, OPAQUE), axis=-1)
    assert np.array_equal(decode(written(both, 16, GREY_ALPHA, sBIT=b"\x0c\x10")).pixels, twelve)


def test_a_sixteen_bit_picture_turned_by_exif_is_turned_back():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(np.stack((VALUES, OPAQUE), axis=-1), 16, GREY_ALPHA, eXIf=exif.tobytes()[6:])
    assert np.array_equal(decode(data).pixels, np.rot90(VALUES, -1))


@pytest.mark.parametrize("colour", [RGB, GREY_ALPHA, RGBA])
@pytest.mark.parametrize("interlaced", [False, True])
def test_sixteen_bits_that_end_early_are_refused(colour, interlaced):
    samples = np.stack([VALUES] * CHANNELS[colour], axis=-1)
    whole = written(samples, 16, colour, interlaced=interlaced)
    body = zlib.decompress(whole[whole.index(b"IDAT") + 4 : whole.index(b"IEND") - 8])
    short = whole[: whole.index(b"IDAT") - 4] + chunk(b"IDAT", zlib.compress(body[:-9])) + chunk(b"IEND", b"")
    with pytest.raises(Refused) as refused:
        decode(short)
    assert refused.value.code == "truncated"


def test_eight_bits_stay_as_they_were():
    grey = head(4, tumour=True, side=80)
    for mode in ("L", "LA", "RGB", "RGBA", "P"):
        out = io.BytesIO()
        Image.fromarray(grey).convert(mode).save(out, "PNG")
        decoded = decode(out.getvalue())
        assert decoded.pixels.dtype == np.uint8
        assert np.array_equal(decoded.pixels, grey)
    assert np.array_equal(decode(png(grey)).pixels, grey)
