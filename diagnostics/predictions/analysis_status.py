"""How far the analysis of a scan stands, as the scan and its cases repeat it for their lists.

Whoever changes a prediction does so inside :func:`sync`. What is repeated is derived from the predictions anew
each time, never handed on, so a change of an older prediction cannot overwrite what the newest one says.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Case as SqlCase
from django.db.models import CharField, Exists, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from diagnostics.cases.models import Case, CaseState
from diagnostics.scans.models import Analysis, Arrival, Scan

from .models import Prediction, PredictionState

WORDS: dict[str | None, Analysis] = {
    None: Analysis.QUEUED,  # no model was live when the scan came; the reconciler queues it when one is
    PredictionState.QUEUED: Analysis.QUEUED,
    PredictionState.RUNNING: Analysis.ANALYSING,
    PredictionState.READY: Analysis.READY,
    PredictionState.FAILED: Analysis.FAILED,
}


def derived(scan: str) -> Combinable:
    """SQL for what ``analysis`` should say; ``scan`` is the path to the scan's id. Null where it has no prediction."""
    as_words = [When(state=state, then=Value(word)) for state, word in WORDS.items() if state is not None]
    newest = (
        Prediction.objects.filter(scan=OuterRef(scan))
        .order_by("-created_at", "-id")
        .values(word=SqlCase(*as_words, output_field=CharField()))[:1]
    )
    this_scan = Scan.objects.filter(pk=OuterRef(scan))
    rejected = this_scan.exclude(rejected_code="")
    return SqlCase(
        When(Exists(this_scan.exclude(not_analysed="")), then=Value(Analysis.NONE)),
        When(Exists(this_scan.filter(arrival=Arrival.ARRIVING)), then=Value(Analysis.ARRIVING)),
        When(Exists(rejected), then=Value(Analysis.REJECTED)),
        default=Subquery(newest),
        output_field=CharField(),
    )


def cases_not_begun() -> int:
    """How many open cases a model that goes into use now would analyse: no worker has begun with them."""
    return Case.objects.filter(state=CaseState.OPEN, analysis=Analysis.QUEUED).order_by().count()


@contextmanager
def sync(scans: Iterable[uuid.UUID]) -> Iterator[None]:
    """A transaction that changes predictions of these scans (ids), or rejects them; they and their cases say so at
    its end.

    The cases are locked first, then the scans: a reader's act, too, takes the case before what hangs on it, and two
    transactions that took them in opposite orders could wait for each other for ever.
    """
    with transaction.atomic():
        wanted = list(scans)
        cases = Case.objects.filter(scan__in=wanted).order_by("pk").select_for_update(no_key=True, of=("self",))
        held = list(cases.values_list("pk", flat=True))
        list(Scan.objects.filter(pk__in=wanted).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        yield
        if held:
            Case.objects.filter(pk__in=held).update(analysis=_of_a_case())
        Scan.objects.filter(pk__in=wanted).update(analysis=derived("pk"))


def _of_a_case() -> Combinable:
    """A case always says something: a scan that no model has been asked about yet waits like a queued one."""
    return Coalesce(derived("scan"), Value(WORDS[None]))


Differing = tuple[uuid.UUID, str | None, str]


def differing() -> QuerySet[Case, Differing]:
    """Cases whose ``analysis`` is not what the predictions say: the id, what it says and what it should say.

    There are none, unless somebody wrote past the services.
    """
    found = Case.objects.annotate(should_be=_of_a_case()).exclude(analysis=F("should_be"))
    return found.order_by("pk").values_list("pk", "analysis", "should_be")


def differing_scans() -> QuerySet[Scan, Differing]:
    """Scans whose ``analysis`` is not what the predictions say, as :func:`differing` tells of cases."""
    nothing = Value("")
    found = Scan.objects.annotate(should_be=Coalesce(derived("pk"), nothing), says=Coalesce("analysis", nothing))
    return found.exclude(says=F("should_be")).order_by("pk").values_list("pk", "analysis", "should_be")


def put_right(cases: Iterable[uuid.UUID]) -> None:
    """Let these cases (ids), and their scans, say what the predictions say."""
    put_scans_right(Case.objects.filter(pk__in=list(cases)).values_list("scan", flat=True))


def put_scans_right(scans: Iterable[uuid.UUID]) -> None:
    """Let these scans (ids), and their cases, say what the predictions say."""
    with sync(scans):
        pass
