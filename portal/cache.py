"""The cache that counts requests: Redis where it answers, this process's memory while it does not."""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from diagnostics.broker import AWAY, SECONDS, breaker

T = TypeVar("T")
log = structlog.get_logger(__name__)


class SteadyRedisCache(BaseCache):
    """Django's Redis cache that never fails a request.

    While Redis is away each process counts for itself: a limit then holds for each process instead of for all
    together, but it holds.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = {"socket_connect_timeout": SECONDS, "socket_timeout": SECONDS, **params.get("OPTIONS", {})}
        self._redis = RedisCache(server, {**params, "OPTIONS": options})
        self._memory = LocMemCache("redis-is-away", {})

    def _ask(self, asked: Callable[[BaseCache], T]) -> T:
        if not breaker.may_ask():
            return asked(self._memory)
        try:
            answer = asked(self._redis)
        except AWAY as error:
            if breaker.failed():
                log.warning("redis_away", error=type(error).__name__)
            return asked(self._memory)
        except ValueError:  # there is no such number to raise: an answer, too
            breaker.answered()
            raise
        breaker.answered()
        return answer

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._ask(lambda cache: cache.add(key, value, timeout, version))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._ask(lambda cache: cache.get(key, default, version))

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._ask(lambda cache: cache.set(key, value, timeout, version))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._ask(lambda cache: cache.touch(key, timeout, version))

    def delete(self, key: str, version: int | None = None) -> bool:
        return self._ask(lambda cache: cache.delete(key, version))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return self._ask(lambda cache: cache.incr(key, delta, version))

    def clear(self) -> None:
        self._memory.clear()
        self._ask(lambda cache: cache.clear())
