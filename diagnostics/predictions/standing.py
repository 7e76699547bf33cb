"""How far the analysis of a scan stands, as the scan's cases repeat it for the worklist.

Whoever changes a prediction does so inside :func:`told`. What the cases repeat is derived from the predictions anew
each time, never handed on, so a change of an older prediction cannot overwrite what the newest one says.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import Case as SqlCase
from django.db.models import CharField, Exists, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from diagnostics.cases.models import Analysis, Case
from diagnostics.scans.models import Scan

from .models import Prediction, PredictionState

WORDS: dict[str | None, Analysis] = {
    None: Analysis.QUEUED,  # no model was live when the scan came; the reconciler queues it when one is
    PredictionState.QUEUED: Analysis.QUEUED,
    PredictionState.RUNNING: Analysis.ANALYSING,
    PredictionState.READY: Analysis.READY,
    PredictionState.FAILED: Analysis.FAILED,
}


def derived() -> Any:
    """SQL for what ``analysis`` of a case should say."""
    as_words = [When(state=state, then=Value(word)) for state, word in WORDS.items() if state is not None]
    newest = (
        Prediction.objects.filter(scan=OuterRef("scan"))
        .order_by("-created_at", "-id")
        .values(word=SqlCase(*as_words, output_field=CharField()))[:1]
    )
    rejected = Scan.objects.filter(pk=OuterRef("scan")).exclude(rejected_code="")
    return SqlCase(
        When(Exists(rejected), then=Value(Analysis.REJECTED)),
        default=Coalesce(Subquery(newest), Value(WORDS[None])),
        output_field=CharField(),
    )


@contextmanager
def told(scans: Iterable[Any]) -> Iterator[None]:
    """A transaction that changes predictions of these scans (ids), or rejects them; their cases say so at its end.

    The cases are locked first: a reader's act, too, takes the case before what hangs on it, and two transactions
    that took them in opposite orders could wait for each other for ever.
    """
    with transaction.atomic():
        cases = Case.objects.filter(scan__in=list(scans)).order_by("pk").select_for_update(no_key=True, of=("self",))
        held = list(cases.values_list("pk", flat=True))
        yield
        if held:
            Case.objects.filter(pk__in=held).update(analysis=derived())


def differing() -> QuerySet[Any]:
    """Cases whose ``analysis`` is not what the predictions say, with ``should_be``. There are none, unless somebody
    wrote past the services."""
    return Case.objects.annotate(should_be=derived()).exclude(analysis=F("should_be"))


def put_right(cases: Iterable[Any]) -> None:
    """Let these cases (ids) say what the predictions say."""
    with told(Case.objects.filter(pk__in=list(cases)).values_list("scan", flat=True)):
        pass
