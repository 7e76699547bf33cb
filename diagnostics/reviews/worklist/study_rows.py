"""The rows of a list in which a study is one row, and the cases that such a row opens into (ADR 0021)."""

from collections.abc import Sequence

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from diagnostics.cases.models import Case, CaseQuerySet

MOST_IN_A_STUDY = 100  # so many series of a study are shown and claimed together; a visit has five to fifteen


def one_a_study(cases: CaseQuerySet, order: Sequence[str]) -> CaseQuerySet:
    """Those of ``cases`` that come first of their study in ``order``, and all that belong to none.

    Each row is asked whether a case of its study stands before it, from an index of the study: a page costs what its
    rows have series, however long the list is.
    """
    before = cases.order_by().filter(_before(order), study=OuterRef("study"))
    return cases.filter(Q(study__isnull=True) | ~Exists(before))


def _before(order: Sequence[str]) -> Q:
    """SQL for "stands before the outer row": field by field, the last of which is unique."""
    name = order[0].lstrip("-")
    side = "gt" if order[0].startswith("-") else "lt"
    here = Q(**{f"{name}__{side}": OuterRef(name)})
    if len(order) == 1:
        return here
    return here | Q(**{name: OuterRef(name)}) & _before(order[1:])


def in_order_of_series(cases: QuerySet[Case]) -> QuerySet[Case]:
    """Cases of studies as one looks at them: by the number that the scanner gave the series, then as they came."""
    return cases.order_by(
        "study", F("scan__series__number").asc(nulls_last=True), "scan__created_at", "scan_id"
    ).select_related("scan__series")
