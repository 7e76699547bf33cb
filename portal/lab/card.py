"""A model card's Markdown as HTML: headings, paragraphs, lists, tables, code. Everything else is shown as it is."""

import re
from collections.abc import Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

_TABLE_RULE = re.compile(r"^\|[\s:|-]+\|$")
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def as_html(markdown: str) -> SafeString:
    """Give the card as HTML; what it says is escaped, so a card can bring no markup of its own."""
    blocks = re.split(r"\n{2,}", markdown.replace("\r\n", "\n").strip())
    return mark_safe("".join(_whole(blocks)))  # noqa: S308 - every part was escaped


def _whole(blocks: list[str]) -> Iterator[str]:
    fenced: list[str] = []
    for block in blocks:
        if fenced or block.startswith("```"):
            fenced.append(block)
            if block.endswith("```") and (len(fenced) > 1 or len(block) > 5):
                yield format_html("<pre>{}</pre>", "\n\n".join(fenced).strip("`").strip("\n"))
                fenced = []
            continue
        yield from _block(block.split("\n"))
    if fenced:
        yield format_html("<pre>{}</pre>", "\n\n".join(fenced).strip("`").strip("\n"))


def _block(lines: list[str]) -> Iterator[str]:
    """One block; a heading may be followed by lines without an empty one between."""
    while lines and (heading := re.match(r"^(#{1,4}) (.*)$", lines[0])):
        # The page has its own h1, and the card's heading is a part of it.
        level = min(len(heading[1]) + 1, 5)
        yield format_html("<h{}>{}</h{}>", level, _inline(heading[2]), level)
        lines = lines[1:]
    if not lines:
        return
    if len(lines) > 1 and lines[0].startswith("|") and _TABLE_RULE.match(lines[1]):
        yield _table(lines)
    elif all(line.startswith(("- ", "  ")) for line in lines):
        items = re.split(r"\n?- ", "\n".join(lines))[1:]
        yield format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((_inline(item),) for item in items)))
    else:
        yield format_html("<p>{}</p>", _inline(" ".join(lines)))


def _table(lines: list[str]) -> SafeString:
    def cells(line: str) -> list[str]:
        return [cell.strip() for cell in line.strip().strip("|").split("|")]

    right = ["num" if rule.endswith(":") else "" for rule in cells(lines[1])]

    def row(line: str, tag: str) -> SafeString:
        found = cells(line)
        kinds = right + [""] * len(found)
        return format_html(
            "<tr>{}</tr>",
            format_html_join(
                "",
                "<{} class='{}'>{}</{}>",
                ((tag, kind, _inline(cell), tag) for cell, kind in zip(found, kinds, strict=False)),
            ),
        )

    body = format_html_join("", "{}", ((row(line, "td"),) for line in lines[2:]))
    return format_html(
        '<div class="table-wrap" tabindex="0"><table class="table"><thead>{}</thead><tbody>{}</tbody></table></div>',
        row(lines[0], "th"),
        body,
    )


def _inline(text: str) -> SafeString:
    parts: list[SafeString] = []
    end = 0
    for found in _INLINE.finditer(text):
        parts.append(format_html("{}", text[end : found.start()]))
        if found[1] is not None:
            parts.append(format_html("<code>{}</code>", found[1]))
        else:
            parts.append(format_html("<strong>{}</strong>", found[2]))
        end = found.end()
    parts.append(format_html("{}", text[end:]))
    return mark_safe("".join(parts))  # noqa: S308 - every part was escaped
