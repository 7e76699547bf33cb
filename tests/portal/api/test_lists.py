"""Lists: cursor paging, filters by allow-list, and what they cost."""

import base64
import json
import uuid
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings, strategies

from diagnostics.scans.models import Patient, Scan
from diagnostics.training.models import TrainingState
from portal.api import paging
from portal.api.urls import router
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    DatasetVersionFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    TrainingRunFactory,
    live_model,
)

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db
LISTS = [prefix for prefix, _viewset, _name in router.registry]


def test_pages_show_every_row_once_in_order_of_change(north):
    made = PatientFactory.create_batch(7, institution=north.institution)
    # All at one instant: the id must break the tie.
    Patient.objects.filter(pk__in=[row.pk for row in made[:5]]).update(updated_at=timezone.now())
    client = bearer(north.data_manager)
    everything = results(client, "patients/")
    assert sorted(row["id"] for row in everything) == sorted(str(row.pk) for row in made)
    assert [row["updated_at"] for row in everything] == sorted(row["updated_at"] for row in everything)
    for size in (1, 2, 3, 7, 8):
        assert results(client, "patients/", page_size=size) == everything


def test_previous_leads_back_the_same_way(north):
    PatientFactory.create_batch(7, institution=north.institution)
    client = bearer(north.data_manager)
    forth = [client.get(f"{V1}/patients/", {"page_size": 3}).json()]
    while forth[-1]["next"]:
        forth.append(client.get(forth[-1]["next"]).json())
    back = [forth[-1]]
    while back[-1]["previous"]:
        back.append(client.get(back[-1]["previous"]).json())
    assert [len(page["results"]) for page in forth] == [3, 3, 1]
    assert [page["results"] for page in reversed(back)] == [page["results"] for page in forth]
    assert forth[0]["previous"] is None
    assert client.get(back[-1]["next"]).json()["results"] == forth[1]["results"]


def test_row_that_changes_between_two_pages_skips_no_other(north):
    made = PatientFactory.create_batch(6, institution=north.institution)
    same = timezone.now() - timedelta(hours=1)
    Patient.objects.update(updated_at=same)
    client = bearer(north.data_manager)
    first = client.get(f"{V1}/patients/", {"page_size": 2}).json()
    Patient.objects.filter(pk=first["results"][0]["id"]).update(updated_at=timezone.now())
    seen = [row["id"] for row in first["results"]]
    page = first
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert set(seen) == {str(row.pk) for row in made}
    assert seen[-1] == first["results"][0]["id"]


def test_next_keeps_the_filters(north):
    PatientFactory.create_batch(3, institution=north.institution)
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    page = bearer(north.data_manager).get(f"{V1}/patients/", {"page_size": 1, "updated_since": since}).json()
    assert parse_qs(urlsplit(page["next"]).query)["updated_since"] == [since]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", "0"), ("page_size", "201"), ("page_size", "x"), ("cursor", "x"), ("cursor", "W10"),
        ("cursor", "bnVsbA"), ("cursor", "é"), ("updated_since", ""), ("updated_since", "2024-13-01"),
        ("updated_since", "1"), ("institution", "\x00"), ("priority", "9"), ("sha256", "A" * 64), ("patient_id", "7"),
    ],
)  # fmt: skip
def test_bad_value_of_a_parameter_is_400_and_named(north, name, value):
    found = assert_problem(bearer(north.data_manager).get(f"{V1}/scans/", {name: value}), 400)
    assert list(found["errors"]) == [name]


@pytest.mark.parametrize("path", ["scans", "cases", "predictions", "reads", "patients"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("way", ["f", "b"])
def test_cursor_whose_time_leaves_the_calendar_is_400(north, path, at, way):
    made = base64.urlsafe_b64encode(json.dumps([way, at, str(uuid.uuid4())]).encode()).decode()
    found = assert_problem(bearer(north.data_manager).get(f"{V1}/{path}/", {"cursor": made}), 400)
    assert list(found["errors"]) == ["cursor"]


@given(text=strategies.from_regex(paging.PATTERN, fullmatch=True))
@settings(max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("path", [f"{name}/" for name in LISTS])
def test_cursor_as_it_is_described_is_never_refused(north, path, text):
    assert bearer(north.administrator).get(f"{V1}/{path}", {"cursor": text}).status_code == 200


@pytest.mark.parametrize("way", ["f", "b"])
def test_cursor_of_the_former_form_still_leads_on(north, way):
    made = PatientFactory.create_batch(3, institution=north.institution)
    place = [way, made[1].updated_at.isoformat(), str(made[1].pk)]
    former = base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")
    page = bearer(north.data_manager).get(f"{V1}/patients/", {"cursor": former}).json()
    assert [row["id"] for row in page["results"]] == [str(made[2 if way == "f" else 0].pk)]


def test_parameter_given_twice_is_400(north):
    assert_problem(bearer(north.data_manager).get(f"{V1}/scans/?patient=P-1&patient=P-2"), 400)


@pytest.mark.parametrize("path", [f"{name}/" for name in LISTS])
def test_unknown_parameter_is_400_and_lists_the_known(north, path):
    client = bearer(north.administrator)
    for name in (
        "patient__pseudonym", "institution__code__startswith", "id__gt", "scan__predictions__label",
        "predictions__label", "uploaded_by__password", "reference_label", "newest_predictions", "blinded", "ordering",
        "search", "q", "expand", "fields", "limit", "offset", "page", "updated_at__gte", "pk__in",
    ):  # fmt: skip
        found = assert_problem(client.get(f"{V1}/{path}", {name: "a"}), 400)
        assert list(found["errors"]) == [name]
        assert {"cursor", "page_size"} <= set(found["accepted"][name])


def test_single_rows_and_acts_take_no_parameter(north):
    scan = ScanFactory(institution=north.institution)
    client = bearer(north.data_manager)
    assert_problem(client.get(f"{V1}/scans/{scan.pk}/", {"expand": "patient"}), 400)
    assert_problem(client.get(f"{V1}/scans/{scan.pk}/pixels/", {"raw": "1"}), 400)
    assert_problem(bearer(north.radiologist).post(f"{V1}/cases/next/?priority=stat"), 400)


def test_filters_narrow(north):
    one, two = ScanFactory.create_batch(2, institution=north.institution)
    PredictionFactory(scan=one)
    PredictionFactory(scan=two, failed=True)
    case = CaseFactory(scan=one)
    CaseFactory(scan=two, done=True)
    ClaimFactory(case=case, holder=north.radiologist)
    client = bearer(north.data_manager)
    for path, query, expected in (
        ("scans/", {"patient": one.patient.pseudonym}, one.pk),
        ("scans/", {"sha256": two.sha256}, two.pk),
        ("scans/", {"accession": two.study.accession}, two.pk),
        ("scans/", {"study_id": one.study_id}, one.pk),
        ("cases/", {"state": "open"}, case.pk),
        ("cases/", {"tab": "done"}, two.cases.get().pk),
        ("cases/", {"scan": two.pk}, two.cases.get().pk),
        ("predictions/", {"status": "failed"}, two.predictions.get().pk),
        ("predictions/", {"scan": one.pk}, one.predictions.get().pk),
        ("studies/", {"patient": one.patient.pseudonym}, one.study_id),
        ("patients/", {"pseudonym": one.patient.pseudonym}, one.patient_id),
    ):
        assert [row["id"] for row in results(client, path, **query)] == [str(expected)], (path, query)
    assert [row["id"] for row in results(bearer(north.radiologist), "cases/", tab="mine")] == [str(case.pk)]
    assert len(results(client, "scans/", institution="north", priority="routine", format="png")) == 2


def test_priority_filter_takes_the_words(north):
    scan = ScanFactory(institution=north.institution, priority=0)
    client = bearer(north.technologist)
    assert [row["id"] for row in results(client, "scans/", priority="stat")] == [str(scan.pk)]
    assert results(client, "scans/", priority="urgent") == []


def some(north, number: int) -> None:
    """So many of everything."""
    for _ in range(number):
        scan = ScanFactory(institution=north.institution)
        PredictionFactory(scan=scan)
        case = CaseFactory(scan=scan, done=True)
        ReadFactory(case=case, reader=north.radiologist, final=True)
        case = CaseFactory(scan=scan)
        ClaimFactory(case=case, holder=north.radiologist)
        ReadFactory(case=case, reader=north.radiologist, claim=case.claims.get(), revealed_at=timezone.now())
        ModelVersionFactory()
        dataset = DatasetVersionFactory(institution=north.institution)
        TrainingRunFactory(dataset=dataset, state=TrainingState.SUCCEEDED)


@pytest.mark.parametrize("who", ["radiologist", "administrator"])
def test_list_costs_the_same_queries_for_three_rows_and_for_thirty(north, who):
    live_model()
    client = bearer(getattr(north, who))

    def costs() -> dict[str, int]:
        found = {}
        for path in LISTS:
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(f"{V1}/{path}/", {"page_size": 200})
            assert answer.status_code in (200, 403), (path, answer.content)
            found[path] = len(captured)
        return found

    some(north, 3)
    costs()  # the token's first use is noted once a minute
    few = costs()
    some(north, 27)
    assert costs() == few
    assert max(few.values()) <= 8
    assert Scan.objects.count() == 30


@pytest.mark.parametrize("path", ["scans", "predictions", "cases"])
def test_list_leaves_the_reports_of_models_alone(north, path):
    """A model's report has tens of kilobytes: read once for each row, it was most of what a page cost."""
    for scan in ScanFactory.create_batch(3, institution=north.institution):
        PredictionFactory(scan=scan)
        CaseFactory(scan=scan)
    client = bearer(north.data_manager)
    with CaptureQueriesContext(connection) as captured:
        assert len(client.get(f"{V1}/{path}/").json()["results"]) == 3
    asked = [query["sql"] for query in captured if "modelversion" in query["sql"]]
    assert asked and not [sql for sql in asked if '"report"' in sql or '"card"' in sql or '"spec"' in sql]
