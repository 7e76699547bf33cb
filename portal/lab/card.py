"""A model card's Markdown as HTML, in the looks of our pages."""

from collections.abc import MutableMapping, Sequence

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

# The page has its own h1, and the card's heading is a part of it.
_LEVELS = {"h1": "h2", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h5", "h6": "h5"}


class _Renderer(RendererHTML):
    """Tables that scroll and whose numbers stand at the right, without the inline styles that our policy refuses."""

    def table_open(self, *_: object) -> str:
        return '<div class="table-wrap" tabindex="0"><table class="table">\n'

    def table_close(self, *_: object) -> str:
        return "</table></div>\n"

    def renderToken(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,
        env: MutableMapping[str, object],
    ) -> str:
        token = tokens[idx]
        token.tag = _LEVELS.get(token.tag, token.tag)
        if str(token.attrs.pop("style", "")).endswith("right"):
            token.attrSet("class", "num")
        return super().renderToken(tokens, idx, options, env)


# What somebody else's card says is escaped, and it takes nobody to another place: no HTML, links or images.
_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    .enable("table")
    .disable(["link", "image", "autolink", "reference", "html_block", "html_inline"])
)


def as_html(markdown: str) -> SafeString:
    """Give the card as HTML; it can bring no markup of its own."""
    return mark_safe(_MARKDOWN.render(markdown))  # noqa: S308 - the library escapes, and HTML is off
