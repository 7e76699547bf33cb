"""How many notifications are new to a person: asked by each page's header, so it is one query that ends early."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from diagnostics.actors import Actor
from diagnostics.registry import services as registry
from diagnostics.reviews.notices import notifications_for, permitted
from diagnostics.scans.counting import as_word, counted

MOST = 99  # beyond it the exact number helps nobody


@dataclass(frozen=True)
class UnreadCount:
    """``count`` is at most ``MOST`` + 1; ``text`` is what the bell in the header shows."""

    count: int

    @property
    def text(self) -> str:
        return f"{MOST}+" if self.count > MOST else str(self.count)


NEW = {"in_portal": True, "read_at__isnull": True}


def unread_count_of(user: Actor) -> UnreadCount:
    """The new notifications of ``user``."""
    return UnreadCount(notifications_for(user).filter(**NEW).order_by()[: MOST + 1].count())


class News:
    """What a page's frame tells: the bell, and the alarm that a model's files are damaged. Asked for together, once,
    when the first of them is shown; an alarm, which hardly ever stands, is fetched after that."""

    def __init__(self, user: Actor) -> None:
        self.user = user

    @cached_property
    def _found(self) -> Counter[str]:
        new = permitted(self.user).filter(**NEW)
        return counted(
            as_word(new.filter(comment__isnull=True), "new")[: MOST + 1],
            as_word(new.filter(comment__isnull=False), "of a comment")[:1],
            as_word(registry.standing_alarms(), "alarm")[:1],
        )

    @cached_property
    def unread_count(self) -> UnreadCount:
        # Which comments may be seen is a question ten times as long: only where there is one to ask about.
        return unread_count_of(self.user) if self._found["of a comment"] else UnreadCount(self._found["new"])

    @property
    def alarm(self) -> Any:
        """The newest alarm that stands, or None."""
        return registry.open_alarm() if self._found["alarm"] else None
