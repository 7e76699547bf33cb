"""Whoever acts: what the domain needs to know of them, and no more."""

from typing import Any, Protocol

from django.contrib.auth.base_user import AbstractBaseUser


class Actor(Protocol):
    """A person, a program with a token, or nobody who is signed in. Django's users are such.

    Who belongs where is asked through :mod:`diagnostics.scans.access`, never of the actor.
    """

    @property
    def pk(self) -> Any: ...

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def is_active(self) -> bool: ...

    @property
    def is_superuser(self) -> bool: ...

    def get_username(self) -> str: ...


def account_of(actor: Actor | None) -> Any:
    """The row of an actor, for a foreign key to it; None stands for the system itself.

    Raises
    ------
    TypeError
        Nobody is signed in: there is no row, and none must be taken for it.
    """
    if actor is not None and not isinstance(actor, AbstractBaseUser):
        raise TypeError(f"{type(actor).__name__} has no account.")
    return actor
