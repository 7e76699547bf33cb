"""A file that is not read here is named, and whoever uploaded it is told what to do."""

import bz2
import gzip
import io
import logging
import lzma
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from django.utils import translation
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame

from diagnostics.scans.stored_messages import in_words
from mlcore.images.decode import Refused, decode
from mlcore.images.decoded import ACCEPTED
from mlcore.images.kinds import ADVICE, kind_of
from tests.mlcore.phantom import head, jpeg, png
from tests.mlcore.test_decode import WORD, dicom

PIXELS = head(1, tumour=True)


def pillow(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def box(major: bytes, *others: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(others)
    return struct.pack(">I", len(brands) + 8) + b"ftyp" + brands + bytes(200)


def nifti(order: str, magic: bytes = b"n+1\0") -> bytes:
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 3, 64, 64, 8, 1, 1, 1, 1)
    header[344:348] = magic
    return bytes(header) + bytes(64 * 64 * 8)


def nifti_2(order: str) -> bytes:
    return struct.pack(f"{order}i", 540) + b"n+2\0\r\n\x1a\n" + bytes(532)


def archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in files.items():
            file.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return out.getvalue()


def tar(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        told = tarfile.TarInfo("a.png")
        told.size = 3
        file.addfile(told, io.BytesIO(b"abc"))
    return out.getvalue()


def jpeg_ls() -> bytes:
    stored = dcmread(get_testdata_file("JPEGLSNearLossless_08.dcm", download=False))
    return bytes(get_frame(stored.PixelData, 0, number_of_frames=1))


def directory() -> bytes:
    return dicom(WORD, PixelData=None).replace(b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0")


META = b"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(
    128
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
DOCTYPE = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
ENTITIES = b'<!DOCTYPE svg [ <!ENTITY a "<b>"> <!ENTITY c "]"> ]>'
PROLOGUE = b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
MINC = b"\x89HDF\r\n\x1a\n"

FILES = {
    "heic": (box(b"heic", b"mif1", b"heic"), "HEIC", "picture"),
    "heix": (box(b"heix", b"mif1"), "HEIC", "picture"),
    "mif1 first": (box(b"mif1", b"heic", b"miaf"), "HEIC", "picture"),
    "hevc sequence": (box(b"msf1", b"hevc"), "HEIC", "picture"),
    "avif": (box(b"avif", b"mif1", b"miaf"), "AVIF", "picture"),
    "avif by brand": (box(b"mif1", b"avif", b"miaf"), "AVIF", "picture"),
    "avif by Pillow": (pillow("AVIF"), "AVIF", "picture"),
    "raw": (box(b"crx ", b"isom"), "CR3", "picture"),
    "film": (box(b"isom", b"mp42"), "MP4 or QuickTime", "film"),
    "film of a telephone": (box(b"qt  "), "MP4 or QuickTime", "film"),
    "old film": (b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(100), "QuickTime", "film"),
    "JPEG XL": (b"\xff\x0a" + bytes(100), "JPEG XL", "picture"),
    "JPEG XL in boxes": (b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"jxl "), "JPEG XL", "picture"),
    "JPEG 2000": (pillow("JPEG2000", no_jp2=False), "JPEG 2000", "picture"),
    "JPEG 2000 codestream": (pillow("JPEG2000", no_jp2=True), "JPEG 2000", "picture"),
    "JPEG XR": (b"II\xbc\x01" + bytes(100), "JPEG XR", "picture"),
    "NIfTI": (nifti("<"), "NIfTI", "volume"),
    "NIfTI of big ends": (nifti(">"), "NIfTI", "volume"),
    "NIfTI in two files": (nifti("<", b"ni1\0"), "NIfTI", "volume"),
    "NIfTI-2": (nifti_2("<"), "NIfTI-2", "volume"),
    "NIfTI-2 of big ends": (nifti_2(">"), "NIfTI-2", "volume"),
    "Analyze": (nifti("<", b"\0\0\0\0"), "Analyze or NIfTI", "volume"),
    "Analyze of big ends": (nifti(">", b"\0\0\0\0")[:348], "Analyze or NIfTI", "volume"),
    "NIfTI, compressed": (gzip.compress(nifti("<")), "NIfTI, gzip", "volume"),
    "NIfTI of big ends, compressed": (gzip.compress(nifti(">"), 1), "NIfTI, gzip", "volume"),
    "NIfTI-2, compressed": (gzip.compress(nifti_2("<")), "NIfTI-2, gzip", "volume"),
    "NRRD": (b"NRRD0005\ntype: short\n", "NRRD", "volume"),
    "MetaImage": (META, "MetaImage", "volume"),
    "MetaImage with a comment": (b"Comment = a head\r\n" + META.replace(b"\n", b"\r\n"), "MetaImage", "volume"),
    "MetaImage by sides": (b"NDims = 3\nDimSize = 2 2 2\nElementDataFile = a.raw\n", "MetaImage", "volume"),
    "MINC 1": (b"CDF\x01" + bytes(100), "NetCDF (MINC)", "volume"),
    "MINC 2": (MINC + bytes(100), "HDF5 (MINC 2)", "volume"),
    "MINC 2 behind a block": (bytes(512) + MINC + bytes(100), "HDF5 (MINC 2)", "volume"),
    "MGH": (struct.pack(">6i", 1, 256, 256, 256, 1, 0) + bytes(300), "MGH", "volume"),
    "MGZ": (gzip.compress(struct.pack(">6i", 1, 256, 256, 256, 1, 3) + bytes(300)), "MGH, gzip", "volume"),
    "AFNI": (b"\ntype  = string-attribute\nname  = HISTORY_NOTE\n", "AFNI", "volume"),
    "NumPy": (b"\x93NUMPY\x01\0" + bytes(100), "NumPy", "volume"),
    "TIFF": (pillow("TIFF"), "TIFF", "picture"),
    "TIFF of big ends": (b"MM\0*" + bytes(100), "TIFF", "picture"),
    "BigTIFF": (b"II+\0\x08\0" + bytes(100), "BigTIFF", "picture"),
    "BigTIFF of big ends": (b"MM\0+\0\x08" + bytes(100), "BigTIFF", "picture"),
    "GIF": (pillow("GIF"), "GIF", "picture"),
    "BMP": (pillow("BMP"), "BMP", "picture"),
    "WebP": (pillow("WEBP"), "WebP", "picture"),
    "PNM": (pillow("PPM"), "PNM", "picture"),
    "ICO": (pillow("ICO"), "ICO", "picture"),
    "PSD": (b"8BPS\0\x01" + bytes(100), "Photoshop (PSD)", "picture"),
    "SVG": (SVG, "SVG", "picture"),
    "SVG with a mark": (b"\xef\xbb\xbf" + SVG, "SVG", "picture"),
    "SVG declared": (PROLOGUE + SVG, "SVG", "picture"),
    "SVG with it all": (
        b"\xef\xbb\xbf\n" + PROLOGUE + b"<!-- made by <svg> -->\n" + DOCTYPE + b"\n<!-- > -->" + SVG,
        "SVG",
        "picture",
    ),
    "SVG with entities": (PROLOGUE + ENTITIES + b"\n" + SVG, "SVG", "picture"),
    "SVG with a style": (b"<?xml version='1.0'?><?xml-stylesheet href='a>b.css'?>" + SVG, "SVG", "picture"),
    "SVG with a prefix": (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "SVG", "picture"),
    "SVG of two bytes": ((PROLOGUE + SVG).decode().encode("utf-16"), "SVG", "picture"),
    "SVG, compressed": (gzip.compress(PROLOGUE + SVG), "SVG, gzip", "archive"),
    "HTML": (b"\n<!DOCTYPE HTML><html><body>Not found</body></html>", "HTML", "document"),
    "XML": (PROLOGUE + b"<ClinicalDocument/>", "XML", "document"),
    "PDF": (b"%PDF-1.7\n" + bytes(100), "PDF", "document"),
    "PDF behind a line": (b"\r\n%PDF-1.4\n" + bytes(100), "PDF", "document"),
    "ZIP": (archive(a_png=png(PIXELS)), "ZIP", "archive"),
    "ZIP without files": (archive(), "ZIP", "archive"),
    "Word": (archive(_Content_Types=b"", word__document_xml=b"<w/>"), "Office", "document"),
    "old Word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "Office", "document"),
    "gzip": (gzip.compress(png(PIXELS)), "gzip", "archive"),
    "gzip of a DICOM file": (gzip.compress(dicom(WORD)), "gzip", "archive"),
    "gzip twice": (gzip.compress(gzip.compress(nifti("<"))), "gzip", "archive"),
    "gzip, cut": (gzip.compress(nifti("<"))[:12], "gzip", "archive"),
    "tar": (tar("w"), "tar", "archive"),
    "tar, compressed": (tar("w:gz"), "tar, gzip", "archive"),
    "bzip2": (bz2.compress(b"a"), "bzip2", "archive"),
    "xz": (lzma.compress(b"a"), "xz", "archive"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7-Zip", "archive"),
    "RAR": (b"Rar!\x1a\x07\x01\0" + bytes(20), "RAR", "archive"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST" + bytes(20), "AVI", "film"),
    "WebM": (b"\x1a\x45\xdf\xa3" + bytes(20), "Matroska or WebM", "film"),
    "DICOMDIR": (directory(), "DICOMDIR", "list"),
    "JPEG-LS": (b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x40\x00\x40\x01\x01\x11\x00" + bytes(90), "JPEG-LS", "picture"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_another_kind_is_named_and_advice_given(file):
    data, name, advice = FILES[file]
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.code == "unsupported_format"
    assert refused.value.sentence == f"Unsupported file type: {name}. {ADVICE[advice]} {ACCEPTED}"


def test_what_is_read_here_and_what_nobody_knows_is_of_no_other_kind():
    for data in (
        png(PIXELS),
        jpeg(PIXELS),
        dicom(WORD),
        b"just a sentence",
        bytes(5000),
        b"BMW",
        b"P 5 letters",
        b"",
        b"<",
    ):
        assert kind_of(data) is None
    rng = np.random.default_rng(1)
    assert sum(kind_of(rng.bytes(2000)) is not None for _ in range(3000)) <= 3


def test_naming_a_kind_takes_no_time_and_raises_nothing():
    hostile = [b"<!---->" * 10_000, b"<?" * 30_000, b"<!DOCTYPE " + b"[<" * 30_000, b"\0" * 70_000 + SVG]
    hostile += [gzip.compress(bytes(100_000_000)), b"\x1f\x8b\x08" + b"\xff" * 1000]
    for name in FILES:
        data = FILES[name][0]
        hostile += [data[:cut] for cut in (1, 2, 3, 4, 5, 8, 9, 12, 20, 40, 100, 300)]
    for data in hostile:
        kind_of(data)


def test_a_kind_is_named_in_the_language_of_the_reader():
    with pytest.raises(Refused) as refused:
        decode(nifti("<"))
    assert in_words(refused.value.sentence, refused.value.code) == refused.value.sentence
    catalogue = {"Unsupported file type: {name}.": "Nicht unterstützt: {name}.", ADVICE["volume"]: "Schicht ausgeben."}
    with translation.override("de"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("diagnostics.scans.stored_messages.gettext", lambda text: catalogue.get(text, text))
        words = in_words(refused.value.sentence, refused.value.code)
    assert words.startswith("Nicht unterstützt: NIfTI. Schicht ausgeben. ")


def test_a_refused_file_leaves_no_word_in_the_log(caplog):
    """pydicom's plugins log a traceback for each decoder that failed, which may quote the file."""
    broken = {
        "1.2.840.10008.1.2.4.50": jpeg(PIXELS)[:200] + b"\xff" * 90,
        "1.2.840.10008.1.2.4.80": jpeg_ls()[:60] + bytes(300),
        "1.2.840.10008.1.2.4.90": pillow("JPEG2000", no_jp2=True)[:60] + bytes(300),
    }
    with caplog.at_level(logging.INFO):
        for syntax, stream in broken.items():
            with pytest.raises(Refused):
                decode(dicom(PIXELS, syntax=syntax, PixelData=encapsulate([stream])))
        logging.getLogger("overread").info("a line that is seen")
    assert [record.message for record in caplog.records] == ["a line that is seen"]


@pytest.mark.parametrize("sides", [(32, 641), (641, 32), (32, 16500), (40_000, 33), (100, 2001)])
def test_a_very_elongated_image_is_refused_at_the_door(sides):
    rows, columns = sides
    for data in (png(np.zeros((rows, columns), np.uint8)), jpeg(np.zeros((rows, columns), np.uint8))):
        with pytest.raises(Refused) as refused:
            decode(data)
        assert refused.value.code == "elongated"
        assert f"{columns} × {rows} pixels" in refused.value.sentence
        assert "20 times" in refused.value.sentence
    with pytest.raises(Refused) as refused:
        decode(dicom(np.zeros((rows, columns), np.uint16)))
    assert refused.value.code == "elongated"
