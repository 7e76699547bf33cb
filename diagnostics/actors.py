"""Whoever acts: what the domain needs to know of them, and no more."""

from typing import TYPE_CHECKING, Protocol, overload

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

if TYPE_CHECKING:
    # To the type checker this is the model that AUTH_USER_MODEL names. It lives in a layer above.
    from django.contrib.auth.models import _User as Account
else:
    Account = AbstractBaseUser


class Actor(Protocol):
    """A person, a program with a token, or nobody who is signed in. Django's users are such.

    Who belongs where is asked through :mod:`diagnostics.scans.access`, never of the actor.
    """

    @property
    def pk(self) -> int | None: ...

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def is_active(self) -> bool: ...

    @property
    def is_superuser(self) -> bool: ...

    def get_username(self) -> str: ...


@overload
def account_of(actor: Actor) -> Account: ...
@overload
def account_of(actor: None) -> None: ...
@overload
def account_of(actor: Actor | None) -> Account | None: ...
def account_of(actor: Actor | None) -> Account | None:
    """The row of an actor, for a foreign key to it; None stands for the system itself.

    Raises
    ------
    TypeError
        Nobody is signed in: there is no row, and none must be taken for it.
    """
    if actor is not None and not isinstance(actor, get_user_model()):
        raise TypeError(f"{type(actor).__name__} has no account.")
    return actor
