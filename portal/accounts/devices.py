"""Devices from which somebody has signed in before, known by a signed cookie: a pause from elsewhere is not theirs.

The cookie opens no door. It says only whose tries are counted by themselves, as few as from anywhere else.
"""

import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from .models import User

COOKIE = settings.SESSION_COOKIE_NAME.removesuffix("session") + "device" if settings.HTTPS else "device"
_SALT = "portal.accounts.devices"
_SECONDS = 180 * 24 * 3600
_MOST_PEOPLE = 20  # who share one machine, the last of them


def _read(request: HttpRequest) -> tuple[str, list[int]]:
    """The device's own word and the people who signed in from it; a word that nobody else has where it is new."""
    try:
        device, people = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return secrets.token_hex(8), []
    return str(device), [int(pk) for pk in people]


def known(request: HttpRequest, username: str) -> str:
    """The word of the device, where the person of this name has signed in from it before; else nothing."""
    device, people = _read(request)
    if not people:
        return ""
    user = User.objects.named(username).filter(pk__in=people).first()
    return device if user is not None else ""


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Let the device be known as one of ``user``'s from now on."""
    device, people = _read(request)
    people = [*[pk for pk in people if pk != user.pk], user.pk][-_MOST_PEOPLE:]
    response.set_cookie(
        COOKIE,
        signing.dumps([device, people], salt=_SALT),
        max_age=_SECONDS,
        path=settings.SESSION_COOKIE_PATH,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
