"""Failed sign-ins are counted for a while, by address and name together.

Together, because a stranger elsewhere must not be able to lock a person out by failing in their name; for a while,
because nobody is locked out for ever. The count by address alone stops one machine from trying name after name.
"""

import hashlib

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

WINDOW_SECONDS = 10 * 60
LIMIT_PER_NAME = 8
LIMIT_PER_ADDRESS = 60
LIMIT_OF_MAILS = 10


def address_of(request: HttpRequest) -> str:
    """Where the request comes from; behind our own proxy, what the proxy says (the last entry is its own)."""
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
        if forwarded:
            return forwarded
    return request.META.get("REMOTE_ADDR", "")


def _keys(request: HttpRequest, username: str) -> tuple[tuple[str, int], tuple[str, int]]:
    address = address_of(request)
    digest = hashlib.sha256(f"{address}\n{username.strip().casefold()}".encode()).hexdigest()
    host = hashlib.sha256(address.encode()).hexdigest()
    return (f"sign-in:{digest}", LIMIT_PER_NAME), (f"sign-in-from:{host}", LIMIT_PER_ADDRESS)


def too_many(request: HttpRequest, username: str) -> bool:
    """Whether this address must wait before it may try again."""
    return any(cache.get(key, 0) >= limit for key, limit in _keys(request, username))


def count_failure(request: HttpRequest, username: str) -> None:
    """Count one failure; the window begins with the first."""
    for key, _limit in _keys(request, username):
        _count(key)


def _count(key: str) -> int:
    if cache.add(key, 1, WINDOW_SECONDS):
        return 1
    try:
        return cache.incr(key)
    except ValueError:  # the window ended between the two lines
        cache.add(key, 1, WINDOW_SECONDS)
        return 1


def forget(request: HttpRequest, username: str) -> None:
    """A success clears the name's count; that of the address stays."""
    cache.delete(_keys(request, username)[0][0])


def too_many_mails(request: HttpRequest) -> bool:
    """Count a wish for a link by mail; whether this address has had enough of them for now."""
    host = hashlib.sha256(address_of(request).encode()).hexdigest()
    return _count(f"reset-from:{host}") > LIMIT_OF_MAILS
