"""Since when a page that looks for news has been open, as it says itself."""

import re
import time

from django.http import HttpRequest

# Digits in the narrow sense: Python takes many more signs for some, and not all of them for numbers.
SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def opened_at(request: HttpRequest) -> float:
    """Seconds since 1970 at which the page was opened; now, where it says none."""
    since = request.headers.get("X-Since", "")
    return float(since) if SECONDS.fullmatch(since) else time.time()
