"""The files in a ZIP, one at a time and within limits; nothing is ever written to a path that a ZIP names.

A name in a ZIP is a name to show, no more: `..`, absolute paths and links lead nowhere, because no file is made. What
a header says of a size is not believed: bytes are counted as they come out, and reading ends at the limit.
"""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.errors import Invalid

MOST_FILES = 5000
# Of all files together, unpacked: MR images shrink to a third or a half, so a hundredfold is no set of images.
MOST_RATIO = 100
ALWAYS_ALLOWED = 64 * 1024 * 1024
LONGEST_NAME = 200  # characters that are shown
_CHUNK = 256 * 1024
_END = b"PK\x05\x06"
_END_RECORD = struct.Struct("<4s4H2LH")
# Of a ZIP64: a pointer lies before the record at the end, and before the pointer the numbers that count instead.
_POINTER = b"PK\x06\x07"
_POINTER_BYTES = 20
_LARGE_RECORD = struct.Struct("<4sQ2H2L4Q")
_MOST_DIRECTORY = MOST_FILES * 1024  # bytes of the list of files; a name and its extras are far shorter
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What systems put beside images, and what a CD of a hospital has beside them.
_NO_IMAGES = re.compile(r"(^|/)(\.(?!\.?(/|$))[^/]*|__MACOSX|DICOMDIR|Thumbs\.db|desktop\.ini)(/|$)", re.IGNORECASE)


class BrokenArchive(Invalid):
    """The ZIP as a whole cannot be read."""

    code = "broken_archive"
    field = "file"
    message = gettext_lazy("The ZIP file is damaged or cut off. Make it anew and upload it again.")


@dataclass(frozen=True)
class Member:
    """One file of a ZIP: its name as it may be shown, and its bytes, or why they are not to be had."""

    name: str
    data: bytes = b""
    code: str = ""
    refusal: str = ""


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a ZIP."""
    return head[:4] in (b"PK\x03\x04", _END)


def members(file: BinaryIO) -> Iterator[Member]:
    """Read the files of a ZIP in the order of its list, each when it is asked for.

    Parameters
    ----------
    file : BinaryIO
        The ZIP; it is read from several places, so it must be seekable.

    Yields
    ------
    Member
        Folders are left out, and so is what systems put beside files.

    Raises
    ------
    BrokenArchive
        It is no ZIP, or has more than ``MOST_FILES`` files. Where it unpacks to more than its size allows, the last
        member says so.
    """
    size = _checked_directory(file)
    allowed = max(ALWAYS_ALLOWED, size * MOST_RATIO)
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        raise BrokenArchive from error
    if len(entries) > MOST_FILES:  # the record at the end may say fewer than the list holds
        raise _too_many()
    entries = [entry for entry in entries if not entry.is_dir() and not _NO_IMAGES.search(entry.filename)]
    if not entries:
        raise BrokenArchive(gettext_lazy("There are no files in the ZIP file."), code="archive_empty")
    with archive:
        for entry in entries:
            if allowed <= 0:
                sentence = _("The ZIP file unpacks to more than %(ratio)d times its size, which no images do.")
                yield Member(
                    _shown(entry.filename), code="archive_too_large", refusal=sentence % {"ratio": MOST_RATIO}
                )
                return
            member, used = _read(archive, entry, allowed)
            allowed -= used
            yield member


def _checked_directory(file: BinaryIO) -> int:
    """The size of the ZIP in bytes, whose list of files is short enough to be read at once.

    The record at the end says how many there are and how long the list is. Python reads all of the list before it
    gives the first file, so this is asked first.
    """
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - _END_RECORD.size - 0xFFFF))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise BrokenArchive
    _sign, _disk, _first, _here, count, length, _offset, _comment = _END_RECORD.unpack_from(tail, at)
    if large := _large_record(file, size - len(tail) + at):
        count, length = large
    if count > MOST_FILES or length > _MOST_DIRECTORY:
        raise _too_many()
    file.seek(0)
    return size


def _large_record(file: BinaryIO, end: int) -> tuple[int, int] | None:
    """How many files a ZIP64 says that it has, and how long their list is in bytes; None of a plain ZIP.

    It is read from where Python reads it, whatever the record at ``end`` says: else a list of any length could hide
    behind a harmless record.
    """
    start = end - _POINTER_BYTES - _LARGE_RECORD.size
    if start < 0:
        return None
    file.seek(start)
    record = file.read(_LARGE_RECORD.size)
    if file.read(len(_POINTER)) != _POINTER:
        return None
    *_others, count, length, _offset = _LARGE_RECORD.unpack(record)
    return count, length


def _too_many() -> BrokenArchive:
    return BrokenArchive(
        gettext_lazy("A ZIP file can have at most %(most)d files. Upload the others as a second one."),
        {"most": MOST_FILES},
        code="archive_too_large",
    )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowed: int) -> tuple[Member, int]:
    """One file, and how many bytes were unpacked for it."""
    name = _shown(entry.filename)
    if refused := _not_to_be_read(entry):
        return Member(name, code=refused[0], refusal=refused[1]), 0
    most = min(settings.MAX_UPLOAD_BYTES, allowed)
    data = bytearray()
    try:
        with archive.open(entry) as opened:
            while chunk := opened.read(_CHUNK):
                data += chunk
                if len(data) > most:
                    return _too_large(name), len(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        sentence = _("The file is damaged within the ZIP file. Upload it separately.")
        return Member(name, code="archive_damaged", refusal=sentence), len(data)
    if is_archive(bytes(data[:4])):
        sentence = _("This is a ZIP file within a ZIP file. Upload it separately.")
        return Member(name, code="archive_nested", refusal=sentence), len(data)
    return Member(name, bytes(data)), len(data)


def _not_to_be_read(entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "archive_link", _("This is a link to another file. Put the file itself in.")
    if entry.flag_bits & 0x1:
        return "archive_encrypted", _("The file is encrypted. Make the ZIP file without a password.")
    if entry.compress_type not in _METHODS:
        return "archive_method", _("The file is compressed in a way that is not supported. Make a plain ZIP file.")
    return None


def _too_large(name: str) -> Member:
    limit = settings.MAX_UPLOAD_BYTES // (1024 * 1024)
    sentence = _("The file is larger than the limit of %(limit)d MB.") % {"limit": limit}
    return Member(name, code="too_large", refusal=sentence)


def _shown(name: str) -> str:
    """The name as a person may be shown it: its last part, without control characters."""
    last = PurePosixPath(name.replace("\\", "/")).name or name
    return "".join(letter if letter.isprintable() else "�" for letter in last)[:LONGEST_NAME]
