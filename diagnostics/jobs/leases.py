"""How workers take rows, keep them and let go of them. Predictions, training runs, plans and mails all use this.

The row is the truth about the work; a message is only a nudge. Every step is one conditional UPDATE: of any number of
workers that try at once, one succeeds.

- A *claim* counts the attempt, and writes a lease and a fresh fencing token.
- Only the holder of that token can renew the lease, finish the row or give it back.
- When the lease is over, its worker counts as dead. The row may be claimed again, and the old token is worth nothing.
- A row that was tried too often is abandoned: it ends with a reason that a person can read.

``tests/diagnostics/test_leases.py`` holds these for every user.
"""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.utils import timezone

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Leases(Generic[Row]):
    """The leases on the rows of one table.

    ``waiting`` and ``running`` are states. ``seconds`` is the length of a lease, ``attempts`` how often a row may be
    claimed. ``prefix`` stands before the names of the columns (``state``, ``fence``, ``lease_until``, ``attempts``).
    ``changes`` are other columns to be written with the same UPDATE.
    """

    model: type[Row]
    waiting: str
    running: str
    seconds: Callable[[], float]
    attempts: Callable[[], int]
    prefix: str = ""

    def claimable(self, now: datetime) -> Q:
        """Waiting, or left by a worker that is gone; however often it was tried."""
        return self._where(state=self.waiting) | self.lost(now)

    def lost(self, now: datetime) -> Q:
        """Begun by a worker that is gone."""
        return self._where(state=self.running, lease_until__lt=now)

    def free(self, now: datetime) -> Q:
        """What may be claimed."""
        return self.claimable(now) & self._where(attempts__lt=self.attempts())

    def claim(self, rows: QuerySet[Row], **changes: object) -> uuid.UUID | None:
        """Take those of ``rows`` that are free; the token of the claim, or None where another worker was faster."""
        now = timezone.now()
        fence = uuid.uuid4()
        attempts = F(self._column("attempts")) + 1
        claim = self._columns(state=self.running, fence=fence, lease_until=self._until(now), attempts=attempts)
        return fence if rows.filter(self.free(now)).update(**claim, **changes) else None

    def held(self, fence: uuid.UUID, only: Collection[object] | None = None) -> QuerySet[Row]:
        """The rows that are still held under this token, of ``only`` (ids) where given."""
        rows = self._rows().filter(self._where(state=self.running, fence=fence))
        return rows if only is None else rows.filter(pk__in=only)

    def renew(self, fence: uuid.UUID, **changes: object) -> int:
        """Keep the lease; how many rows are still held."""
        return self.held(fence).update(**self._columns(lease_until=self._until(timezone.now())), **changes)

    def postpone(self, fence: uuid.UUID, *, seconds: float) -> int:
        """Let go of the rows, so that they can be claimed again after this time; how many were held."""
        return self.held(fence).update(**self._columns(lease_until=timezone.now() + timedelta(seconds=seconds)))

    def finish(
        self, fence: uuid.UUID, *, state: str, only: Collection[object] | None = None, **changes: object
    ) -> int:
        """End the work in ``state``; how many rows took it. Rows of a lost claim stay as they are."""
        return self.held(fence, only).update(**self._columns(state=state, lease_until=None), **changes)

    def give_back(
        self, fence: uuid.UUID, *, only: Collection[object] | None = None, counted: bool = True, **changes: object
    ) -> int:
        """Let the rows wait again; how many. ``counted=False`` says that this was no attempt."""
        attempts = {} if counted else self._columns(attempts=F(self._column("attempts")) - 1)
        return self.held(fence, only).update(**self._waiting_again(), **attempts, **changes)

    def as_seen(self, row: Row) -> QuerySet[Row]:
        """The row, provided that nobody has claimed it since ``row`` was read."""
        seen = {name: getattr(row, self._column(name)) for name in ("fence", "attempts")}
        return self._rows().filter(self._where(**seen), pk=row.pk)

    def exhausted(self) -> list[QuerySet[Row]]:
        """Rows that were tried too often and that no worker has.

        Waiting and lost ones apart: of "waiting or lost" a database walks through all rows.
        """
        often = self._rows().filter(self._where(attempts__gte=self.attempts()))
        return [often.filter(self._where(state=self.waiting)), often.filter(self.lost(timezone.now()))]

    def abandon(self, rows: QuerySet[Row], *, state: str, **changes: object) -> int:
        """End, without a worker, those of ``rows`` that none has; how many."""
        unheld = rows.filter(self.claimable(timezone.now()))
        return unheld.update(**self._columns(state=state, lease_until=None), **changes)

    def requeue(self, rows: QuerySet[Row], **changes: object) -> int:
        """Let those of ``rows`` wait again that a worker has lost; how many."""
        return rows.filter(self.lost(timezone.now())).update(**self._waiting_again(), **changes)

    def restart(self, rows: QuerySet[Row], **changes: object) -> int:
        """Let ``rows`` wait as if nobody had tried them, whoever has them: no worker can finish them then."""
        return rows.update(**self._waiting_again(), **self._columns(attempts=0), **changes)

    def forgotten(self, waiting_long: Q) -> bool:
        """Whether a row waits whose message may be lost (``waiting_long`` says which), or whose worker is gone."""
        waiting = self._rows().filter(self._where(state=self.waiting) & waiting_long)
        return waiting.exists() or self._rows().filter(self.lost(timezone.now())).exists()

    def _rows(self) -> QuerySet[Row]:
        return self.model._default_manager.all()

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.seconds())

    def _waiting_again(self) -> dict[str, object]:
        return self._columns(state=self.waiting, fence=None, lease_until=None)

    def _column(self, name: str) -> str:
        return self.prefix + name

    def _columns(self, **values: object) -> dict[str, object]:
        return {self._column(name): value for name, value in values.items()}

    def _where(self, **lookups: object) -> Q:
        return Q(**self._columns(**lookups))
