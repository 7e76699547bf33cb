"""The style sheets, read by tinycss2: their rules, however deep in layers and media queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinycss2

ROOT = Path(__file__).resolve().parent.parent.parent
SHEETS = sorted((ROOT / "static" / "css").glob("*.css"))
HOLDS_RULES = ("layer", "media", "supports", "container", "keyframes", "starting-style")


@dataclass(frozen=True)
class Rule:
    sheet: str
    line: int
    selector: tuple[Any, ...]
    declarations: tuple[tuple[str, str], ...]

    @property
    def place(self) -> str:
        return f"{self.sheet}:{self.line}"


class Fault(Exception):
    """What tinycss2 could not read."""


def rules() -> Iterator[Rule]:
    for sheet in SHEETS:
        yield from _of(sheet.name, tinycss2.parse_stylesheet(sheet.read_text(), True, True))


def _of(sheet: str, nodes: list[Any]) -> Iterator[Rule]:
    for node in nodes:
        if node.type == "error":
            raise Fault(f"{sheet}:{node.source_line}: {node.message}")
        if node.type == "at-rule":
            if node.content is None:
                continue
            inner = tinycss2.parse_blocks_contents(node.content, True, True)
            if node.lower_at_keyword in HOLDS_RULES:
                yield from _of(sheet, inner)
            else:
                yield _rule(sheet, node, inner)
        elif node.type == "qualified-rule":
            inner = tinycss2.parse_blocks_contents(node.content, True, True)
            yield _rule(sheet, node, inner)
            yield from _of(sheet, [each for each in inner if each.type != "declaration"])


def _rule(sheet: str, node: Any, inner: list[Any]) -> Rule:
    said = tuple(
        (each.name if each.name.startswith("--") else each.lower_name, tinycss2.serialize(each.value).strip())
        for each in inner
        if each.type == "declaration"
    )
    return Rule(sheet, node.source_line, tuple(node.prelude), said)


def classes(tokens: Any) -> Iterator[str]:
    """The class names in a selector, also within :is() and :not()."""
    for before, token in zip((None, *tokens), tokens, strict=False):
        if token.type == "function":
            yield from classes(tuple(token.arguments))
        elif token.type == "[] block":
            continue
        elif token.type == "ident" and before is not None and before == ".":
            yield token.value
