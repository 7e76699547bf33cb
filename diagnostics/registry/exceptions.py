"""What it takes to put a model into use that the gate has not let through: a written exception, never a slip.

Held by the act itself (:func:`.services.put_forward_into_use`), so that a page, the admin, the API and a command
cannot differ.
"""

import re
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.scans.access import Permission, may, roles_with
from diagnostics.scans.models import Membership

from .gate import Standing, in_one_line
from .models import ModelVersion
from .refusals import ExceptionMissing

LEAST = 20  # characters of a reason
_LETTERS = 5  # different ones, at least
_REPEATED = re.compile(r"(.+?)\1+")


@dataclass(frozen=True)
class Needed:
    """What a model's exception needs: its name typed so, what the gate said in one line, and whether somebody else
    must approve it."""

    name: str
    failed: str
    second_administrator: bool
    least: int = LEAST


def needed_for(*, by: Actor, version: ModelVersion, stands: Standing) -> Needed | None:
    """What ``by`` would need to put ``version`` into use by an exception; None where the gate let it through."""
    if stands.passed:
        return None
    return Needed(str(version), in_one_line(stands), settings.SECOND_ADMINISTRATOR or others_who_may_approve(by))


def others_who_may_approve(by: Actor) -> bool:
    """Whether another active person may put models into use, so that an exception needs them too."""
    holders = Membership.objects.filter(role__in=roles_with(Permission.PROMOTE)).values("user")
    people = get_user_model()._default_manager.filter(is_active=True).exclude(pk=account_of(by).pk)
    found = people.filter(Q(pk__in=holders) | Q(is_superuser=True))
    return any(may(each, Permission.PROMOTE) for each in found)


def check(*, version: ModelVersion, stands: Standing, words: str, name: str, field: str) -> None:
    """Raise unless the exception is written; ``field`` is that of the words.

    Raises
    ------
    ExceptionMissing
        The model's name is not typed exactly, or the words are no reason.
    """
    failed = in_one_line(stands)
    if not _is_reason(words):
        raise ExceptionMissing(
            _("%(failed)s Give a reason of at least %(least)s characters. Repeating one word is not a reason."),
            {"failed": failed, "least": LEAST},
            field=field,
        )
    if name.strip() != str(version):
        raise ExceptionMissing(
            _("%(failed)s To promote it anyway, type the model's exact name: %(name)s"),
            {"failed": failed, "name": version},
            field="name",
        )


def _is_reason(words: str) -> bool:
    """Whether the words are long enough, and not one character or word over and over."""
    words = " ".join(words.split())
    if len(words) < LEAST:
        return False
    letters = "".join(each for each in words.casefold() if each.isalnum())
    if len(set(letters)) < _LETTERS or _REPEATED.fullmatch(letters):
        return False
    # A word said again adds nothing: what is left must still be a sentence.
    different = dict.fromkeys(re.sub(r"[^\w\s]", " ", words.casefold()).split())
    return len(" ".join(different)) > LEAST // 2 and (len(different) > 1 or len(words.split()) == 1)
