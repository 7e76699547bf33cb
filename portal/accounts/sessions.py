"""Where somebody is signed in: each session is a row that its person sees and can end.

A session ends after ``SESSION_IDLE_MINUTES`` without use, and ``SESSION_COOKIE_AGE`` after signing in at the latest.
What pages ask by themselves (polling) is no use: a page left open keeps nobody signed in.
"""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib import import_module
from typing import Any

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError, models, transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.audit.services import record
from diagnostics.disk import is_full
from portal.accounts.signed_in import person_of

from .attempts import address_of
from .models import OpenSession, User
from .services import home_of

log = structlog.get_logger(__name__)
# In the session itself, so that an ordinary request asks the database nothing more.
ROW, BEGAN, SEEN = "open_session", "began_at", "seen_at"
NOTED_EVERY_SECONDS = 60


def begin(sender: object, request: Any, user: User, **_more: object) -> None:
    """Django's word that somebody has just signed in, by whichever door."""
    if request.session.session_key is None:
        request.session.create()
    _drop_what_is_over(user)
    _enter(request, user, time.time())


def _enter(request: HttpRequest, user: User, began: float) -> None:
    now = timezone.now()
    row, _made = OpenSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "address": address_of(request)[:45],
            "agent": request.headers.get("User-Agent", "")[:300],
            "began_at": now,
            "seen_at": now,
        },
    )
    request.session[ROW], request.session[BEGAN], request.session[SEEN] = row.pk, began, time.time()


def _drop_what_is_over(user: User) -> None:
    """Rows of sessions whose browser never came back."""
    user.open_sessions.exclude(pk__in=standing(user).values("pk")).delete()


def standing(user: User) -> models.QuerySet[OpenSession]:
    """The sessions in which ``user`` is signed in now, the one used last first."""
    now = timezone.now()
    return user.open_sessions.filter(
        seen_at__gt=now - timedelta(minutes=settings.SESSION_IDLE_MINUTES, seconds=NOTED_EVERY_SECONDS),
        began_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
    )


def end(rows: Iterable[OpenSession]) -> int:
    """End sessions at once; how many."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    ended = 0
    for row in rows:
        store(session_key=row.session_key).delete()
        ended += OpenSession.objects.filter(pk=row.pk).delete()[0]
    return ended


@transaction.atomic
def end_others(*, user: User, by: Actor | None, but: int = 0, why: str) -> int:
    """End the sessions of ``user`` except the one whose row is ``but``; how many there were.

    ``why`` is a code for the audit: ``asked | password_changed | password_reset | deactivated``.
    """
    ended = end(user.open_sessions.exclude(pk=but))
    if ended:
        record(by=by, act="sessions_ended", target=user, institution=home_of(user), n=ended, why=why)
    return ended


def row_of(request: HttpRequest) -> int:
    """The id of the row of the session that asks; 0 where it has none."""
    return int(request.session.get(ROW) or 0)


class SessionLimitsMiddleware:
    """Ends a session that was left alone or has lasted its time; notes now and then that one is in use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._full = False  # said once, until there is room again

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return self.get_response(request)
        self._look_at(request)
        key = request.session.session_key
        response = self.get_response(request)
        # A new password gives the session a new key.
        if request.session.session_key not in (key, None) and row_of(request):
            OpenSession.objects.filter(pk=row_of(request)).update(session_key=request.session.session_key)
        return response

    def _look_at(self, request: HttpRequest) -> None:
        now = time.time()
        began, seen = request.session.get(BEGAN), request.session.get(SEEN)
        if began is None or seen is None:
            # Signed in before there were rows: it is entered now, and its time begins.
            _enter(request, person_of(request), now)
        elif now - began > settings.SESSION_COOKIE_AGE:
            self._over(request, _("Your session has ended. Sign in again."))
        elif now - seen > settings.SESSION_IDLE_MINUTES * 60:
            said = _("You were signed out after %(minutes)d minutes without use.")
            self._over(request, said % {"minutes": settings.SESSION_IDLE_MINUTES})
        elif now - seen > NOTED_EVERY_SECONDS and not _asked_by_itself(request):
            self._note(request, seen, now)

    def _note(self, request: HttpRequest, seen: float, now: float) -> None:
        """Note that the session is in use. Where no disk has room for that, pages that only read still go on."""
        session = request.session
        changed_before = session.modified
        try:
            with transaction.atomic():
                OpenSession.objects.filter(pk=row_of(request)).update(seen_at=timezone.now())
                session[SEEN] = now
                # Here and not after the page, where nobody could let it pass.
                session.save()
        except UpdateError:
            return  # signed out elsewhere at this instant: Django answers that when it saves
        except (DatabaseError, OSError) as error:
            if not is_full(error):
                raise
            session[SEEN] = seen
            if not self._full:
                log.warning("session_not_noted", error=type(error).__name__)
            self._full = True
        else:
            self._full = False
        session.modified = changed_before

    def _over(self, request: HttpRequest, sentence: str) -> None:
        user = account_of(request.user)
        row = row_of(request)
        logout(request)
        with transaction.atomic():
            OpenSession.objects.filter(pk=row).delete()
            record(by=user, act="session_over", target=user, institution=home_of(user))
        if not request.path_info.startswith("/api/"):
            messages.info(request, sentence)


def _asked_by_itself(request: HttpRequest) -> bool:
    """Whether the page asks, not its reader: what htmx fetches, and the look whether the session is still there."""
    if request.method not in ("GET", "HEAD"):
        return False
    polled = "HX-Request" in request.headers and "HX-Boosted" not in request.headers
    return polled or request.path.endswith("/accounts/session/")
