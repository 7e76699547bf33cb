"""How far the reading has come. Drafts and blind reads never count: only what is finished does."""

from dataclasses import dataclass

from django.utils import timezone

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import Case, CaseState
from diagnostics.reviews.models import Read, ReadKind

from .listing import COUNT_LIMIT


@dataclass(frozen=True)
class Progress:
    """Finished cases of all that this person may see; their own final reads of today; ``capped``: there are more."""

    done: int
    total: int
    today: int
    capped: bool


def progress_for(user: Actor) -> Progress:
    """Counted without an order and never beyond ``COUNT_LIMIT`` a state: three small queries, however many cases."""
    here = Case.objects.visible_to(user).readable().order_by()
    # A control that was read is no work; one that waits looks like all others.
    done = here.filter(state=CaseState.DONE, control=False)[:COUNT_LIMIT].count()
    still = here.filter(state=CaseState.OPEN)[:COUNT_LIMIT].count()
    morning = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = Read.objects.filter(
        reader=account_of(user), kind=ReadKind.FINAL, created_at__gte=morning, case__control=False
    )
    return Progress(
        done=done,
        total=done + still,
        today=today.order_by().values("case").distinct().count(),
        capped=COUNT_LIMIT in (done, still),
    )
