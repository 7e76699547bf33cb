"""What must not grow with the number of scans is answered from an index; the database says so in its plan."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from diagnostics import tasks
from diagnostics.cases.models import Case, Stage
from diagnostics.predictions.queries import STATUSES
from diagnostics.predictions.services import queue_missing
from diagnostics.reviews.worklist import changed_in_tab, scans_listed, tab
from diagnostics.reviews.worklist import refresh_order as refresh
from diagnostics.reviews.worklist.listing import TABS
from diagnostics.scans import planner_statistics
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from portal.start import prepare
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    MembershipFactory,
    PredictionFactory,
    ScanFactory,
    live_model,
    person,
)

pytestmark = pytest.mark.django_db
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
LARGE = ("scan", "prediction", "case", "claim", "read", "auditevent")


@pytest.fixture
def place():
    return InstitutionFactory()


def work(place, number=60):
    """Scans with opinions and cases, half of them done, a few claims; nothing that waits."""
    for each in range(number):
        scan = ScanFactory(institution=place)
        PredictionFactory(scan=scan)
        case = CaseFactory(scan=scan, done=each % 2 == 0)
        if each % 2 == 0:
            ClaimFactory(case=case, ended=True)


def as_of_a_million():
    """Refresh the statistics and let SQLite believe that each large table has ten thousand times the rows."""
    planner_statistics.refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT rowid, stat FROM sqlite_stat1")
        for row, stat in cursor.fetchall():
            numbers = [str(int(word) * 10_000) if word.isdigit() and word != "1" else word for word in stat.split()]
            large = " ".join(numbers)
            cursor.execute("UPDATE sqlite_stat1 SET stat = %s WHERE rowid = %s", [large, row])
        cursor.execute("ANALYZE sqlite_schema")  # reads them anew, and looks at no table


def walks(queries):
    """The parts of SQLite's plans that go through all rows of a large table."""
    found = []
    with connection.cursor() as cursor:
        for query in queries:
            if not query["sql"].startswith("SELECT"):
                continue
            cursor.execute("EXPLAIN QUERY PLAN " + query["sql"])
            steps = [row[3] for row in cursor.fetchall()]
            whole = rf"SCAN (diagnostics_({'|'.join(LARGE)})|[UV]\d+)\b(?! USING INDEX \w*(queued|running|without))"
            by_place = r"SEARCH diagnostics_(scan|case) USING INDEX diagnostics_\w+_institution_id"
            found += [f"{step}  ({query['sql']})" for step in steps if re.match(f"{whole}|{by_place}", step)]
    return found


@sqlite_only
def test_reconcile_walks_through_no_large_table(place, monkeypatch):
    monkeypatch.setattr(tasks.infer, "delay", lambda: None)
    work(place)
    live_model()
    as_of_a_million()
    with CaptureQueriesContext(connection) as asked:
        tasks.reconcile.run()
    assert walks(asked) == []


def steps(act):
    """How many steps SQLite's machine takes for what ``act`` asks."""
    count = 0

    def one_hundred():
        nonlocal count
        count += 1

    connection.connection.set_progress_handler(one_hundred, 100)
    try:
        act()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return count


@sqlite_only
def test_lists_cost_the_same_with_seven_times_the_rows(place):
    reader = person(Role.RADIOLOGIST, place)

    def pages():
        for status in ("", *STATUSES):
            found = scans_listed(reader, status=status)
            yield f"scans {status}", lambda found=found: list(found.first(found.cases, 11))
        for name in TABS:
            found = changed_in_tab(reader, name)
            rows = found.cases.order_by("updated_at", "pk")
            yield f"tab {name}", lambda found=found, rows=rows: list(found.first(rows, 11))

    work(place, 40)
    as_of_a_million()
    few = {what: steps(act) for what, act in pages()}
    work(place, 240)
    as_of_a_million()
    many = {what: steps(act) for what, act in pages()}
    assert {what: (few[what], many[what]) for what in few if many[what] > 1.5 * few[what] + 5} == {}


@pytest.mark.parametrize("several", [False, True])
def test_tab_in_the_api_has_the_cases_of_the_tab(place, several, client):
    elsewhere = InstitutionFactory()
    for institution in (place, elsewhere):
        work(institution, 12)
    me = person(Role.RADIOLOGIST, place)
    if several:
        MembershipFactory(user=me, institution=elsewhere, role=Role.RADIOLOGIST)
    waiting = iter(list(Case.objects.filter(state="open", institution=place)))
    ClaimFactory(case=next(waiting), holder=me)
    ClaimFactory(case=next(waiting))
    Case.objects.filter(pk=next(waiting).pk).update(stage=Stage.SECOND, second_read="policy")
    Case.objects.filter(pk=next(waiting).pk).update(assigned_to=me)
    client.force_login(me)
    seen = 0
    for name in TABS:
        wanted = [str(pk) for pk in tab(me, name).order_by("updated_at", "pk").values_list("pk", flat=True)]
        answer = client.get("/api/v1/cases/", {"tab": name, "page_size": 3}).json()
        found = [case["id"] for case in answer["results"]]
        while answer["next"]:
            answer = client.get(answer["next"]).json()
            found += [case["id"] for case in answer["results"]]
        assert found == wanted, name
        seen += len(found)
    assert seen == (24 if several else 12), "each case is in one tab"


@pytest.mark.parametrize("several", [False, True])
def test_list_of_scans_has_the_scans_of_the_status(place, several):
    elsewhere = InstitutionFactory()
    states = [{}, {"queued": True}, {"running": True}, {"failed": True}]
    for institution in (place, elsewhere):
        for state in states * 2:
            PredictionFactory(scan=ScanFactory(institution=institution), **state)
        ScanFactory(institution=institution)
        ScanFactory(institution=institution, rejected_code="blank", rejected_reason="It is blank.")
    me = person(Role.TECHNOLOGIST, place)
    if several:
        MembershipFactory(user=me, institution=elsewhere, role=Role.TECHNOLOGIST)
    each = 2 if several else 1
    counts = {"": 10, "queued": 3, "analysing": 2, "ready": 2, "failed": 2, "rejected": 1}
    for status, count in counts.items():
        found = scans_listed(me, status=status)
        shown = list(found.first(found.cases, 100))
        assert len(shown) == count * each, status
        assert [scan.created_at for scan in shown] == sorted((scan.created_at for scan in shown), reverse=True)
        assert all(hasattr(scan, "blinded") and hasattr(scan, "newest_predictions") for scan in shown)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_start_tells_sqlite_of_its_tables(place, monkeypatch):
    monkeypatch.setattr(prepare, "collect_static_files", lambda: None)
    monkeypatch.setattr(prepare, "call_command", lambda *args, **kwargs: None)  # the tables are there
    work(place, 4)
    with connection.cursor() as cursor:
        if _has_statistics(cursor):
            cursor.execute("DELETE FROM sqlite_stat1")
    connection.close()  # a start has asked nothing yet
    prepare.prepare()
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tbl FROM sqlite_stat1")
        known = {row[0] for row in cursor.fetchall()}
    assert {f"diagnostics_{name}" for name in ("scan", "prediction", "case", "claim")} <= known


def _has_statistics(cursor):
    cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'")
    return cursor.fetchone() is not None


def test_scheduler_refreshes_the_statistics(settings):
    beat = settings.CELERY_BEAT_SCHEDULE["refresh-statistics"]
    assert beat["task"] == tasks.refresh_statistics.name
    tasks.refresh_statistics.run()


def test_very_many_overdue_cases_are_moved_a_part_at_a_time(place):
    work(place, 10)
    Case.objects.filter(state="open").update(due_at="2020-01-01T00:00Z")
    assert [refresh(limit=2), refresh(limit=2), refresh(limit=2), refresh(limit=2)] == [2, 2, 1, 0]


def test_scans_without_a_model_are_queued_once(place):
    scans = [ScanFactory(institution=place) for _ in range(3)]
    assert Scan.objects.filter(analysis=None).count() == 3
    version = live_model()
    assert (queue_missing(version, limit=2), queue_missing(version), queue_missing(version)) == (2, 1, 0)
    assert set(Scan.objects.values_list("analysis", flat=True)) == {"queued"} and len(scans) == 3
