"""A page merged from partitions is the page of the whole list, and an index gives each partition."""

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from diagnostics.cases.models import OF_A_CASE, Analysis, Case, Lane, Stage
from diagnostics.reviews import worklist
from diagnostics.reviews.worklist import claim, listed, partitions_of, tab, tab_counts, waiting_for
from diagnostics.reviews.worklist import refresh_order as refresh
from diagnostics.reviews.worklist.listing import TABS
from diagnostics.reviews.worklist.ordering import NOT_YET
from diagnostics.reviews.worklist.partitions import MOST_PARTITIONS
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority, WorklistOrder
from portal.ui.paging import page_of
from tests.factories import CaseFactory, InstitutionFactory, MembershipFactory, ScanFactory, UserFactory, person

pytestmark = pytest.mark.django_db
FILTERS = {
    "analysis": ("", "ready", "failed"),
    "priority": (None, Priority.STAT, Priority.ROUTINE),
    "overdue": (False, True),
}


@pytest.fixture(params=[WorklistOrder.OVERDUE, WorklistOrder.PRIORITY])
def places(request):
    return [InstitutionFactory(worklist_order=request.param) for _ in range(2)]


def somebody(role, places):
    user = UserFactory()
    for place in places:
        MembershipFactory(user=user, institution=place, role=role)
    return user


def filled(places):
    """Cases of every analysis and priority in both institutions and a third, some overdue, some done."""
    words = itertools.cycle([*OF_A_CASE, Analysis.READY])
    made = []
    for number, place in enumerate([*places, InstitutionFactory()] * 18):
        case = CaseFactory(
            scan=ScanFactory(institution=place, priority=Priority(number // 3 % 3)),
            analysis=next(words),
            done=number % 5 > 2,
        )
        before = timedelta(hours=number % 5 * 30, minutes=number // 2)
        Case.objects.filter(pk=case.pk).update(opened_at=case.opened_at - before, due_at=case.due_at - before)
        made.append(case)
    refresh()
    # What became overdue since the scheduler last looked still stands in its old lane.
    late = Case.objects.readable().filter(lane=Lane.OVERDUE, priority=Priority.ROUTINE, institution__in=places)
    Case.objects.filter(pk=late.first().pk).update(lane=Lane.ROUTINE)
    return made


def pages(found, size):
    """Every id, page after page."""
    shown, after = [], ""
    while True:
        page = page_of(found.cases, order=found.order, after=after, size=size, first=found.first)
        shown += [case.pk for case in page.rows]
        if not (after := page.after):
            return shown


@pytest.mark.parametrize("name", ["unclaimed", "done"])
@pytest.mark.parametrize("several", [False, True])
def test_pages_merged_from_partitions_are_those_of_the_whole_list(places, name, several):
    filled(places)
    reader = somebody(Role.RADIOLOGIST, places if several else places[:1])
    lengths = set()
    for values in itertools.product(*FILTERS.values()):
        asked = dict(zip(FILTERS, values, strict=True))
        found = listed(reader, name, **asked)
        whole = [case.pk for case in found.cases]
        assert len(found.partitions) >= (2 if several else 1)
        assert pages(found, 3) == whole, asked
        lengths.add(len(whole))
    assert max(lengths) > 3, "more than one page"


def test_overdue_is_found_whether_the_scheduler_has_looked_or_not(places):
    filled(places)
    reader = somebody(Role.RADIOLOGIST, places)
    late = Case.objects.filter(
        institution__in=places, state="open", due_at__lte=timezone.now(), assigned_to=None
    ).exclude(analysis="rejected")
    assert late.filter(lane=Lane.ROUTINE).exists() and late.filter(lane=Lane.STAT).exists()
    assert set(pages(listed(reader, "unclaimed", overdue=True), 4)) == {case.pk for case in late}


def test_stat_without_a_turn_is_overdue_all_the_same(places):
    case = CaseFactory(scan=ScanFactory(institution=places[0], priority=Priority.STAT), turn=NOT_YET)
    Case.objects.filter(pk=case.pk).update(due_at=timezone.now() - timedelta(minutes=1))
    reader = somebody(Role.RADIOLOGIST, places)
    assert pages(listed(reader, "unclaimed", overdue=True), 4) == [case.pk]


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.ADJUDICATOR, Role.DATA_MANAGER])
def test_each_tab_in_partitions_has_what_the_whole_tab_has(places, role):
    filled(places)
    me, other = somebody(role, places), person(Role.RADIOLOGIST, places[0])
    waiting = list(Case.objects.filter(state="open", institution=places[0]).exclude(analysis="rejected"))
    for case, place_in_list in zip(
        waiting,
        (
            {"stage": Stage.SECOND, "second_read": "policy"},
            {"stage": Stage.ADJUDICATION, "second_read": "policy"},
            {"assigned_to": me},
            {"assigned_to": other},
            {"assigned_to": other, "second_read": "policy", "returned_at": timezone.now()},
        ),
        strict=False,
    ):
        Case.objects.filter(pk=case.pk).update(**place_in_list)
    claim(by=other, case=waiting[6])
    if role == Role.RADIOLOGIST:
        claim(by=me, case=waiting[7])
    counts = tab_counts(me)
    for name in TABS:
        whole = [case.pk for case in tab(me, name)]
        assert pages(listed(me, name, count=counts[name]), 3) == whole, name
        assert counts[name] == len(whole), name
    assert sum(counts[name] > 0 for name in TABS) > 3


def test_superuser_over_more_institutions_than_partitions_sees_every_case(monkeypatch):
    monkeypatch.setattr("diagnostics.reviews.worklist.partitions.MOST_PARTITIONS", 2)
    made = {CaseFactory().pk for _ in range(3)}
    found = listed(UserFactory(is_superuser=True), "unclaimed")
    assert found.partitions == () and set(pages(found, 2)) == made


def test_no_list_is_split_into_more_partitions_than_the_database_may_take():
    assert MOST_PARTITIONS < 500  # SQLite's own limit of a compound SELECT
    assert len(partitions_of([1], ("lane", "turn", "due_at", "id"), priority=0)) <= MOST_PARTITIONS


def test_next_case_of_several_institutions_is_the_first_of_all(places):
    filled(places)
    readers = [somebody(Role.RADIOLOGIST, places) for _ in range(5)]
    expected = list(waiting_for(readers[0]).values_list("pk", flat=True)[:5])
    assert [worklist.claim_next(by=reader).case_id for reader in readers] == expected


def test_list_with_nothing_in_it_is_not_asked_for(places, django_assert_num_queries):
    adjudicator = somebody(Role.ADJUDICATOR, places)
    found = listed(adjudicator, "returned", count=0)
    with django_assert_num_queries(0):
        assert page_of(found.cases, order=found.order, first=found.first).rows == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("name", "asked", "index"),
    [
        ("unclaimed", {}, ("case_in_turn", "case_worklist")),
        ("done", {}, ("case_done",)),
        ("unclaimed", {"analysis": "failed"}, ("case_in_turn_by_analysis", "case_worklist_by_analysis")),
        ("unclaimed", {"priority": 2}, ("case_in_turn_by_analysis", "case_worklist")),
        ("unclaimed", {"analysis": "ready", "priority": 0}, ("case_in_turn_by_analysis", "case_worklist_by_analysis")),
        ("done", {"analysis": "failed"}, ("case_done_by_analysis",)),
        ("done", {"priority": 1}, ("case_done_by_analysis",)),
    ],
)
def test_each_partition_comes_from_an_index_and_is_not_sorted(places, several, name, asked, index):
    """Sorting every open case to show twenty-five took seconds at a hundred thousand."""
    reader = somebody(Role.RADIOLOGIST, places if several else places[:1])
    found = listed(reader, name, **asked)
    for partition in found.partitions:
        plan = found.cases.filter(partition).values("pk")[:26].explain().splitlines()
        # What is not indented belongs to the rows themselves, not to what is looked up for each.
        outer = [line.split(" ", 3)[3] for line in plan if line.split(" ", 3)[1] == "0"]
        (way,) = (line for line in outer if " diagnostics_case " in line)
        assert any(f" {each} " in f"{way} " for each in index) and "USE TEMP B-TREE FOR ORDER BY" not in outer, plan
    page = found.first(found.cases, 26).explain()
    assert "SEARCH diagnostics_case USING INDEX sqlite_autoindex_diagnostics_case_1 (id=?)" in page, page
