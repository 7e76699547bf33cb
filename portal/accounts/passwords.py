"""What a new password ends: other sessions, links that wait, tokens; and what its person is told."""

from collections.abc import Iterable

from django.db import transaction

from . import letters, sessions
from .addresses import withdraw
from .models import ApiToken, User
from .services import note, revoke_token


@transaction.atomic
def password_was_set(
    *, by: User | None, user: User, act: str, keep: int = 0, tokens: Iterable[ApiToken] | None = None
) -> None:
    """Write down that ``user`` has a new password, and end what the old one had opened.

    Parameters
    ----------
    act
        ``password_changed | password_reset | password_set``.
    keep
        The row of the session that goes on, where it is the person's own.
    tokens
        Those to revoke; all usable ones where left out. Whoever knew the old password may have made one.
    """
    note(act=act, user=user, by=by)
    sessions.end_others(user=user, by=by, but=keep, why=act)
    withdraw(user=user)
    for token in usable_tokens(user) if tokens is None else tokens:
        revoke_token(by=by, token=token)


def usable_tokens(user: User) -> list[ApiToken]:
    """The tokens with which a program can sign in now."""
    return [token for token in user.api_tokens.select_related("user") if token.usable]


def tell(user: User, by: object = None) -> None:
    """Tell the person that their password is another one."""
    letters.tell("password_changed", user=user, to=user.email, by=by)
