"""What a file is that is not read here, told by its first bytes: so that a refusal can name it and say what to do."""

from __future__ import annotations

import re
import struct
import zlib

# The name stands for itself in every language, and the advice is one of a few sentences.
UNSUPPORTED = "Unsupported file type: {name}."
ADVICE: dict[str, str] = {
    "picture": "Save it as PNG, or export the scan as DICOM.",
    "volume": "Export the relevant slice as DICOM or PNG.",
    "document": "Export its image as DICOM or PNG.",
    "archive": "Unpack it and upload the images in it.",
    "film": "Export the relevant frame as PNG.",
    "list": "This file lists images and contains none. Upload the images themselves.",
}

_HDF5 = b"\x89HDF\r\n\x1a\n"
# In this order: a longer beginning before a shorter one.
_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF87a", "GIF", "picture"),
    (b"GIF89a", "GIF", "picture"),
    (b"II*\x00", "TIFF", "picture"),
    (b"MM\x00*", "TIFF", "picture"),
    (b"II+\x00", "BigTIFF", "picture"),
    (b"MM\x00+", "BigTIFF", "picture"),
    (b"II\xbc", "JPEG XR", "picture"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000", "picture"),
    (b"\xff\x4f\xff\x51", "JPEG 2000", "picture"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL", "picture"),
    (b"\xff\x0a", "JPEG XL", "picture"),
    (b"8BPS", "Photoshop (PSD)", "picture"),
    (b"gimp xcf", "GIMP (XCF)", "picture"),
    (b"\x00\x00\x01\x00", "ICO", "picture"),
    (b"icns", "ICNS", "picture"),
    (b"\x76\x2f\x31\x01", "OpenEXR", "picture"),
    (b"#?RADIANCE", "Radiance HDR", "picture"),
    (b"DDS ", "DDS", "picture"),
    (b"BPG\xfb", "BPG", "picture"),
    (b"qoif", "QOI", "picture"),
    (b"FLIF", "FLIF", "picture"),
    (b"\x8bJNG", "JNG", "picture"),
    (b"\x8aMNG", "MNG", "film"),
    (b"AT&TFORM", "DjVu", "document"),
    (b"\xd7\xcd\xc6\x9a", "WMF", "picture"),
    (b"SIMPLE  =", "FITS", "volume"),
    (b"NRRD0", "NRRD", "volume"),
    (_HDF5, "HDF5 (MINC 2)", "volume"),
    (b"CDF\x01", "NetCDF (MINC)", "volume"),
    (b"CDF\x02", "NetCDF (MINC)", "volume"),
    (b"CDF\x05", "NetCDF (MINC)", "volume"),
    (b"MATRIX7", "ECAT", "volume"),
    (b"!INTERFILE", "Interfile", "volume"),
    (b"# vtk DataFile", "VTK", "volume"),
    (b"# === DATA DESCRIPTION FILE", "Philips PAR/REC", "volume"),
    (b"##TITLE=Parameter List", "Bruker ParaVision", "volume"),
    (b"MATLAB 5.0 MAT-file", "MATLAB", "volume"),
    (b"\x93NUMPY", "NumPy", "volume"),
    (b"%!PS", "PostScript", "document"),
    (b"{\\rtf", "RTF", "document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office", "document"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "archive"),
    (b"Rar!\x1a\x07", "RAR", "archive"),
    (b"BZh", "bzip2", "archive"),
    (b"\xfd7zXZ\x00", "xz", "archive"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "archive"),
    (b"\x04\x22\x4d\x18", "LZ4", "archive"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM", "film"),
    (b"\x00\x00\x01\xba", "MPEG", "film"),
    (b"\x00\x00\x01\xb3", "MPEG", "film"),
    (b"FLV\x01", "FLV", "film"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media", "film"),
    (b"OggS", "Ogg", "film"),
)
_BRANDS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"avif", b"avis"), "AVIF", "picture"),
    ((b"hei", b"hev", b"mif1", b"mif2", b"msf1"), "HEIC", "picture"),
    ((b"jxl ",), "JPEG XL", "picture"),
    ((b"jp2 ", b"jpx ", b"jph ", b"mjp2"), "JPEG 2000", "picture"),
    ((b"crx ",), "CR3", "picture"),
)
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_OFFICE = (b"word/", b"xl/", b"ppt/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis")
_DIRECTORY = b"1.2.840.10008.1.3.10"
_LOOKED_AT = 65536
_INFLATED = 4096
# What may stand before the first element of a text that is XML.
_BEFORE = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!", b">"))
_ELEMENT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
_META_IMAGE = re.compile(rb"^\s*(?:ObjectType|ObjectSubType|Comment|NDims)\s*=", re.IGNORECASE)
_META_IMAGE_SIZE = re.compile(rb"^\s*(?:DimSize|ElementType)\s*=", re.MULTILINE | re.IGNORECASE)
_AFNI = re.compile(rb"^\s*type\s*=\s*(?:string|integer|float)-attribute")
_PNM = re.compile(rb"^P[1-7fF]\s")
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def refusal_of(data: bytes) -> str | None:
    """Name the kind of a file that is not read here, and say what to do.

    Parameters
    ----------
    data : bytes
        The whole file, or its beginning.

    Returns
    -------
    str or None
        Two sentences; None where the kind is unknown.
    """
    kind = kind_of(data)
    return None if kind is None else f"{UNSUPPORTED.format(name=kind[0])} {ADVICE[kind[1]]}"


def kind_of(data: bytes) -> tuple[str, str] | None:
    """Give a file's kind and the key of `ADVICE` for it; None where it is unknown."""
    for look in (_by_magic, _as_box, _as_volume, _as_archive, _as_text):
        kind = look(data)
        if kind is not None:
            return kind
    return None


def is_directory(data: bytes) -> bool:
    """Tell whether a DICOM file is a DICOMDIR: a list of files."""
    return data[128:132] == b"DICM" and _DIRECTORY in data[132:1024]


def _by_magic(data: bytes) -> tuple[str, str] | None:
    for magic, name, advice in _MAGICS:
        if data.startswith(magic):
            return name, advice
    if data[:4] == b"RIFF":
        return {b"WEBP": ("WebP", "picture"), b"AVI ": ("AVI", "film")}.get(data[8:12], ("RIFF", "film"))
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack("<I", data[14:18])[0] in _BITMAP_HEADERS:
        return "BMP", "picture"
    return ("PNM", "picture") if _PNM.match(data) else None


def _as_box(data: bytes) -> tuple[str, str] | None:
    """Photographs of telephones and films: boxes, of which the first tells its brands (ISO/IEC 14496-12)."""
    if data[4:8] in _QUICKTIME:
        return "QuickTime", "film"
    if data[4:8] != b"ftyp":
        return None
    size = min(struct.unpack(">I", data[:4])[0], 512, len(data))
    told = [data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))]
    for brands, name, advice in _BRANDS:
        if any(brand.startswith(brands) for brand in told):
            return name, advice
    return "MP4 or QuickTime", "film"


def _as_volume(data: bytes) -> tuple[str, str] | None:
    name = _nifti(data) or _described_volume(data)
    if name is None and _is_mgh(data):
        name = "MGH"
    if name is None and any(data[at : at + len(_HDF5)] == _HDF5 for at in (512, 1024, 2048)):
        name = "HDF5 (MINC 2)"
    return None if name is None else (name, "volume")


def _nifti(data: bytes) -> str | None:
    """Analyze and what came of it: a header of 348 bytes, or 540, that begins with its own length."""
    if len(data) >= 348 and data[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c"):
        return "NIfTI" if data[344:348] in (b"n+1\x00", b"ni1\x00") else "Analyze or NIfTI"
    if data[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c") and data[4:7] in (b"n+2", b"ni2"):
        return "NIfTI-2"
    return None


def _described_volume(data: bytes) -> str | None:
    """Headers that are lines of text, with the name of a field at the beginning of each."""
    if _META_IMAGE.match(data) and _META_IMAGE_SIZE.search(data[:_LOOKED_AT]):
        return "MetaImage"
    return "AFNI" if _AFNI.match(data) else None


def _is_mgh(data: bytes) -> bool:
    """FreeSurfer: version 1, four sides and a type, big-endian."""
    if data[:4] != b"\x00\x00\x00\x01" or len(data) < 284:
        return False
    *sides, kind = struct.unpack(">5i", data[4:24])
    return all(1 <= side <= 10_000 for side in sides) and kind in (0, 1, 3, 4)


def _as_archive(data: bytes) -> tuple[str, str] | None:
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        head = data[:_LOOKED_AT]
        if any(name in head for name in _OFFICE):
            return "Office", "document"
        return "ZIP", "archive"
    if data[:2] == b"\x1f\x8b":
        inner = kind_of(_inflated(data))
        if inner is None or inner[1] in ("archive", "picture"):
            return (f"{inner[0]}, gzip" if inner else "gzip"), "archive"
        return f"{inner[0]}, gzip", inner[1]
    if data[257:262] == b"ustar":
        return "tar", "archive"
    if data[32769:32774] == b"CD001":
        return "ISO 9660", "archive"
    return None


def _inflated(data: bytes) -> bytes:
    """Give the first bytes of what is compressed, and never more than a few thousand."""
    try:
        inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(data[:_LOOKED_AT], _INFLATED)
    except zlib.error:
        return b""
    # Compressed twice is an archive, whatever is in it.
    return b"" if inner[:2] == b"\x1f\x8b" else inner


def _as_text(data: bytes) -> tuple[str, str] | None:
    head = data[:_LOOKED_AT]
    if b"%PDF-" in head[:1024]:
        return "PDF", "document"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", errors="ignore").encode()
    elif head[:4] in (b"<\0?\0", b"<\0s\0", b"<\0!\0"):
        head = head.decode("utf-16-le", errors="ignore").encode()
    rest = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\0 \t\r\n")
    for _ in range(_LOOKED_AT):
        ends = [end for begin, end in _BEFORE if rest.startswith(begin)]
        if not ends:
            break
        declared = rest
        rest = _behind(rest, ends[0])
        if declared[:14].lower() == b"<!doctype html":
            return "HTML", "document"
    element = _ELEMENT.match(rest)
    if element is None:
        return None
    name = element[1].lower()
    return {b"svg": ("SVG", "picture"), b"html": ("HTML", "document")}.get(name, ("XML", "document"))


def _behind(text: bytes, end: bytes) -> bytes:
    """Give what follows a declaration; one of a document type may hold others in brackets."""
    at = text.find(end)
    inside = text.find(b"[", 0, at) if end == b">" else -1
    if inside >= 0:
        closed = re.compile(rb"\]\s*>").search(text, inside)
        return text[closed.end() :].lstrip() if closed else b""
    return text[at + len(end) :].lstrip() if at >= 0 else b""
