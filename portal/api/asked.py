"""Who asks the API: behind its permissions there is always an account."""

from rest_framework.request import Request

from portal.accounts.models import User


def person_of(request: Request) -> User:
    """The account of whoever asks.

    Raises
    ------
    TypeError
        Nobody is signed in: the address forgot to ask for it.
    """
    if not isinstance(request.user, User):
        raise TypeError("Nobody is signed in.")
    return request.user
