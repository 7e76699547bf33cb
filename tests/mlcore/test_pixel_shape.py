"""Pixels that are no squares in JPEG and PNG: shown in their true shape, never measured in millimetres."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from diagnostics.scans.intake import ingest
from mlcore.images.decode import decode
from tests.mlcore.phantom import head, jpeg
from tests.mlcore.test_png import GREY, chunk, written

SIDE = 96
PIXELS = head(2, tumour=True, side=SIDE)


def png_of(density: bytes, **chunks: bytes) -> bytes:
    return written(PIXELS[..., None], 8, GREY, pHYs=density, **chunks)


def jpeg_of(unit: int, across: int, down: int, *, turned: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = jpeg(PIXELS, exif=exif) if turned != 1 else jpeg(PIXELS)
    at = data.index(b"JFIF\0") + 7
    return data[:at] + struct.pack(">BHH", unit, across, down) + data[at + 5 :]


CASES = {
    "twice as high": (2000, 1000, 2.0),
    "twice as wide": (1000, 2000, 0.5),
    "a little higher": (1050, 1000, 1.05),
    "square": (1000, 1000, 1.0),
    "rounded": (2834, 2835, 1.0),
    "ten times as high": (10, 1, 10.0),
    "nothing told": (0, 0, 1.0),
    "half told": (2000, 0, 1.0),
    "no pixel at all": (60000, 1, 1.0),
}


@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_a_png_is_shown_in_its_true_shape(case, unit):
    across, down, aspect = CASES[case]
    decoded = decode(png_of(struct.pack(">IIB", across, down, unit)))
    assert decoded.aspect == pytest.approx(aspect)
    assert decoded.spacing is None
    assert np.array_equal(decoded.pixels, PIXELS)


@pytest.mark.parametrize("unit", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_a_jpeg_is_shown_in_its_true_shape(case, unit):
    across, down, aspect = CASES[case]
    decoded = decode(jpeg_of(unit, across, down))
    assert decoded.aspect == pytest.approx(aspect)
    assert decoded.spacing is None


def test_a_shape_of_the_wrong_length_or_behind_the_pixels_counts_as_missing():
    assert decode(png_of(struct.pack(">II", 2000, 1000))).aspect == 1.0
    late = png_of(b"")
    end = late.index(b"IEND") - 4
    behind = late[:end] + chunk(b"pHYs", struct.pack(">IIB", 2000, 1000, 1)) + late[end:]
    assert decode(behind).aspect == 1.0


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_turned_picture_s_pixels_turn_with_it(turned):
    expected = 0.5 if turned >= 5 else 2.0
    exif = Image.Exif()
    exif[0x0112] = turned
    density = struct.pack(">IIB", 2000, 1000, 0)
    assert decode(png_of(density, eXIf=exif.tobytes()[6:])).aspect == pytest.approx(expected)
    assert decode(jpeg_of(0, 2, 1, turned=turned)).aspect == pytest.approx(expected)


@pytest.mark.parametrize("data", [png_of(struct.pack(">IIB", 2000, 1000, 1)), jpeg_of(2, 200, 100)])
def test_lists_and_viewer_get_the_shape_and_no_millimetres(data):
    taken = ingest(data)
    with Image.open(io.BytesIO(taken.preview)) as preview:
        assert preview.height == pytest.approx(2 * preview.width, abs=1)
    version, row, column = struct.unpack_from("<4xH26xff", taken.pixels)
    # Version 3: the two are no millimetres.
    assert version == 3
    assert row == pytest.approx(2 * column)
