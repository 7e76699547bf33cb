"""The worklist: which cases wait for whom, in which order, and how many there are."""

import uuid
from collections.abc import Collection
from dataclasses import replace

from django.db.models import BigIntegerField, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models import Case as SqlCase
from django.utils import timezone

from diagnostics.actors import Actor, account_of
from diagnostics.cases.models import Analysis, Case, CaseQuerySet, CaseState, Stage
from diagnostics.predictions.models import Prediction
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.reviews.queries import as_shown_to, cases_for, deciding_reads, holder_of_case, name_of
from diagnostics.scans.access import Permission, institutions_where, within
from diagnostics.scans.counting import as_word, counted
from diagnostics.scans.models import Institution, Patient, Scan, SecondReader, Study
from diagnostics.scans.querysets import beginning_with

from .ordering import Policies, policies_of
from .partitions import READABLE, Listed, by_institution, first_of, partitions_of
from .study_rows import in_order_of_series, one_a_study

MOST_BY_ID = 500  # so many cases of a patient are found by their ids rather than in the list's order
COUNT_LIMIT = 1000  # a tab shows "999+" beyond: an exact count of a million rows is asked of nobody
STATUSES = tuple(analysis.value for analysis in READABLE)
NEWEST = ("-done_at", "-id")
PLAIN_TABS = ("unclaimed", "done")  # most cases lie in these
TABS = ("mine", "unclaimed", "second", "adjudicate", "returned", "others", "done")


def _unclaimed(cases: CaseQuerySet) -> CaseQuerySet:
    claimed = Claim.objects.filter(case=OuterRef("pk"), released_at__isnull=True, expires_at__gt=timezone.now())
    return cases.filter(~Exists(claimed))


def _not_read_by(user: Actor) -> Q:
    """SQL for "``user`` has not read this case", as far as it bars them from its next seat."""
    own = Read.objects.filter(case=OuterRef("pk"), reader=account_of(user))
    return Q(stage=Stage.ADJUDICATION) & ~Exists(own) | ~Q(stage=Stage.ADJUDICATION) & ~Exists(
        own.filter(kind=ReadKind.FINAL)
    )


def settling_in(user: Actor) -> QuerySet[Institution]:
    """Institutions in which ``user`` settles disagreements and there are, or may be, any."""
    waiting = Case.objects.filter(
        institution=OuterRef("pk"), state=CaseState.OPEN, stage__in=(Stage.SECOND, Stage.ADJUDICATION)
    )
    theirs = institutions_where(user, Permission.ADJUDICATE)
    return theirs.filter(~Q(second_reader=SecondReader.NONE) | Exists(waiting))


def waiting_for(user: Actor) -> CaseQuerySet:
    """The cases that ``user`` may claim now, in the order of their institution's policy (:mod:`.ordering`).

    First reads, second reads of what they have not read, what was returned or assigned to them, and disagreements
    of others that they may settle.
    """
    return _unclaimed(_open_to(user)).order_by(*policies_of(user).fields)


def _open_to(user: Actor) -> CaseQuerySet:
    """The open cases whose seat ``user`` may take, whoever holds them now."""
    free = Q(assigned_to__isnull=True) & (Q(stage=Stage.FIRST) | _not_read_by(user))
    reading = Q(stage__in=(Stage.FIRST, Stage.SECOND))
    takes = within(user, Permission.READ_CASE) & reading & (free | Q(assigned_to=user))
    takes |= within(user, Permission.ADJUDICATE) & Q(stage=Stage.ADJUDICATION) & _not_read_by(user)
    return Case.objects.visible_to(user).readable().filter(takes, state=CaseState.OPEN)


def own_waiting(user: Actor, *, but: Collection[uuid.UUID] = ()) -> CaseQuerySet:
    """What waits for ``user`` and nobody else, in the order of their list, without some (ids): the cases that they
    hold and have not finished, and those that were returned or assigned to them.

    Found from their claims and from what is kept for them, which are few, whatever the length of the list.
    """
    kept = (
        Case.objects.filter(assigned_to=account_of(user), state=CaseState.OPEN).order_by().values_list("pk", flat=True)
    )
    # Asked first: with a condition that few cases meet, a database would walk through the whole list in its order.
    theirs = {*_held_by(user).order_by().values_list("case", flat=True), *kept} - set(but)
    if not theirs:
        return Case.objects.none()
    others = Claim.objects.filter(
        case=OuterRef("pk"), stage=OuterRef("stage"), released_at__isnull=True, expires_at__gt=timezone.now()
    ).exclude(holder=account_of(user))
    mine = _open_to(user).filter(~Exists(others), pk__in=theirs)
    return mine.order_by(*policies_of(user).fields)


def unfinished(user: Actor) -> list[Claim]:
    """The live claims of ``user``, each with its case, scan and patient, in the order of their list."""
    order = [f"case__{name}" for name in policies_of(user).fields]
    held = _held_by(user).filter(Exists(_open_to(user).filter(pk=OuterRef("case")).order_by()))
    return list(held.select_related("case__scan__patient", "case__scan__study").order_by(*order))


def _held_by(user: Actor) -> QuerySet[Claim]:
    """The live claims of ``user`` on the seat that their case waits for."""
    return Claim.objects.filter(
        holder=account_of(user),
        released_at__isnull=True,
        expires_at__gt=timezone.now(),
        stage=F("case__stage"),
        case__state=CaseState.OPEN,
    )


def coming_up(user: Actor, *, after: uuid.UUID) -> uuid.UUID | None:
    """The id of the scan that *Read next* would most likely give ``user`` after the case ``after`` (an id)."""
    for waiting in (own_waiting(user, but=[after])[:1], first_waiting_for(user, 1, but=[after])):
        scan = waiting.values_list("scan", flat=True).first()
        if scan is not None:
            return scan
    return None


def first_waiting_for(user: Actor, number: int, *, but: Collection[uuid.UUID] = ()) -> QuerySet[Case]:
    """The first of :func:`waiting_for`, without some (ids)."""
    policies = policies_of(user)
    partitions = partitions_of(policies.places, policies.fields)
    return first_of(waiting_for(user).exclude(pk__in=but), number, partitions=partitions)


def order_of(tab: str, policies: Policies) -> tuple[str, ...]:
    """The fields by which a tab is ordered, "-" for descending; the last is unique."""
    return NEWEST if tab == "done" else policies.fields


def tab(user: Actor, name: str) -> CaseQuerySet:
    """The cases of one tab of the worklist, in the order of :func:`order_of`.

    Done ones have ``final_label`` and ``final_reader``. Whoever reads finds in a tab what they may take; whoever only
    looks on finds all.

    Raises
    ------
    KeyError
        There is no such tab.
    """
    cases = _with_final(cases_for(user), name).readable().order_by(*order_of(name, policies_of(user)))
    return _narrowed_to(cases, user, name)


def _narrowed_to(cases: CaseQuerySet, user: Actor, name: str) -> CaseQuerySet:
    if name == "done":
        return cases.filter(state=CaseState.DONE, control=False)
    return cases.filter(_in_tab(user)[name], state=CaseState.OPEN)


def _ids_of_tab(user: Actor, name: str) -> CaseQuerySet:
    """The cases of a tab with nothing beside them that the database could begin with instead of an index."""
    cases = Case.objects.visible_to(user).readable().order_by(*order_of(name, policies_of(user)))
    return _narrowed_to(cases.alias(holder_id=holder_of_case()), user, name)


def _with_final(cases: CaseQuerySet, name: str) -> CaseQuerySet:
    if name != "done":
        return cases
    final = deciding_reads().filter(case=OuterRef("pk"))
    return cases.annotate(
        final_label=Subquery(final.values("label")[:1]),
        final_reader=Subquery(final.values(name=name_of("reader"))[:1]),
    )


def listed(
    user: Actor,
    name: str,
    *,
    count: int | None = None,
    patient: str = "",
    priority: int | None = None,
    analysis: str = "",
    overdue: bool = False,
) -> Listed[Case]:
    """One tab of the worklist narrowed to what is named, for a page of it; a study is one row.

    ``analysis``: ``queued | analysing | ready | failed``; ``patient``: how a pseudonym or an accession number begins;
    ``count``: how many cases there are in the tab, where that is known (:func:`tab_counts`).

    No opinion is loaded: how far the analysis is, and ``analysis_failure`` why there is none, is all that is shown.
    """
    policies = policies_of(user)
    newest = Prediction.objects.filter(scan=OuterRef("scan")).order_by("-created_at", "-id")

    shown = _with_final(as_shown_to(user, Case.objects.all()), name).prefetch_related(None)
    shown = shown.annotate(analysis_failure=Subquery(newest.values("failure")[:1]))
    cases = _ids_of_tab(user, name)
    found = Listed(cases, shown, order_of(name, policies))
    if count == 0:
        return replace(found, cases=cases.none())
    if analysis:
        cases = cases.filter(analysis=analysis)
    if priority is not None:
        cases = cases.filter(priority=priority)
    if overdue:
        cases = cases.filter(due_at__lte=timezone.now())
    few = False
    if patient:
        cases, few = of_patient(cases, user, patient)
    if few:
        partitions = []
    elif name in PLAIN_TABS:
        partitions = partitions_of(policies.places, found.order, analysis=analysis, priority=priority, overdue=overdue)
    else:
        partitions = rare_partitions()
    rows = one_a_study(cases, found.order)
    return replace(found, cases=rows, partitions=tuple(partitions), members=cases)


def members_of_studies(found: Listed[Case], rows: Collection[Case]) -> dict[uuid.UUID, list[Case]]:
    """The cases of the list that the ``rows`` which are studies open into, by study, in the order of their series."""
    studies = {row.study_id for row in rows if row.study_id is not None}
    if not studies or found.members is None:
        return {}
    # Asked first: with the ids at hand no database begins with all cases and joins everything that a row shows.
    here = list(found.members.filter(study__in=studies).order_by().values_list("pk", flat=True))
    members: dict[uuid.UUID, list[Case]] = {study: [] for study in studies}
    for case in in_order_of_series(found.shown.filter(pk__in=here)):
        if case.study_id is not None:
            members[case.study_id].append(case)
    return members


def changed_in_tab(user: Actor, name: str) -> Listed[Case]:
    """One tab as the API lists it: whoever asks orders it by the last change, and filters it further.

    Raises
    ------
    KeyError
        There is no such tab.
    """
    shown = as_shown_to(user, Case.objects.all())
    partitions = tuple(by_institution(user) if name in PLAIN_TABS else rare_partitions())
    return Listed(_ids_of_tab(user, name), shown, order_of(name, policies_of(user)), partitions)


def rare_partitions() -> list[Q]:
    """The parts of the tabs that hold few cases of all: no plain first reads, and what somebody holds."""
    return [past_first(), ~past_first() & Q(pk__in=_held())]


def _held() -> QuerySet[Claim, object]:
    """The cases that somebody holds: as few as readers."""
    return Claim.objects.filter(released_at__isnull=True, expires_at__gt=timezone.now()).order_by().values("case")


def past_first() -> Q:
    """Cases that are no plain first reads; of open ones there is a small index, for whoever says just this."""
    return ~Q(stage=Stage.FIRST) | Q(assigned_to__isnull=False)


def _in_tab(user: Actor) -> dict[str, Q]:
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


def _looks_on(user: Actor) -> Q:
    """SQL for "``user`` oversees this case": an adjudicator who has not read it, or somebody who may see reads."""
    own = Read.objects.filter(case=OuterRef("pk"), reader=account_of(user))
    return within(user, Permission.SEE_READS) | within(user, Permission.ADJUDICATE) & Q(~Exists(own))


def of_patient(cases: CaseQuerySet, user: Actor, begins: str) -> tuple[CaseQuerySet, bool]:
    """The cases whose patient's pseudonym or accession number begins so, in capitals or not; and whether few do.

    The scans are looked up first, from an index. Where they are few, the cases are found by them; of very many the
    list's own order comes to the first page's worth soon enough.
    """
    patients = beginning_with(Patient.objects.visible_to(user), "pseudonym", begins).values("pk")
    studies = beginning_with(
        Study.objects.filter(within(user, Permission.SEE_SCANS, "patient__institution")),
        "accession",
        begins,
    ).values("pk")
    found: set[uuid.UUID] = set()
    for where in (Q(patient__in=patients), Q(study__in=studies)):
        found.update(Scan.objects.filter(where).order_by().values_list("pk", flat=True)[: MOST_BY_ID + 1])
        if len(found) > MOST_BY_ID:
            # Asked of each case in turn: joined, the database may begin with all patients and sort their cases.
            begin = Q(patient__pseudonym__istartswith=begins) | Q(study__accession__istartswith=begins)
            return cases.filter(Exists(Scan.objects.filter(begin, pk=OuterRef("scan")))), False
    return cases.filter(scan__in=found), True


def tab_counts(user: Actor) -> dict[str, int]:
    """Cases in each tab, and ``all``; counting stops at ``COUNT_LIMIT``. One question, however many tabs."""
    here = Case.objects.visible_to(user).readable()
    waiting = here.filter(state=CaseState.OPEN)
    # From the live claims, which are as few as readers, to their cases; never the other way.
    unended = Claim.objects.filter(released_at__isnull=True, expires_at__gt=timezone.now()).order_by()
    live = Claim.objects.filter(
        within(user, Permission.SEE_SCANS, "case__institution"),
        ~Q(case__analysis=Analysis.REJECTED),
        pk__in=unended.values("pk"),
        case__state=CaseState.OPEN,
    ).order_by()
    later = _unclaimed(waiting.filter(past_first())).annotate(holder_id=Value(None, output_field=BigIntegerField()))
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
