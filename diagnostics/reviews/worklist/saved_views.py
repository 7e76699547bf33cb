"""A person's own views of the worklist: named, kept on the server.

Like drafts they are nobody else's business and state nothing, so they are not audited.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.models import SavedView
from diagnostics.scans.models import Priority

from .listing import STATUSES, TABS

MOST_VIEWS = 20
MAX_NAME = 60
MAX_PATIENT = 64
CHOICES: dict[str, tuple[str, ...]] = {
    "tab": TABS,
    "priority": tuple(str(priority) for priority in Priority.values),
    "due": ("overdue",),
    "analysis": STATUSES,
}

NAMES = ("tab", "patient", "priority", "due", "analysis")  # in one order, so that equal views have equal addresses


def views_of(user: Actor) -> QuerySet[SavedView]:
    """The views that ``user`` has saved, by name."""
    return SavedView.objects.filter(user=account_of(user))


def query_of(query: str) -> str:
    """The part of an address that a view keeps: tab and filters, in one order, without the page.

    Raises
    ------
    InvalidRead
    """
    given = {name: value for name, value in parse_qsl(query.lstrip("?")) if name != "after"}
    for name, value in given.items():
        if name != "patient" and value not in CHOICES.get(name, ()):
            known = ", ".join(CHOICES.get(name, ("patient", *CHOICES)))
            raise InvalidRead(
                "query",
                _("“%(name)s=%(value)s” is none of: %(known)s."),
                {
                    "name": name,
                    "value": value,
                    "known": known,
                },
            )
    if len(given.get("patient", "")) > MAX_PATIENT:
        raise InvalidRead(
            "query", _("A patient ID or accession number can have at most %(n)s characters."), {"n": MAX_PATIENT}
        )
    kept: list[tuple[str, str]] = [(name, given[name]) for name in NAMES if name in given]
    return urlencode(kept)


def query_within(given: Mapping[str, str]) -> str:
    """The same of an address as it came: what a view would not keep is left out instead of refused."""
    kept = [(name, given.get(name, "")) for name in NAMES]
    kept = [(name, value) for name, value in kept if value and (name == "patient" or value in CHOICES[name])]
    return query_of(urlencode([(name, value[:MAX_PATIENT]) for name, value in kept]))


@transaction.atomic
def save_view(*, by: Actor, name: str, query: str, default: bool = False) -> SavedView:
    """Keep a view under a name; one of that name is replaced. ``default``: the worklist opens with it.

    Raises
    ------
    InvalidRead
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidRead("name", _("Enter a name of at most %(n)s characters."), {"n": MAX_NAME})
    kept = query_of(query) or "tab=unclaimed"
    mine = views_of(by).select_for_update()
    if mine.count() >= MOST_VIEWS and not mine.filter(name=name).exists():
        raise InvalidRead("name", _("You already have %(n)s views. Delete one first."), {"n": MOST_VIEWS})
    if default:
        mine.filter(default=True).exclude(name=name).update(default=False)
    return SavedView.objects.update_or_create(
        user=account_of(by), name=name, defaults={"query": kept, "default": default}
    )[0]


@transaction.atomic
def forget_view(*, by: Actor, view: SavedView) -> None:
    """Forget one of one's own views."""
    views_of(by).filter(pk=view.pk).delete()
