import datetime
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from mlcore.images.decode import ACCEPTED, REFUSALS, Refused, decode, to_display
from tests.mlcore.phantom import DATA, head, jpeg, png

MR = get_testdata_file("MR_small.dcm")


def file(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    return Path(path).read_bytes()


def dicom(pixels: np.ndarray, **tags) -> bytes:
    """Write an MR image with any tags changed; None leaves one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["phantom"])
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    signed = int(pixels.dtype.kind == "i")
    colour = pixels.ndim == 3
    values = {
        "Modality": "MR",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": pixels.dtype.itemsize * 8 - 1,
        "PixelRepresentation": signed,
        "PixelData": pixels.tobytes(),
        **({"PlanarConfiguration": 0} if colour else {}),
        **tags,
    }
    for name, value in values.items():
        if value is not None:
            setattr(made, name, value)
    if "PixelData" in made:
        made["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_size(columns: int, rows: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def animated() -> bytes:
    buffer = io.BytesIO()
    first, second = (Image.fromarray(head(i, tumour=False)) for i in range(2))
    first.save(buffer, "PNG", save_all=True, append_images=[second])
    return buffer.getvalue()


def as_format(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(head(1, tumour=True)).save(buffer, name)
    return buffer.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


WORD = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
PICTURE = png(head(1, tumour=True))
PHOTO = jpeg(head(1, tumour=True))

REFUSED = {
    "nothing": (b"", "empty"),
    "a sentence": (b"This is no image at all, just a sentence.", "not_an_image"),
    "zeros": (b"\0" * 5000, "not_an_image"),
    "a GIF": (as_format("GIF"), "unsupported_format"),
    "a BMP": (as_format("BMP"), "unsupported_format"),
    "a TIFF": (as_format("TIFF"), "unsupported_format"),
    "a PDF": (b"%PDF-1.7 and so on", "unsupported_format"),
    "a ZIP": (b"PK\x03\x04 and so on", "unsupported_format"),
    "half a PNG": (PICTURE[: len(PICTURE) // 2], "truncated"),
    "a PNG without its end": (PICTURE[:-6], "truncated"),
    "half a JPEG": (PHOTO[: len(PHOTO) // 2], "truncated"),
    "a JPEG without its end": (PHOTO[:-2], "truncated"),
    "the first bytes of a PNG": (PICTURE[:6], "truncated"),
    "a PNG with an altered byte": (flipped(PICTURE, len(PICTURE) // 2), "damaged"),
    "a PNG of noughts": (png_of_size(64, 64), "truncated"),
    "a small PNG": (png(head(1, tumour=False, side=31)), "too_small"),
    "a PNG that says it is vast": (png_of_size(100_000, 100_000), "too_large"),
    "a JPEG that says it is vast": (
        PHOTO.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65000, 65000), 1),
        "too_large",
    ),
    "an animated PNG": (animated(), "multi_frame"),
    "a CT": (file("CT_small.dcm"), "not_mr"),
    "a cut DICOM": (file("MR_truncated.dcm"), "truncated"),
    "a DICOM without pixels": (dicom(WORD, PixelData=None), "no_pixels"),
    "a DICOM that lacks some of its frames": (
        dicom(WORD, NumberOfFrames=3, PixelData=WORD.tobytes() * 2),
        "truncated",
    ),
    "a DICOM that says it is vast": (dicom(WORD, Rows=60000, Columns=60000), "too_large"),
    "a DICOM with vast frames": (dicom(WORD, NumberOfFrames=1_000_000), "too_large"),
    "a small DICOM": (dicom(WORD[:16, :16].copy()), "too_small"),
    "a DICOM of strange colour": (dicom(WORD, PhotometricInterpretation="HSV"), "colour_dicom"),
    "a DICOM of video": (
        dicom(WORD, syntax=MPEG2MPML, PixelData=encapsulate([b"\0\0\0\0"])),
        "unsupported_format",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_decode_refuses(name):
    data, code = REFUSED[name]
    with pytest.raises(Refused) as caught:
        decode(data)
    assert caught.value.code == code
    assert caught.value.code in REFUSALS
    assert caught.value.sentence.endswith(ACCEPTED)
    assert len(caught.value.sentence) > len(ACCEPTED) + 10


def test_a_deflated_bomb_is_refused_before_it_is_inflated():
    plain = dicom(WORD, syntax=DeflatedExplicitVRLittleEndian)
    assert decode(plain).pixels.shape == (64, 64)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"\0" * (200 * 1024 * 1024)) + deflate.flush()
    meta_end = plain.index(b"1.2.840.10008.1.2.1.99")
    meta_length = struct.unpack("<I", plain[140:144])[0]
    assert meta_end < 144 + meta_length
    with pytest.raises(Refused) as caught:
        decode(plain[: 144 + meta_length] + bomb)
    assert caught.value.code == "too_large"


def test_a_text_bomb_in_a_png_is_never_opened():
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "a" * 10_000_000, zip=True)
    buffer = io.BytesIO()
    Image.fromarray(head(1, tumour=True)).save(buffer, "PNG", pnginfo=info)
    assert np.array_equal(decode(buffer.getvalue()).pixels, head(1, tumour=True))


def test_a_jpeg_2000_stream_larger_than_its_header_is_refused():
    data = file("MR_small_jp2klossless.dcm")
    at = data.index(b"\xff\x4f\xff\x51") + 8
    huge = data[:at] + struct.pack(">II", 60000, 60000) + data[at + 8 :]
    with pytest.raises(Refused) as caught:
        decode(huge)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("seed", range(4))
def test_decode_raises_nothing_but_refused_whatever_the_bytes(seed):
    rng = np.random.default_rng(seed)
    sources = [PICTURE, PHOTO, file("MR_small.dcm"), file("MR_small_RLE.dcm"), file("MR_small_jp2klossless.dcm")]
    sources.append(file("MR_small_jpeg_ls_lossless.dcm"))
    sources.append(dicom(WORD, NumberOfFrames=3, PixelData=WORD.tobytes() * 3))
    for source in sources:
        for _ in range(25):
            data = bytearray(source)
            for at in rng.integers(0, len(data), 8):
                data[at] = rng.integers(0, 256)
            cut = int(rng.integers(1, len(data)))
            for altered in (bytes(data), bytes(data[:cut])):
                try:
                    decoded = decode(altered)
                except Refused:
                    continue
                assert decoded.pixels.dtype in (np.uint8, np.uint16, np.int16, np.float32)
                assert to_display(decoded).dtype == np.uint8


SIBLINGS = [
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
]


@pytest.mark.parametrize("name", SIBLINGS)
def test_every_lossless_transfer_syntax_gives_the_same_values(name):
    plain, other = decode(file("MR_small.dcm")), decode(file(name))
    assert other.pixels.dtype == np.int16
    assert other.pixels.flags.c_contiguous
    assert np.array_equal(plain.pixels, other.pixels)
    assert (other.centre, other.width, other.spacing) == (600.0, 1600.0, (0.3125, 0.3125))
    assert other.study_date == datetime.date(2004, 8, 26)


def test_jpeg_baseline_colour_without_modality_becomes_luma():
    decoded = decode(file("SC_jpeg_no_color_transform.dcm"))
    assert (decoded.pixels.dtype, decoded.pixels.ndim) == (np.uint8, 2)


def phantom(side: int) -> np.ndarray:
    return head(3, side=side, tumour=True)


@pytest.mark.parametrize(
    "tags",
    [{name: value} for name in ("RescaleSlope", "RescaleIntercept") for value in ("1e300", "-1e39")],
)
def test_rescaling_that_leaves_float32_is_refused(tags):
    with pytest.raises(Refused) as refused:
        decode(dicom(phantom(64).astype(np.uint16), **tags))
    assert refused.value.code == "damaged"


@pytest.mark.parametrize("window", [("1e50", "100"), ("0", "1e50"), ("0", "1e-60")])
def test_windows_and_spacing_that_leave_float32_count_as_missing(window):
    tags = {
        "WindowCenter": window[0],
        "WindowWidth": window[1],
        "VOILUTFunction": "LINEAR_EXACT",
        "PixelSpacing": ["1e50", "1e50"],
    }
    decoded = decode(dicom(phantom(64).astype(np.uint16), **tags))
    assert decoded.centre is None and decoded.presets == () and decoded.spacing is None


def test_a_dicom_that_begins_in_the_middle_of_group_2_is_read():
    made = io.BytesIO()
    mr = "1.2.840.10008.5.1.4.1.1.4"
    dataset = pydicom.dcmread(io.BytesIO(dicom(phantom(64).astype(np.uint16), SOPClassUID=mr)))
    dataset.save_as(made, implicit_vr=False, little_endian=True)
    whole = made.getvalue()
    bare = whole[whole.index(b"\x02\x00\x02\x00UI") :]
    assert decode(bare).pixels.shape == (64, 64)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_whose_pixels_end_early_is_refused(mode, interlaced):
    """Pillow would leave the missing rows black: half a brain that looks whole."""
    out = io.BytesIO()
    Image.fromarray(phantom(96)).convert(mode).save(out, format="PNG")
    data = out.getvalue()
    parts, at, rows = [data[:8]], 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if name == b"IDAT":
            rows += body
        elif name == b"IEND":
            # The same bytes are of another size as an interlaced picture, so either way some are missing.
            parts += [chunk(b"IDAT", zlib.compress(zlib.decompress(rows)[:-97])), chunk(name, body)]
        else:
            changed = body[:12] + bytes([interlaced]) if name == b"IHDR" else body
            parts.append(chunk(name, changed))
        at += 12 + length
    assert decode(data).pixels.shape == (96, 96)
    with pytest.raises(Refused) as refused:
        decode(b"".join(parts))
    assert refused.value.code in ("truncated", "damaged")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_that_was_cut_and_given_an_end_is_refused(share, mode):
    """libjpeg would fill what is missing with grey: half a brain that looks like an odd one."""
    out = io.BytesIO()
    Image.fromarray(phantom(256)).convert(mode).save(out, format="JPEG", quality=90)
    data = out.getvalue()
    with pytest.raises(Refused) as refused:
        decode(data[: int(len(data) * share)] + b"\xff\xd9")
    assert refused.value.code in ("truncated", "damaged")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_ends_in_middle_grey_is_whole(progressive):
    out = io.BytesIO()
    grey = phantom(128)
    grey[-40:] = 128
    Image.fromarray(grey).save(out, format="JPEG", quality=95, progressive=progressive)
    assert decode(out.getvalue()).pixels[-1, -1] == 128


def test_meta_holds_no_word_of_the_patient():
    decoded = decode(file("MR_small.dcm"))
    dataset = pydicom.dcmread(MR)
    words = " ".join(decoded.meta.values())
    for name in ("PatientName", "PatientID", "InstitutionName", "SeriesDescription", "StudyDescription"):
        value = str(dataset.get(name, ""))
        assert not value or value not in words


def test_rescale_window_and_inversion_reach_the_screen():
    values = np.tile(np.arange(0, 640, 10, dtype=np.int16), (64, 1))
    data = dicom(values, RescaleSlope="2", RescaleIntercept="-100", WindowCenter="400", WindowWidth="200")
    decoded = decode(data)
    assert (decoded.slope, decoded.intercept, decoded.presets) == (2.0, -100.0, (("Window 1", 400.0, 200.0),))
    shown = to_display(decoded)[0]
    true = values[0] * 2.0 - 100.0
    expected = np.clip(((true - 399.5) / 199.0 + 0.5) * 255.0, 0, 255)
    assert np.abs(shown - expected).max() <= 0.5
    inverted = dicom(
        values,
        RescaleSlope="2",
        RescaleIntercept="-100",
        WindowCenter="400",
        WindowWidth="200",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert np.array_equal(to_display(decode(inverted))[0], 255 - shown)


@pytest.mark.parametrize(
    ("function", "at_centre", "at_edge"), [("LINEAR_EXACT", 127.5, 255.0), ("SIGMOID", 127.5, 255 / (1 + np.e**-2))]
)
def test_the_other_voi_functions(function, at_centre, at_edge):
    values = np.full((64, 64), 300, np.int16)
    values[0, 0] = 400
    shown = to_display(decode(dicom(values, WindowCenter="300", WindowWidth="200", VOILUTFunction=function)))
    assert abs(shown[5, 5] - at_centre) <= 0.5
    assert abs(shown[0, 0] - at_edge) <= 0.5


def slope(side: int = 64) -> np.ndarray:
    return (np.add.outer(np.arange(side), np.arange(side)) * 8 + 100).astype(np.uint16)


def test_a_dicom_without_preamble_is_read_where_its_header_is_whole():
    whole = dicom(slope(), SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    wanted = decode(whole).pixels
    assert np.array_equal(decode(whole[132:]).pixels, wanted)
    at = whole.index(b"\x08\x00\x16\x00UI")
    assert np.array_equal(decode(whole[at:]).pixels, wanted)


@pytest.mark.parametrize("kind", ["no class", "no pixels", "cut", "noise behind a tag"])
def test_what_only_begins_like_a_dicom_without_preamble_is_refused(kind):
    stored = "1.2.840.10008.5.1.4.1.1.4"
    data = {
        "no class": dicom(slope())[132:],
        "no pixels": dicom(slope(), SOPClassUID=stored, PixelData=None, PatientComments="x" * 2000)[132:],
        "cut": dicom(slope(), SOPClassUID=stored)[132:2000],
        "noise behind a tag": b"\x08\x00\x05\x00" + np.random.default_rng(1).bytes(5000),
    }[kind]
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.code in {"not_an_image", "no_pixels", "truncated", "damaged"}


def test_padding_bends_no_scale():
    values = slope()
    padded = values.copy()
    padded[:20] = 65535
    shown = to_display(decode(dicom(padded, PixelPaddingValue=65535)))
    assert not shown[:20].any()
    assert shown[20:].max() == 255
    limits = {"PixelPaddingValue": 65000, "PixelPaddingRangeLimit": 65535}
    inverted = to_display(decode(dicom(padded, PhotometricInterpretation="MONOCHROME1", **limits)))
    assert not inverted[:20].any()
    assert inverted[20:].max() == 255


def test_several_windows_become_numbered_presets():
    data = dicom(WORD, WindowCenter=["100", "200"], WindowWidth=["50", "60"])
    assert decode(data).presets == (("Window 1", 100.0, 50.0), ("Window 2", 200.0, 60.0))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "LA", "1"])
def test_every_way_to_store_grey_gives_the_same_grey(mode):
    pixels = head(3, tumour=True)
    image = Image.fromarray(pixels)
    if mode == "1":
        pixels = np.where(pixels > 100, 255, 0).astype(np.uint8)
        image = Image.fromarray(pixels)
    if mode == "CMYK":
        buffer = io.BytesIO()
        image.convert("RGB").convert("CMYK").save(buffer, "JPEG", quality=100)
        assert np.abs(decode(buffer.getvalue()).pixels.astype(int) - pixels).mean() < 3
        return
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "PNG")
    assert np.array_equal(decode(buffer.getvalue()).pixels, pixels)


def test_transparency_lies_over_black():
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[:32, :, 3] = 0
    shown = decode(png(pixels)).pixels
    assert (shown[:32].max(), shown[32:].min()) == (0, 255)


def test_sixteen_bits_of_a_png_are_kept():
    values = (np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64)
    decoded = decode(png(values))
    assert (decoded.pixels.dtype, decoded.bits) == (np.uint16, 16)
    assert np.array_equal(decoded.pixels, values)


def test_exif_orientation_is_applied():
    pixels = np.zeros((64, 96), np.uint8)
    pixels[:32, :48] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(jpeg(pixels, exif=exif.tobytes())).pixels
    assert turned.shape == (96, 64)
    assert turned[10, 50] > 200 > turned[10, 10]


def test_to_display_makes_smaller_only():
    decoded = decode(png(head(1, tumour=False, side=200)))
    assert to_display(decoded, max_side=50).shape == (50, 50)
    assert to_display(decoded, max_side=500).shape == (200, 200)


def test_light_modules_load_nothing_heavy():
    code = (
        "import importlib, pkgutil, sys\n"
        "for name in ('images', 'data', 'model', 'measure', 'gate'):\n"
        "    package = importlib.import_module(f'mlcore.{name}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, f'mlcore.{name}.'):\n"
        "        importlib.import_module(module.name)\n"
        "assert 'mlcore.images.dicom.decode' in sys.modules\n"
        "assert not {'cv2', 'tensorflow', 'sklearn', 'keras', 'scipy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_images_are_all_read():
    if not DATA.is_dir():
        pytest.skip("the shared images are not here")
    for path in sorted(DATA.glob("*/*/*"))[::40]:
        assert min(decode(path.read_bytes()).pixels.shape) >= 32
