"""What every page's template may ask: which doors are open, which theme, where one stands."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.functional import SimpleLazyObject

from diagnostics.reviews.worklist import unfinished
from diagnostics.scans.access import Permission, may

from .unread_count import News

THEME_COOKIE = "theme"
THEMES = ("dark", "light")


def theme_of(request: HttpRequest) -> str:
    """The browser's theme. Known on the server, so that a light page never flashes dark, nor a dark one light."""
    wanted = request.COOKIES.get(THEME_COOKIE, "")
    return wanted if wanted in THEMES else THEMES[0]


def left_unread(request: HttpRequest, room: str) -> list[Any]:
    """The claim on the case that the page before this one showed, where its reader went elsewhere without a read.

    The worklist names all that is unfinished itself, and another case's page is no place for it.
    """
    if room in ("", "worklist", "reading") or request.method != "GET":
        return []
    came_from = urlsplit(request.headers.get("referer", ""))
    prefix = get_script_prefix()
    if came_from.netloc != request.get_host() or not came_from.path.startswith(prefix):
        return []
    try:
        match = resolve("/" + came_from.path.removeprefix(prefix))
    except Resolver404:
        return []
    if match.view_name != "reading:case":
        return []
    return [(claim, 1) for claim in unfinished(request.user) if claim.case_id == match.kwargs["pk"]]


def portal(request: HttpRequest) -> dict[str, object]:
    """``may.submit_scan`` and so on: True where the person has that permission in any institution.

    ``room`` is the namespace of the page's address, ``here`` the full name, for the navigation.
    """
    match = request.resolver_match
    context: dict[str, Any] = {
        "theme": theme_of(request),
        "cookie_path": settings.SESSION_COOKIE_PATH,
        "room": match.namespace if match else "",
        "here": match.view_name if match else "",
        "may": {},
    }
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        context["may"] = {permission.value: may(user, permission) for permission in Permission}
        # Asked only where a page's frame is drawn: a fragment or a download costs no query.
        news = News(user)
        context["unread_count"] = lambda: news.unread_count
        context["model_alarm"] = SimpleLazyObject(lambda: news.alarm)
        context["left_unread"] = left_unread(request, context["room"])
    return context
