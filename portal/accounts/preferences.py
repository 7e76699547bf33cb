"""What a person has set for the pages on which they read: their keys, and what follows a read."""

from collections.abc import Mapping

from django.db import transaction

from diagnostics.audit.services import record

from .keys import MAX_KEY, BadKeys, PageKeys, checked, delivered
from .models import OwnKey, Preferences, User
from .services import home_of

__all__ = [
    "MAX_KEY",
    "BadKeys",
    "PageKeys",
    "choose_after_submitting",
    "choose_keys",
    "auto_advance",
    "keys_as_delivered",
]


@transaction.atomic
def choose_keys(*, by: User, page: str, keys: Mapping[str, str]) -> dict[str, str]:
    """Set some of one's own keys of a page; all of the page's keys come back.

    Raises
    ------
    BadKeys
        By action: one that there is not, a key that cannot be used, or that would do two things. Nothing is stored.
    """
    User.objects.select_for_update().get(pk=by.pk)  # two windows at once: one after the other
    wanted = checked(page, keys, PageKeys(by, page).by_action)
    own = OwnKey.objects.filter(user=by, page=page)
    before = dict(own.values_list("action", "key"))
    own.delete()
    if wanted != delivered(page):
        OwnKey.objects.bulk_create(
            OwnKey(user=by, page=page, action=action, key=key) for action, key in wanted.items()
        )
    if wanted != (before or delivered(page)):
        record(by=by, act="keys_changed", target=by, institution=home_of(by), page=page)
    return wanted


def keys_as_delivered(*, by: User, page: str) -> dict[str, str]:
    """Give up one's own keys of a page."""
    return choose_keys(by=by, page=page, keys=delivered(page))


def auto_advance(user: User) -> bool:
    """Whether the main button after a final read brings the next case."""
    kept = Preferences.objects.filter(user=user).values_list("auto_advance", flat=True).first()
    return True if kept is None else kept


@transaction.atomic
def choose_after_submitting(*, by: User, auto_advance: bool) -> Preferences:
    """Choose whether the next case opens by itself after a final read."""
    chosen, _made = Preferences.objects.update_or_create(user=by, defaults={"auto_advance": auto_advance})
    record(by=by, act="habit_changed", target=by, institution=home_of(by), auto_advance=auto_advance)
    return chosen
