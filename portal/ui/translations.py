"""Compiles the catalogues of translations, by the standard library alone: gettext reads them compiled only.

It is done when a process starts and finds a catalogue newer than what was made of it, so nobody has to think of it and
nothing that is made stands in the repository.
"""

import ast
import logging
import re
import struct
import tempfile
from pathlib import Path

_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr)(?:\[\d+\])?\s")
_MAGIC = 0x950412DE


def compile_new(folder: Path) -> None:
    """Make what is missing or older than its catalogue in ``folder``/LANGUAGE/LC_MESSAGES."""
    for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns > source.stat().st_mtime_ns:
            continue
        try:
            write(source)
        except OSError as error:
            logging.getLogger(__name__).warning(
                "%s cannot be written (%s): what is said in it stays English.", target, error
            )


def write(source: Path) -> None:
    """Compile one catalogue; whoever reads meanwhile sees the old file or the new one."""
    data = compiled(source.read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile(dir=source.parent, suffix=".mo.new", delete=False) as file:
        file.write(data)
    made = Path(file.name)
    made.chmod(0o644)
    made.replace(source.with_suffix(".mo"))


def compiled(text: str) -> bytes:
    """A catalogue as gettext reads it; what has no words yet is left out, so that pages show the English."""
    messages = sorted(message for block in text.split("\n\n") if (message := _message(block)) is not None)
    keys = b"".join(key + b"\0" for key, _value in messages)
    values = b"".join(value + b"\0" for _key, value in messages)
    count, begin = len(messages), 28
    head = struct.pack("<7I", _MAGIC, 0, count, begin, begin + 8 * count, 0, begin + 16 * count)
    at = begin + 16 * count
    tables = b""
    for column in (0, 1):
        for message in messages:
            tables += struct.pack("<2I", len(message[column]), at)
            at += len(message[column]) + 1
    return head + tables + keys + values


def _message(block: str) -> tuple[bytes, bytes] | None:
    """The key and the translation in one entry of a catalogue; nothing where there is none to use."""
    lines = block.splitlines()
    if any(line.startswith("#, ") and "fuzzy" in line for line in lines):
        return None
    said = _keywords(lines)
    words = [text for name, text in said if name == "msgstr"]
    if not words or not all(words):
        return None
    context = "".join(f"{text}\x04" for name, text in said if name == "msgctxt")
    key = "\0".join(text for name, text in said if name in ("msgid", "msgid_plural"))
    return (context + key).encode(), "\0".join(words).encode()


def _keywords(lines: list[str]) -> list[tuple[str, str]]:
    """Each keyword of an entry with its text, which may go on over several lines."""
    said: list[tuple[str, str]] = []
    for line in lines:
        keyword = _KEYWORD.match(line)
        if keyword:
            said.append((keyword[1], ast.literal_eval(line[keyword.end() :])))
        elif line.startswith('"'):
            said[-1] = (said[-1][0], said[-1][1] + ast.literal_eval(line))
    return said
