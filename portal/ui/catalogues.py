"""What can be translated, and whether it is: by Babel, so that no program of the system is needed.

Only the command ``catalogues`` and its test import this; Babel is a tool of development.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from diagnostics.scans.stored_messages import ACCEPTED, ADVICE, REFUSALS, UNSUPPORTED
from portal.ui import translations

KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_FOLDERS = ("portal", "diagnostics")
_CALL = re.compile(
    r"\b(?:n?p?gettext)\(\s*(?:u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*,?\s*)+(?:,\s*\w+\s*)?\)", re.DOTALL
)
_PLACE = re.compile(r"%\((\w+)\)|%[sd]|\{(\w*)\}")


def collect(root: Path) -> Catalog:
    """Everything marked for translation in the portal, the domain and the templates."""
    found = Catalog(charset="utf-8")
    for path, source in _sources(root):
        where = path.relative_to(root).as_posix()
        for _line, function, said, _comments in extract_python(source, KEYWORDS, (), {}):
            context, message = _parted(str(function), said)
            if message:
                found.add(message, locations=[(where, 1)], context=context)
    for sentence in (*REFUSALS.values(), ACCEPTED, UNSUPPORTED, *ADVICE.values()):
        # The decoder knows no Django; its sentences are put into the reader's language where they are shown.
        found.add(sentence, locations=[("mlcore/images/decoded.py", 1)])
    return found


def _sources(root: Path) -> Iterator[tuple[Path, io.BytesIO]]:
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, io.BytesIO(path.read_bytes())
    for path in sorted((root / "templates").rglob("*")):
        if path.suffix in (".html", ".txt"):
            # What Django makes of a template is calls among filling; Python's own reader wants the calls alone.
            calls = "\n".join(_CALL.findall(templatize(path.read_text(encoding="utf-8"), origin=str(path))))
            yield path, io.BytesIO(calls.encode())


def _parted(function: str, said: object) -> tuple[str | None, str | tuple[str, ...]]:
    """The context and the message (or its singular and plural) of a call; an empty message where it is no literal."""
    words = said if isinstance(said, tuple) else (said,)
    texts = [word for word in words if isinstance(word, str)]
    if function in ("pgettext", "pgettext_lazy", "npgettext"):
        return (texts[0], texts[1] if len(texts) == 2 else tuple(texts[1:3])) if len(texts) > 1 else (None, "")
    if function.startswith("ngettext"):
        return None, tuple(texts[:2]) if len(texts) >= 2 else ""
    return None, texts[0] if texts else ""


def update(path: Path, language: str, found: Catalog) -> None:
    """Take new messages into a catalogue, drop those that nobody says any more, and compile it."""
    catalogue = _read(path, language)
    catalogue.update(found, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.msgid_bugs_address = catalogue.last_translator = catalogue.language_team = "none"
    catalogue.header_comment = f"# Overread in {catalogue.locale.english_name}."
    # No dates and no names of programs: two branches that both bring messages should not differ in what says nothing.
    catalogue.creation_date = catalogue.revision_date = _NO_DATE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=119, sort_output=True, include_lineno=False, no_location=True)
    translations.write(path)


def faults(path: Path, language: str, found: Catalog) -> list[str]:
    """What is wrong with a catalogue, a sentence each: nothing where every message is translated."""
    catalogue = _read(path, language)
    told = [
        f"{fault}: {message.id!r}"
        for message in found
        if message.id and (fault := _fault(message, catalogue.get(message.id, message.context)))
    ]
    told += [
        f"nobody says this any more: {message.id!r}"
        for message in catalogue
        if message.id and found.get(message.id, message.context) is None
    ]
    return told


def _worded(entry: Message) -> bool:
    return all(entry.string) if isinstance(entry.string, list | tuple) else bool(entry.string)


def _fault(message: Message, entry: Message | None) -> str:
    if entry is None or not _worded(entry):
        return "not translated"
    if entry.fuzzy:
        return "marked as uncertain"
    asked = _places(message.id)
    strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
    # A singular may say "one" where the plural has the number.
    for string in strings:
        if not _places(string) <= asked or (not isinstance(message.id, tuple) and _places(string) != asked):
            return "other placeholders than the message"
    return ""


def _places(text: str | tuple[str, ...] | list[str] | None) -> set[str]:
    texts = [text] if isinstance(text, str) else list(text or ())
    return {match.group(0) for each in texts for match in _PLACE.finditer(each)}


def _read(path: Path, language: str) -> Catalog:
    if not path.exists():
        return Catalog(
            locale=language,
            charset="utf-8",
            fuzzy=False,
            project="Overread",
            version="1",
            msgid_bugs_address="",
            last_translator="",
            language_team="",
        )
    with path.open("rb") as file:
        return read_po(file, locale=language)
