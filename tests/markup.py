"""HTML for comparison: how a template breaks its lines means nothing to a browser, and so to no test."""

import re

_TAG = re.compile(r"""\s*(<[!/]?[a-zA-Z](?:"[^"]*"|'[^']*'|[^>"'])*>)\s*""")


def flat(html: str) -> str:
    """The HTML on one line: whitespace as one space, none beside a tag or at the end within one."""
    return _TAG.sub(lambda tag: re.sub(r"\s*(/?>)$", r"\1", tag[1]), re.sub(r"\s+", " ", html))
