"""Whether somebody has shown lately who they are: asked before a model goes into use or an account changes hands.

A session left open on a reading room's machine must not be enough for that, nor a token from last spring.
"""

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.errors import Denied

from . import attempts
from .models import ApiToken

SESSION_KEY = "shown_at"


class NotFresh(Denied):
    """It is too long ago, and the password was not given or is wrong; ``str()`` says what to do."""

    code = "fresh_sign_in_needed"
    field = "password"


def remember(sender: object, request: Any, user: Actor, **_: object) -> None:
    """Django's word that somebody has just signed in, by whichever door."""
    request.session[SESSION_KEY] = time.time()


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session was begun, or its password given again, lately."""
    shown = request.session.get(SESSION_KEY, 0)
    return time.time() - shown < settings.FRESH_SIGN_IN_MINUTES * 60


def require(request: HttpRequest, password: str = "", token: ApiToken | None = None) -> None:
    """Raise unless the session or the token is fresh, or ``password`` is right; a right one makes the session fresh.

    Raises
    ------
    NotFresh
        After too many wrong passwords it says so, and none is looked at for a while.
    """
    if token is not None:
        age = timezone.now() - token.created_at
        if not settings.FRESH_TOKENS or age < timedelta(minutes=settings.FRESH_SIGN_IN_MINUTES):
            return
    elif is_fresh(request):
        return
    if not password:
        raise NotFresh(
            _("You signed in over %(minutes)s minutes ago. Enter your password again."),
            {"minutes": settings.FRESH_SIGN_IN_MINUTES},
        )
    check_own_password(request, password)
    if token is None:
        remember(None, request, request.user)


def check_own_password(request: HttpRequest, password: str) -> None:
    """Look at the password of whoever is signed in, as often as is allowed.

    Raises
    ------
    NotFresh
        It is wrong, or too many were: then none is looked at for a while.
    """
    counts = attempts.own_counts(request.user.pk or 0)
    try:
        attempts.take(counts)
    except attempts.TooMany as error:
        raise NotFresh(
            _("Too many wrong passwords. Wait %(minutes)d minutes and try again."), {"minutes": error.minutes}
        ) from None
    if not request.user.check_password(password):
        raise NotFresh(_("Incorrect password."))
    attempts.give_back(counts)
