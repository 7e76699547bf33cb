"""Who asks, where an address is open only to those who are signed in."""

from django.http import HttpRequest
from rest_framework.request import Request

from .models import User


def person_of(request: HttpRequest | Request) -> User:
    """The account of whoever asks.

    Raises
    ------
    TypeError
        Nobody is signed in: the address forgot to ask for it.
    """
    person = request.user
    if not isinstance(person, User):
        raise TypeError("Nobody is signed in.")
    return person
