"""The mail address of an account.

Whoever changes it can have the password reset. So it takes more than an open session: the password, a notice to the
old address, and the link in a mail to the new one.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.audit.services import record
from diagnostics.errors import NotFound, Unavailable

from . import letters
from .models import AddressChange, User
from .services import home_of

LINK_DAYS = 3


class LinkIsOver(NotFound):
    """The link was used, has expired, or never was one."""


class MailAway(Unavailable):
    """The mail server takes nothing, so nothing was changed; ``str()`` says so."""


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def ask(*, user: User, address: str, link: Any, origin: str = "") -> AddressChange:
    """Let ``user`` have another address once the link in a mail to it is opened; the old one is told at once.

    Parameters
    ----------
    link
        Makes the whole address of the page from the word in it.
    origin
        Where the wish came from, for the audit.

    Raises
    ------
    MailAway
    """
    word = secrets.token_urlsafe(32)
    try:
        # The old address first: nobody gets a link whose owner was not told.
        letters.send("address_asked", user=user, to=user.email, new=address)
        letters.send("address_link", user=user, to=address, link=link(word), days=LINK_DAYS)
    except letters.NotSent as error:
        raise MailAway(_("The mail server does not answer. Your address is unchanged. Try again later.")) from error
    with transaction.atomic():
        row, _made = AddressChange.objects.update_or_create(
            user=user, defaults={"address": address, "digest": _digest(word), "asked_at": timezone.now()}
        )
        record(by=user, act="address_change_asked", target=user, institution=home_of(user), address=origin)
    return row


def waiting(user: User) -> AddressChange | None:
    """The change that waits for its link."""
    return AddressChange.objects.filter(user=user, asked_at__gt=_oldest()).first()


def found(word: str) -> AddressChange:
    """The change that a link is for.

    Raises
    ------
    LinkIsOver
    """
    row = AddressChange.objects.filter(digest=_digest(word), asked_at__gt=_oldest(), user__is_active=True)
    change = row.select_related("user").first()
    if change is None:
        raise LinkIsOver
    return change


def confirm(*, word: str) -> User:
    """Somebody opened the link and said yes: the new address counts from now on, and the old one is told.

    Raises
    ------
    LinkIsOver
    """
    with transaction.atomic():
        change = found(word)
        if not AddressChange.objects.filter(pk=change.pk).delete()[0]:
            raise LinkIsOver
        user = User.objects.select_for_update().get(pk=change.user_id)
        former, user.email = user.email, change.address
        user.save(update_fields=["email"])
        record(by=user, act="address_changed", target=user, institution=home_of(user))
    letters.tell("address_changed", user=user, to=former, by=None)
    return user


def withdraw(*, user: User) -> bool:
    """Let the link that waits lead nowhere; whether one waited. Also done by a new password."""
    with transaction.atomic():
        ended = AddressChange.objects.filter(user=user).delete()[0]
        if ended:
            record(by=user, act="address_change_withdrawn", target=user, institution=home_of(user))
    return bool(ended)


@transaction.atomic
def changed_by_administrator(*, by: User, user: User) -> None:
    """An administrator has set somebody's address: written down, and links that wait lead nowhere."""
    AddressChange.objects.filter(user=user).delete()
    record(by=by, act="address_changed", target=user, institution=home_of(user))


def tell_both(*, by: User, user: User, former: str) -> None:
    """Tell the old and the new address what an administrator has set."""
    for to in {former, user.email} - {""}:
        letters.tell("address_changed", user=user, to=to, by=by)


def _oldest() -> Any:
    return timezone.now() - timedelta(days=LINK_DAYS)
