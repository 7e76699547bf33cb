"""Sharing a real Redis with other people: each test process takes an empty database of it and leaves it empty."""

import atexit
import contextlib
import os
from pathlib import Path

import redis

MARK = "overread-test-process"


def own_database(address: str) -> str:
    """Take the last database that is empty, or that an ended test process left; gives its address."""
    for number in range(15, 0, -1):
        server = redis.Redis.from_url(f"{address.rstrip('/')}/{number}", socket_timeout=5)
        holder = server.get(MARK)
        if holder is not None and not Path(f"/proc/{int(holder)}").exists():
            server.flushdb()
        if server.dbsize() == 0 and server.set(MARK, os.getpid(), nx=True):
            atexit.register(_leave, server)
            return f"{address.rstrip('/')}/{number}"
    raise RuntimeError(f"No database of the Redis at {address} is empty: tests never touch one that is not.")


def _leave(server: redis.Redis) -> None:
    with contextlib.suppress(redis.RedisError):
        server.flushdb()


def empty(server: redis.Redis) -> None:
    """Forget everything but whose database it is."""
    for key in server.scan_iter(count=1000):
        if key != MARK.encode():
            server.delete(key)
