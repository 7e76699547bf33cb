"""Whether Redis is worth asking: one circuit breaker for everything that this process asks of it.

Work never depends on Redis: a message is only a nudge, and a count of requests has the process's own memory to fall
back to. What must not happen is that each request waits for a Redis that is away.
"""

import threading
import time

import redis
from kombu.exceptions import OperationalError

# Not only connections: a Redis that is full, read-only or loading answers, but with an error.
AWAY = (redis.RedisError, OperationalError, OSError)
# A Redis on the same network answers in a few milliseconds.
SECONDS = 0.5
PAUSE_SECONDS = 5.0


class Breaker:
    """After a failure nobody asks for a while; then one asks for all, and the others go on without until it knows."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        self.pause = pause
        self._lock = threading.Lock()
        self._away_until = 0.0  # zero: it answered last time

    def may_ask(self) -> bool:
        """Whether to ask now. Whoever is told yes says afterwards how it went."""
        with self._lock:
            if not self._away_until:
                return True
            now = time.monotonic()
            if now < self._away_until:
                return False
            self._away_until = now + self.pause
            return True

    def answered(self) -> None:
        with self._lock:
            self._away_until = 0.0

    def failed(self) -> bool:
        """Say that it did not answer; whether that is news."""
        with self._lock:
            news = not self._away_until
            self._away_until = time.monotonic() + self.pause
            return news


# The limits share the broker's Redis, so whichever of the two finds it away spares the other the wait.
breaker = Breaker()
