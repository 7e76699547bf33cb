"""The worklist: which cases wait for whom, in which order, and how many there are."""

from typing import Any

from django.db.models import BigIntegerField, CharField, Exists, OuterRef, Q, Subquery, Value, When
from django.db.models import Case as SqlCase
from django.utils import timezone

from diagnostics.cases.models import Case, CaseQuerySet, CaseState, Stage
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.scans.access import Permission, institutions_where, within
from diagnostics.scans.counting import as_word, counted
from diagnostics.scans.models import Patient, Scan, SecondReader, Study
from diagnostics.scans.querysets import beginning_with

from .models import Claim, Read, ReadKind
from .ordering import Policies, policies_of
from .queries import cases_for, deciding_reads, name_of

MOST_BY_ID = 500  # so many cases are found by their ids rather than in the list's order
COUNT_LIMIT = 1000  # a tab shows "999+" beyond: an exact count of a million rows is asked of nobody
STATUSES = ("queued", "analysing", "ready", "failed")
NEWEST = ("-done_at", "-id")
TABS = ("mine", "unclaimed", "second", "adjudicate", "returned", "others", "done")


def readable_cases(user: Any) -> CaseQuerySet:
    """Cases whose scan the quality gate did not reject."""
    return cases_for(user, in_order=True).filter(scan__rejected_code="")


def _unclaimed(cases: CaseQuerySet) -> CaseQuerySet:
    claimed = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())
    return cases.filter(~Exists(claimed))


def _not_read_by(user: Any) -> Any:
    """SQL for "``user`` has not read this case", as far as it bars them from its next seat."""
    own = Read.objects.filter(case=OuterRef("pk"), reader=user)
    return Q(stage=Stage.ADJUDICATION) & ~Exists(own) | ~Q(stage=Stage.ADJUDICATION) & ~Exists(
        own.filter(kind=ReadKind.FINAL)
    )


def settling_in(user: Any) -> Any:
    """Institutions in which ``user`` settles disagreements and there are, or may be, any."""
    waiting = Case.objects.filter(
        institution=OuterRef("pk"), state=CaseState.OPEN, stage__in=(Stage.SECOND, Stage.ADJUDICATION)
    )
    theirs = institutions_where(user, Permission.ADJUDICATE)
    return theirs.filter(~Q(second_reader=SecondReader.NONE) | Exists(waiting))


def waiting_for(user: Any) -> CaseQuerySet:
    """The cases that ``user`` may claim now, in the order of their institution's policy (:mod:`.ordering`).

    First reads, second reads of what they have not read, what was returned or assigned to them, and disagreements
    of others that they may settle.
    """
    free = Q(assigned_to__isnull=True) & (Q(stage=Stage.FIRST) | _not_read_by(user))
    reading = Q(stage__in=(Stage.FIRST, Stage.SECOND))
    takes = within(user, Permission.READ_CASE) & reading & (free | Q(assigned_to=user))
    takes |= within(user, Permission.ADJUDICATE) & Q(stage=Stage.ADJUDICATION) & _not_read_by(user)
    visible = Case.objects.in_order_for(user)
    return _unclaimed(visible.filter(takes, state=CaseState.OPEN, scan__rejected_code="")).order_by(
        *policies_of(user).fields
    )


def order_of(tab: str, policies: Policies) -> tuple[str, ...]:
    """The fields by which a tab is ordered, "-" for descending; the last is unique."""
    return NEWEST if tab == "done" else policies.fields


def tab(user: Any, name: str, *, order: tuple[str, ...] | None = None, count: int | None = None) -> CaseQuerySet:
    """The cases of one tab of the worklist, in ``order`` or that of :func:`order_of`.

    Done ones have ``final_label`` and ``final_reader``. ``count`` says how many there are, where that is known
    (:func:`tab_counts`): few are looked for among the cases that somebody holds or that wait for somebody, for of a
    few cases the list's own order would lead through all open ones.

    Whoever reads finds in a tab what they may take; whoever only looks on finds all.

    Raises
    ------
    KeyError
        There is no such tab.
    """
    cases = readable_cases(user)
    order = order or order_of(name, policies_of(user))
    if name == "done":
        final = deciding_reads().filter(case=OuterRef("pk"))
        return (
            cases.filter(state=CaseState.DONE, control=False)
            .annotate(
                final_label=Subquery(final.values("label")[:1]),
                final_reader=Subquery(final.values(name=name_of("reader"))[:1]),
            )
            .order_by(*order)
        )
    waiting = cases.filter(state=CaseState.OPEN)
    if count is not None and count <= MOST_BY_ID and name != "unclaimed":
        held = Claim.objects.filter(released_at__isnull=True, expires_at__gt=timezone.now()).order_by()
        later = Case.objects.visible_to(user).filter(_later(), state=CaseState.OPEN).order_by()
        waiting = waiting.filter(Q(pk__in=held.values("case")) | Q(pk__in=later.values("pk")))
    return waiting.filter(_in_tab(user)[name]).order_by(*order)


def _later() -> Q:
    """Cases that are no plain first reads; of these there is a small index."""
    return ~Q(stage=Stage.FIRST) | Q(assigned_to__isnull=False)


def _in_tab(user: Any) -> dict[str, Any]:
    """What puts an open case into a tab; on rows that have ``holder_id``. Each case is in at most one for a person."""
    free = Q(holder_id__isnull=True)
    kept_for_me = Q(assigned_to=user, returned_at__isnull=True)
    returned = free & Q(returned_at__isnull=False)
    return {
        "mine": Q(holder_id=user.pk) | free & kept_for_me,
        "unclaimed": free & Q(stage=Stage.FIRST, assigned_to__isnull=True),
        "second": free & Q(stage=Stage.SECOND, assigned_to__isnull=True) & _not_read_by(user),
        "adjudicate": free & Q(stage=Stage.ADJUDICATION) & _not_read_by(user),
        "returned": returned & (Q(assigned_to=user) | _looks_on(user)),
        "others": Q(holder_id__isnull=False) & ~Q(holder_id=user.pk)
        | free & Q(assigned_to__isnull=False, returned_at__isnull=True) & ~Q(assigned_to=user)
        | free & Q(assigned_to__isnull=True) & ~Q(stage=Stage.FIRST) & ~Q(_not_read_by(user))
        | returned & ~Q(assigned_to=user) & ~Q(_looks_on(user)),
    }


def _looks_on(user: Any) -> Any:
    """SQL for "``user`` oversees this case": an adjudicator who has not read it, or somebody who may see reads."""
    own = Read.objects.filter(case=OuterRef("pk"), reader=user)
    return within(user, Permission.SEE_READS) | within(user, Permission.ADJUDICATE) & ~Exists(own)


def with_analysis(cases: CaseQuerySet) -> CaseQuerySet:
    """Cases with ``analysis``, the state of the newest prediction, and ``analysis_failure``, instead of predictions.

    How far the analysis is and why there is none is all that the list shows, so nothing of an opinion is loaded.
    """
    newest = Prediction.objects.filter(scan=OuterRef("scan")).order_by("-created_at", "-id")
    return cases.prefetch_related(None).annotate(
        analysis=Subquery(newest.values("state")[:1]), analysis_failure=Subquery(newest.values("failure")[:1])
    )


def with_status(cases: CaseQuerySet, status: str) -> CaseQuerySet:
    """The cases of :func:`with_analysis` whose analysis is ``queued | analysing | ready | failed``."""
    wanted = {
        "queued": Q(analysis=PredictionState.QUEUED) | Q(analysis__isnull=True),
        "analysing": Q(analysis=PredictionState.RUNNING),
        "ready": Q(analysis=PredictionState.READY),
        "failed": Q(analysis=PredictionState.FAILED),
    }
    return cases.filter(wanted[status])


def of_patient(cases: CaseQuerySet, user: Any, begins: str) -> CaseQuerySet:
    """The cases whose patient's pseudonym or accession number begins so, in capitals or not.

    The scans are looked up first, from an index. Where they are few, the cases are found by them; of very many the
    list's own order comes to the first page's worth soon enough.
    """
    patients = beginning_with(Patient.objects.visible_to(user), "pseudonym", begins).values("pk")
    studies = beginning_with(
        Study.objects.filter(within(user, Permission.SEE_SCANS, "patient__institution")),
        "accession",
        begins,
    ).values("pk")
    found: set[Any] = set()
    for where in (Q(patient__in=patients), Q(study__in=studies)):
        found.update(Scan.objects.filter(where).order_by().values_list("pk", flat=True)[: MOST_BY_ID + 1])
        if len(found) > MOST_BY_ID:
            return cases.filter(
                Q(scan__patient__pseudonym__istartswith=begins) | Q(scan__study__accession__istartswith=begins)
            )
    return cases.filter(scan__in=found)


def tab_counts(user: Any) -> dict[str, int]:
    """Cases in each tab, and ``all``; counting stops at ``COUNT_LIMIT``. One question, however many tabs."""
    here = Case.objects.visible_to(user).filter(scan__rejected_code="")
    waiting = here.filter(state=CaseState.OPEN)
    # From the live claims, which are as few as readers, to their cases; never the other way.
    unended = Claim.objects.filter(released_at__isnull=True, expires_at__gt=timezone.now()).order_by()
    live = Claim.objects.filter(
        within(user, Permission.SEE_SCANS, "case__institution"),
        pk__in=unended.values("pk"),
        case__state=CaseState.OPEN,
        case__scan__rejected_code="",
    ).order_by()
    later = _unclaimed(waiting.filter(_later())).annotate(holder_id=Value(None, output_field=BigIntegerField()))
    in_tab = [When(where, then=Value(name)) for name, where in _in_tab(user).items()]
    first = _unclaimed(waiting.filter(stage=Stage.FIRST, assigned_to__isnull=True))
    held = SqlCase(When(holder=user, then=Value("mine")), default=Value("others"), output_field=CharField())
    found = counted(
        as_word(live, held),
        as_word(first, "unclaimed")[:COUNT_LIMIT],
        as_word(later, SqlCase(*in_tab, default=Value(""), output_field=CharField()))[: 2 * COUNT_LIMIT],
        as_word(here.filter(state=CaseState.DONE, control=False), "done")[:COUNT_LIMIT],
    )
    return {**{name: found[name] for name in TABS}, "all": sum(found.values())}
