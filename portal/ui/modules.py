"""Which modules a script imports: the browser asks for all of them at once then, not level by level."""

import posixpath
import re
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders

# One statement may go over several lines; ours end in a quoted relative path.
_IMPORT = re.compile(r"""^(?:import|export)\s[^"';]*["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


@cache
def imported_by(script: str) -> tuple[str, ...]:
    """Every module that ``script`` leads to, nearest first, without itself; names as ``{% static %}`` takes them."""
    found: dict[str, None] = {script: None}
    waiting = [script]
    while waiting:
        name = waiting.pop(0)
        path = finders.find(name)
        text = Path(path).read_text() if isinstance(path, str) else ""
        for relative in _IMPORT.findall(text):
            module = posixpath.normpath(posixpath.join(posixpath.dirname(name), relative))
            if module not in found:
                found[module] = None
                waiting.append(module)
    return tuple(found)[1:]
