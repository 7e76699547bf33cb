"""Sign-ins and other looks at a password are counted before the password is looked at, in the database.

Before, and in one statement that counts only below the limit: however many arrive at once, at however many processes,
no more are looked at than the limit allows. In the database and not in the cache, so that sign-in needs no Redis.

Counted are the name at one address, the address, and the name over all addresses. The last stops a guesser with many
addresses, who must not lock the owner out by it: a device that the person signed in from before (``devices``) has a
count of its own instead of all three. A right password takes its own count back.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from diagnostics.scans.folding import folded

from . import devices
from .models import AttemptCount

WINDOW_SECONDS: float = 10 * 60
LIMIT_PER_NAME = 8  # at one address, or from one known device
LIMIT_PER_ADDRESS = 60
WINDOW_ANYWHERE_SECONDS: float = 60 * 60
LIMIT_PER_NAME_ANYWHERE = 30
LIMIT_OF_MAILS = 10
_SWEPT_AT_ONCE = 50


class TooMany(PermissionError):
    """No more passwords are looked at for now; ``minutes`` until the count begins anew, at the most."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.minutes = max(1, round(seconds / 60))


@dataclass(frozen=True)
class Count:
    """One count and its limit."""

    key: str
    limit: int
    seconds: float
    forgotten: bool = False  # a right password ends it; the others it only gives its own try back


def address_of(request: HttpRequest) -> str:
    """Where the request comes from; behind proxies, what ``ClientAddressMiddleware`` took from their word."""
    return request.META.get("REMOTE_ADDR", "")


def _key(kind: str, *parts: str) -> str:
    # Hashed with the installation's key: neither names nor addresses stand in the table.
    return salted_hmac(f"attempts.{kind}", "\n".join(parts), algorithm="sha256").hexdigest()


def counts_of(request: HttpRequest, username: str) -> Sequence[Count]:
    """What a sign-in under ``username`` counts for, in one order for all, so that no two wait for each other."""
    name, address = folded(username.strip()), address_of(request)
    device = devices.known(request, username)
    if device:
        return [Count(_key("device", device, name), LIMIT_PER_NAME, WINDOW_SECONDS, forgotten=True)]
    found = [
        Count(_key("name-at", address, name), LIMIT_PER_NAME, WINDOW_SECONDS, forgotten=True),
        Count(_key("address", address), LIMIT_PER_ADDRESS, WINDOW_SECONDS),
        Count(_key("name", name), LIMIT_PER_NAME_ANYWHERE, WINDOW_ANYWHERE_SECONDS),
    ]
    return sorted(found, key=lambda count: count.key)


def own_counts(user_pk: int) -> Sequence[Count]:
    """What somebody who is signed in counts for when they give their password again."""
    return [Count(_key("own", str(user_pk)), LIMIT_PER_NAME, WINDOW_SECONDS, forgotten=True)]


def take(counts: Sequence[Count]) -> None:
    """Count one try in all of ``counts``, or in none of them.

    Raises
    ------
    TooMany
        One of them is used up: the password must not be looked at.
    RuntimeError
        Called within a transaction, whose end could take the count back.
    """
    sweep()
    with transaction.atomic(durable=True):
        for count in counts:
            if not _counted(count):
                raise TooMany(count.seconds)


def _counted(count: Count) -> bool:
    """Count one in a single statement, unless the limit is reached; a window that is over begins anew."""
    now = time.time()
    table = connection.ops.quote_name(AttemptCount._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (key, count, ends_at) VALUES (%s, 1, %s) "  # noqa: S608 - the table's own name
            f"ON CONFLICT (key) DO UPDATE SET "
            f"count = CASE WHEN {table}.ends_at <= %s THEN 1 ELSE {table}.count + 1 END, "
            f"ends_at = CASE WHEN {table}.ends_at <= %s THEN excluded.ends_at ELSE {table}.ends_at END "
            f"WHERE {table}.count < %s OR {table}.ends_at <= %s",
            [count.key, now + count.seconds, now, now, count.limit, now],
        )
        return bool(cursor.rowcount == 1)


def give_back(counts: Sequence[Count]) -> None:
    """The password was right: what is the person's own is forgotten, what is shared gets this one try back."""
    for count in counts:
        row = AttemptCount.objects.filter(key=count.key)
        if count.forgotten:
            row.delete()
        else:
            row.filter(count__gt=0).update(count=F("count") - 1)
    AttemptCount.objects.filter(key__in=[count.key for count in counts], count=0).delete()


def sweep() -> None:
    """Drop counts that are over, some at a time, each by itself so that no two sweepers wait for each other."""
    over = AttemptCount.objects.filter(ends_at__lt=time.time() - 60).values_list("key", flat=True)
    for key in list(over[:_SWEPT_AT_ONCE]):
        AttemptCount.objects.filter(key=key, ends_at__lt=time.time() - 60).delete()


def too_many(request: HttpRequest, username: str) -> bool:
    """Whether a sign-in would be refused now; asks without counting."""
    now = time.time()
    limits = {count.key: count.limit for count in counts_of(request, username)}
    standing = AttemptCount.objects.filter(key__in=limits, ends_at__gt=now)
    return any(count >= limits[key] for key, count in standing.values_list("key", "count"))


def count_failure(request: HttpRequest, username: str) -> None:
    """Count one try that is known to have failed.

    Raises
    ------
    TooMany
    """
    take(counts_of(request, username))


def too_many_mails(request: HttpRequest) -> bool:
    """Count a wish for a link by mail; whether this address, or who is signed in, has had enough of them for now."""
    keys = [_key("mails", address_of(request))]
    if request.user.is_authenticated:
        keys.append(_key("mails-of", str(request.user.pk)))
    try:
        take([Count(key, LIMIT_OF_MAILS, WINDOW_SECONDS) for key in sorted(keys)])
    except TooMany:
        return True
    return False
