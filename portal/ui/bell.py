"""How many notifications are new to a person: asked by each page's header, so it is one query that ends early."""

from dataclasses import dataclass
from typing import Any

from diagnostics.reviews.notices import notifications_for

MOST = 99  # beyond it the exact number helps nobody


@dataclass(frozen=True)
class Bell:
    """``count`` is at most ``MOST`` + 1; ``text`` is what the bell shows."""

    count: int

    @property
    def text(self) -> str:
        return f"{MOST}+" if self.count > MOST else str(self.count)


def bell_of(user: Any) -> Bell:
    """The new notifications of ``user``."""
    new = notifications_for(user).filter(in_portal=True, read_at__isnull=True).order_by()
    return Bell(new[: MOST + 1].count())
