"""Work that hangs on somebody else's computer: tried again, ever more seldom, for days, then given up with a reason.

A row waits until ``due_at``. One that was given up stays as it is until a person lets it be tried again.
"""

import random
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .leases import Leases
from .models import LeasedRow

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
MOST_LOST = 5  # times in a row that the worker died: it may be this row that kills it
LOST_OFTEN = "The worker ended each time before this was done, so it was given up."


class JobState(models.TextChoices):
    """How far such a row is."""

    WAITING = "waiting", pgettext_lazy("job", "Waiting")
    RUNNING = "running", pgettext_lazy("job", "Running")
    DONE = "done", pgettext_lazy("job", "Done")
    FAILED = "failed", pgettext_lazy("job", "Given up")


class RetriedRow(LeasedRow):
    """A row that is tried until ``since`` is days ago. ``attempts`` counts the claims since a try last ended."""

    state = models.CharField(max_length=8, choices=JobState, default=JobState.WAITING)
    due_at = models.DateTimeField(default=timezone.now, help_text=_("Not tried before."))
    since = models.DateTimeField(default=timezone.now, help_text=_("When it was tried first, or let be tried again."))
    tries = models.PositiveSmallIntegerField(default=0, help_text=_("How often it failed since then."))
    failure = models.CharField(max_length=300, blank=True, default="", help_text=_("Why the last try failed."))
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=RetriedRow)


@dataclass(frozen=True)
class Retries(Generic[Row]):
    """The rows of one table, each tried for ``days``; a try may take ``seconds``."""

    model: type[Row]
    seconds: float
    days: Callable[[], float]

    @property
    def leases(self) -> Leases[Row]:
        """The leases on these rows."""
        return Leases(
            self.model,
            waiting=JobState.WAITING,
            running=JobState.RUNNING,
            seconds=lambda: self.seconds,
            attempts=lambda: MOST_LOST,
        )

    def due(self) -> QuerySet[Row]:
        """What may be tried now, the longest due first."""
        now = timezone.now()
        rows = self.model._default_manager.filter(self.leases.free(now), due_at__lte=now)
        return rows.order_by("due_at", "pk")

    def anything_due(self) -> bool:
        """Whether a worker is to be nudged."""
        return self.due().exists()

    def give_up(self) -> None:
        """End the rows whose workers died again and again."""
        for rows in self.leases.exhausted():
            self.leases.abandon(rows, state=JobState.FAILED, failure=LOST_OFTEN, finished_at=timezone.now())

    def claim(self, ids: Collection[object]) -> tuple[uuid.UUID, list[Row]] | None:
        """Take those of these rows that are free; None where other workers were faster."""
        now = timezone.now()
        fence = self.leases.claim(self.model._default_manager.filter(pk__in=list(ids), due_at__lte=now))
        if fence is None:
            return None
        held = list(self.leases.held(fence).order_by("due_at", "pk"))
        return (fence, held) if held else None

    def done(self, fence: uuid.UUID, row: Row, **changes: object) -> int:
        """It succeeded."""
        return self.leases.finish(
            fence, state=JobState.DONE, only=[row.pk], failure="", finished_at=timezone.now(), **changes
        )

    def failed(self, fence: uuid.UUID, row: Row, why: str, *, for_good: bool = False) -> bool:
        """It did not succeed: it is tried again later, or given up where it was tried for long; whether it was."""
        now = timezone.now()
        over = for_good or now - row.since >= timedelta(days=self.days())
        if over:
            self.leases.finish(fence, state=JobState.FAILED, only=[row.pk], failure=why[:300], finished_at=now)
        else:
            later = now + timedelta(seconds=pause_after(row.tries + 1))
            self.leases.give_back(
                fence, only=[row.pk], due_at=later, failure=why[:300], tries=row.tries + 1, attempts=0
            )
        return over

    def try_again(self, rows: QuerySet[Row], **changes: object) -> int:
        """Let those of ``rows`` that no worker has be tried from now on as if they were new; how many."""
        now = timezone.now()
        unheld = rows.filter(Q(state__in=(JobState.FAILED, JobState.DONE)) | self.leases.claimable(now))
        return self.leases.restart(unheld, due_at=now, since=now, failure="", tries=0, finished_at=None, **changes)


def pause_after(tries: int) -> float:
    """Seconds until the next try: doubled each time up to an hour, and never the same for all that failed at once."""
    return min(FIRST_PAUSE * 2 ** min(tries - 1, 12), LONGEST_PAUSE) * random.uniform(0.9, 1.1)  # noqa: S311
