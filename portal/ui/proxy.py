"""Who asks, where proxies stand between: the address that our own proxies vouch for, and no other."""

import ipaddress
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

FORWARDED = "HTTP_X_FORWARDED_FOR"
WARN_SECONDS = 60.0
UNTOLD = (
    "X-Forwarded-For arrives, but OVERREAD_BEHIND_PROXY is not set: everybody counts as one address, which a few "
    "wrong passwords shut out. Set it to the number of your proxies."
)
log = structlog.get_logger(__name__)


def _address(text: str) -> str:
    """An address as a proxy writes it, with or without a port; empty where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


class ClientAddressMiddleware:
    """Puts the asker's own address where everything behind looks for it.

    Each proxy adds, at the end, whom it was asked by. Of so many proxies as the settings name the first one's word is
    taken; what stands before that anybody may have written.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._warned = -WARN_SECONDS

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        forwarded = request.META.pop(FORWARDED, "")
        hops = settings.PROXY_HOPS
        if hops:
            named = forwarded.split(",")
            found = _address(named[-hops]) if len(named) >= hops else ""
            if found:
                # One address alone stays in the header, for what reads that instead.
                request.META["REMOTE_ADDR"] = request.META[FORWARDED] = found
        elif forwarded and time.monotonic() - self._warned > WARN_SECONDS:
            self._warned = time.monotonic()
            log.warning("proxy_not_told_of", sentence=UNTOLD)
        return self.get_response(request)
