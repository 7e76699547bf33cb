"""The page on which a person chooses their keys, and what follows a read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from diagnostics.actors import Actor
from portal.accounts.signed_in import person_of

from . import preferences
from .keys import PAGES, TITLES, Action, PageKeys, actions_of, delivered

FIELD = "key-"


@dataclass(frozen=True)
class Line:
    """One action with its key as the form shows it."""

    action: Action
    key: str
    error: str

    @property
    def changed(self) -> bool:
        return self.key != self.action.key

    @property
    def said(self) -> str:
        """What stands beside the key: what is wrong with it, or which one it replaces."""
        if self.error or not self.changed:
            return self.error
        return _("default: %(key)s") % {"key": self.action.key}


def _sections(user: Actor, page: str = "", entered: Mapping[str, str] = {}, errors: Mapping[str, str] = {}) -> Any:
    """The pages with their groups of lines; ``page`` with what was entered there."""
    for name, groups in PAGES.items():
        keys = {**PageKeys(user, name).by_action, **(entered if name == page else {})}
        wrong = errors if name == page else {}
        shown = [
            (group, [Line(action, keys[action.name], wrong.get(action.name, "")) for action in group.actions])
            for group in groups
        ]
        yield name, TITLES[name], shown, keys != delivered(name), bool(wrong)


def _show(request: HttpRequest, *, status: int = 200, **filled: Any) -> HttpResponse:
    next_opens = preferences.auto_advance(person_of(request))
    context = {"sections": list(_sections(request.user, **filled)), "auto_advance": next_opens}
    return render(request, "accounts/keys.html", context, status=status)


@require_http_methods(["GET", "POST"])
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    """One's own keys, page by page."""
    if request.method != "POST":
        return _show(request)
    page = request.POST.get("page", "")
    if page not in PAGES:
        raise BadRequest(_("There is no such page."))
    if "deliver" in request.POST:
        preferences.keys_as_delivered(by=person_of(request), page=page)
        messages.success(request, _("The shortcuts were reset to default."))
        return redirect("accounts:keys")
    wanted = {name: request.POST[FIELD + name] for name in actions_of(page) if FIELD + name in request.POST}
    try:
        preferences.choose_keys(by=person_of(request), page=page, keys=wanted)
    except preferences.BadKeys as refused:
        return _show(request, status=400, page=page, entered=wanted, errors=refused.sentences)
    messages.success(request, _("Your shortcuts were saved. They work in every browser in which you sign in."))
    return redirect("accounts:keys")


@require_POST
@login_required
def after_submitting(request: HttpRequest) -> HttpResponse:
    """Choose what follows a final read."""
    wanted = request.POST.get("auto_advance", "")
    if wanted not in ("yes", "no"):
        raise BadRequest(_("Choose one."))
    preferences.choose_after_submitting(by=person_of(request), auto_advance=wanted == "yes")
    messages.success(request, _("Saved."))
    return redirect("accounts:keys")
