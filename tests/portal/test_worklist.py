"""The worklist: what it shows to whom, in which order, and what pressing Read does."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Case, Claim
from diagnostics.reviews.worklist import due
from diagnostics.reviews.worklist import refresh_order as refresh
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    UserFactory,
    person,
)

pytestmark = pytest.mark.django_db
LIST = "/worklist/"
LIVE = {"HX-Request": "true"}


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def reader(place):
    return person(Role.RADIOLOGIST, place)


@pytest.fixture
def client(reader):
    client = Client()
    client.force_login(reader)
    return client


def waiting(place, accession, *, minutes=0, priority=Priority.ROUTINE, **scan):
    """An open case that has waited so long."""
    made = ScanFactory(institution=place, study__accession=accession, priority=priority, **scan)
    case = CaseFactory(scan=made)
    opened = timezone.now() - timedelta(minutes=minutes)
    Case.objects.filter(pk=case.pk).update(opened_at=opened, due_at=due(place, priority, opened))
    return case


def order(response):
    """The accession numbers in the order of the rows."""
    return [row.case.scan.study.accession for row in response.context["rows"]]


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (None, 403),
        (Role.TECHNOLOGIST, 403),
        (Role.RADIOLOGIST, 200),
        (Role.ADJUDICATOR, 200),
        (Role.DATA_MANAGER, 200),
        (Role.ADMINISTRATOR, 200),
    ],
)
def test_worklist_by_role(place, role, status):
    client = Client()
    client.force_login(person(role, place) if role else UserFactory())
    assert client.get(LIST).status_code == status


def test_worklist_order_is_the_stated_policy(client, place):
    waiting(place, "OLD", minutes=90)
    waiting(place, "YOUNG", minutes=5)
    waiting(place, "URGENT", minutes=1, priority=Priority.URGENT)
    waiting(place, "STAT", priority=Priority.STAT)
    response = client.get(LIST)
    assert order(response) == ["STAT", "URGENT", "OLD", "YOUNG"]
    assert "STAT first, then overdue, then urgent, then the longest waiting" in response.content.decode()
    waiting(place, "LATE", minutes=50 * 60)
    refresh()
    response = client.get(LIST)
    assert order(response) == ["STAT", "LATE", "URGENT", "OLD", "YOUNG"]
    assert "overdue by 2 h 00" in response.content.decode()
    assert order(client.get(LIST, {"due": "overdue"})) == ["LATE"]


def test_worklist_keeps_the_cases_of_others_apart(client, place, reader):
    waiting(place, "FREE")
    ClaimFactory(case=waiting(place, "MINE"), holder=reader)
    ClaimFactory(case=waiting(place, "THEIRS"))
    ClaimFactory(case=waiting(place, "LAPSED"), expires_at=timezone.now() - timedelta(seconds=1))
    ReadFactory(final=True, case=CaseFactory(scan=ScanFactory(institution=place, study__accession="READ"), done=True))
    shown = {name: set(order(client.get(LIST, {"tab": name}))) for name in ("unclaimed", "mine", "others", "done")}
    assert shown == {
        "unclaimed": {"FREE", "LAPSED"},
        "mine": {"MINE"},
        "others": {"THEIRS"},
        "done": {"READ"},
    }


def test_worklist_counts_finished_cases(client, place, reader):
    waiting(place, "FREE")
    ClaimFactory(case=waiting(place, "MINE"), holder=reader)
    CaseFactory(scan=ScanFactory(institution=place), done=True)
    response = client.get(LIST)
    progress = {name: count for name, count in response.context["progress"].items() if count}
    assert progress == {"mine": 1, "unclaimed": 1, "done": 1, "all": 3}
    assert "1 of 3 read" in response.content.decode()


def test_worklist_shows_nothing_of_another_institution(client):
    waiting(InstitutionFactory(), "FOREIGN")
    html = client.get(LIST).content.decode()
    assert "FOREIGN" not in html
    assert "No cases to read" in html


def test_worklist_leaves_out_what_cannot_be_read(client, place):
    waiting(place, "BAD", rejected_code="blank", rejected_reason="The image is blank.")
    assert order(client.get(LIST)) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"priority": "0"}, {"STAT"}),
        ({"patient": "kim"}, {"STAT"}),
        ({"patient": "acc-9"}, {"ACC-99"}),
        ({"analysis": "ready"}, {"STAT"}),
        ({"analysis": "queued"}, {"ACC-99", "NONE"}),
        ({"analysis": "failed"}, {"FAILED"}),
        ({"analysis": "analysing"}, {"RUNNING"}),
        ({"analysis": "ready", "priority": "2"}, set()),
    ],
)
def test_worklist_narrowed_by_its_address(client, place, query, expected):
    stat = waiting(place, "STAT", priority=Priority.STAT, patient__pseudonym="KIM-1")
    PredictionFactory(scan=stat.scan)
    PredictionFactory(scan=waiting(place, "ACC-99").scan, queued=True)
    waiting(place, "NONE")
    PredictionFactory(scan=waiting(place, "FAILED").scan, failed=True)
    PredictionFactory(scan=waiting(place, "RUNNING").scan, running=True)
    assert set(order(client.get(LIST, query))) == expected


NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "query",
    [
        {"tab": "secret"}, {"priority": "9"}, {"analysis": "glioma"}, {"after": "x~y~z"},
        # Times that leave the calendar in another zone, and one without a zone.
        {"after": f"2~0~0001-01-01T00:00:00+23:59~{NOBODY}"}, {"after": f"2~0~9999-12-31T23:59:59-23:59~{NOBODY}"},
        {"after": f"2~0~2026-01-01T00:00:00~{NOBODY}"}, {"due": "tomorrow"},
        {"tab": "done", "after": f"0001-01-01T00:00:00+23:59~{NOBODY}"},
    ],
)  # fmt: skip
def test_worklist_asked_for_what_there_is_not(client, query):
    assert client.get(LIST, query).status_code == 400


def test_worklist_pages_show_each_case_once(client, place):
    for number in range(60):
        waiting(place, f"A{number:02}", minutes=number // 3, priority=Priority(number % 3))
    seen, query = [], {}
    for _ in range(3):
        response = client.get(LIST, query)
        seen += order(response)
        query = {"after": response.context["after"]}
    assert response.context["after"] == ""
    assert len(seen) == len(set(seen)) == 60
    cases = Case.objects.order_by("lane", "due_at", "id").select_related("scan__study")
    assert seen == [case.scan.study.accession for case in cases]


def test_done_pages_show_each_case_once(client, place):
    for number in range(30):
        CaseFactory(scan=ScanFactory(institution=place, study__accession=f"D{number:02}"), done=True)
    first = client.get(LIST, {"tab": "done"})
    second = client.get(LIST, {"tab": "done", "after": first.context["after"]})
    assert len(set(order(first)) | set(order(second))) == 30


@pytest.mark.parametrize("tab", [{}, {"tab": "unclaimed", "analysis": "ready", "priority": "2"}, {"tab": "done"}])
def test_worklist_asks_as_much_for_ten_cases_as_for_a_hundred(client, place, tab, django_assert_max_num_queries):
    def fill(count):
        for _ in range(count):
            scan = ScanFactory(institution=place)
            PredictionFactory(scan=scan)
            CaseFactory(scan=scan, done=tab.get("tab") == "done")

    fill(10)
    with django_assert_max_num_queries(8) as few:
        client.get(LIST, tab)
    fill(90)
    with django_assert_max_num_queries(8) as many:
        client.get(LIST, tab)
    assert len(few) == len(many)


def test_worklist_tells_nothing_of_the_opinion(client, place):
    case = waiting(place, "ACC-1")
    prediction = PredictionFactory(
        scan=case.scan,
        label="glioma",
        probabilities={"glioma": 0.8731, "no_tumour": 0.1269},
        p=0.8731,
        warnings=["out_of_distribution"],
        heatmap="heatmaps/x.png",
    )
    html = client.get(LIST).content.decode().lower()
    for word in ("glioma", "0.87", "87 %", "out_of_distribution", "heatmap", "heat map", str(prediction.pk)):
        assert word not in html


def test_failed_analysis_leaves_a_row_that_can_be_read(client, place):
    case = waiting(place, "ACC-1")
    PredictionFactory(scan=case.scan, failed=True)
    html = client.get(LIST).content.decode()
    assert "No AI result" in html
    assert "The analysis broke off. Retry it." in html
    assert reverse("worklist:claim", args=[case.pk]) in html


def test_read_next_claims_the_first_case(client, place, reader):
    waiting(place, "LATER", minutes=1)
    first = waiting(place, "FIRST", minutes=9)
    response = client.post(reverse("worklist:next"))
    assert response["Location"] == reverse("reading:case", args=[first.pk])
    assert Claim.objects.get().holder == reader


def test_read_next_with_nothing_left(client):
    response = client.post(reverse("worklist:next"), follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert "No cases to read. New scans appear here automatically." in response.content.decode()


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.DATA_MANAGER, Role.ADMINISTRATOR])
def test_read_next_by_somebody_who_does_not_read(place, role):
    waiting(place, "ACC-1")
    client = Client()
    client.force_login(person(role, place))
    assert client.post(reverse("worklist:next")).status_code == 403
    assert not Claim.objects.exists()


def test_claim_of_a_case_that_somebody_holds(client, place):
    held = ClaimFactory(case=waiting(place, "ACC-1"))
    response = client.post(reverse("worklist:claim", args=[held.case_id]))
    assert response.status_code == 409
    assert f"{held.holder} has reserved this case until" in response.content.decode()
    assert Claim.objects.get().holder == held.holder


def test_claim_of_a_case_that_is_done(client, place):
    case = CaseFactory(scan=ScanFactory(institution=place), done=True)
    response = client.post(reverse("worklist:claim", args=[case.pk]))
    assert response.status_code == 409
    assert "has already been read" in response.content.decode()


def test_claim_of_a_foreign_case(client):
    case = CaseFactory()
    assert client.post(reverse("worklist:claim", args=[case.pk])).status_code == 404
    assert not Claim.objects.exists()


def test_claim_by_looking_only(client, place):
    case = waiting(place, "ACC-1")
    assert client.get(reverse("worklist:claim", args=[case.pk])).status_code == 405


def live_headers(response):
    context = response.context
    return {**LIVE, "X-Seen": context["seen"], "X-Since": context["since"], "X-Pace": context["pace"]}


def test_live_list_without_news(client, place):
    waiting(place, "ACC-1")
    page = client.get(LIST)
    assert client.get(LIST, headers=live_headers(page)).status_code == 204


def test_live_list_when_a_result_lands(client, place):
    prediction = PredictionFactory(scan=waiting(place, "ACC-1").scan, queued=True)
    page = client.get(LIST)
    prediction.delete()
    PredictionFactory(scan=prediction.scan)
    news = client.get(LIST, headers=live_headers(page))
    html = news.content.decode()
    assert "Ready" in html
    assert "<html" not in html
    assert news.context["seen"] != page.context["seen"]


def test_live_list_slows_down_after_half_a_minute(client, place):
    waiting(place, "ACC-1")
    headers = live_headers(client.get(LIST))
    headers["X-Since"] = str(int(headers["X-Since"]) - 31)
    assert 'hx-trigger="every 5s"' in client.get(LIST, headers=headers).content.decode()
