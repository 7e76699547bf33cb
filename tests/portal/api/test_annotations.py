"""Marks through the API: every revision to read, one's own to make, change and withdraw."""

import uuid

import pytest

from diagnostics.annotations.models import Annotation
from diagnostics.scans.access import Role
from tests.factories import AnnotationFactory, CaseFactory, ClaimFactory, ReadFactory, ScanFactory, person

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db
MARK = {"kind": "ellipse", "points": [[10, 10], [30.25, 20]], "text": "Rim"}


@pytest.fixture
def case(north):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    ClaimFactory(case=case, holder=north.radiologist)
    return case


def post(client, case, **body):
    return client.post(f"{V1}/cases/{case.pk}/annotations/", body)


def test_mark_is_made_changed_and_withdrawn_revision_by_revision(north, case):
    client = bearer(north.radiologist)
    made = post(client, case, **MARK)
    assert made.status_code == 201
    row = made.json()
    assert (row["revision"], row["author"], row["unit"], row["superseded"]) == (1, "north-radiologist", "px", False)
    changed = post(client, case, mark=row["mark"], revision=1, **{**MARK, "text": "Core"})
    gone = post(client, case, mark=row["mark"], revision=2, withdrawn=True)
    assert (changed.json()["revision"], gone.json()["revision"]) == (2, 3)
    listed = results(client, f"cases/{case.pk}/annotations/")
    assert [(each["text"], each["withdrawn"], each["superseded"]) for each in listed] == [
        ("Rim", False, True),
        ("Core", False, True),
        ("Core", True, False),
    ]


def test_revision_that_was_not_seen_is_a_conflict(north, case):
    client = bearer(north.radiologist)
    mark = post(client, case, **MARK).json()["mark"]
    assert_problem(post(client, case, mark=mark, revision=0, **{**MARK, "text": "Core"}), 409, "stale_mark")
    assert_problem(post(client, case, mark=str(uuid.uuid4()), revision=7, **MARK), 409, "stale_mark")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"points": [[1, 1]]}, "points"),
        ({"points": [[1, 1], [2]]}, "points"),
        ({"points": "here"}, "points"),
        ({"points": [[1, 1], ["nan", 2]]}, "points"),
        ({"points": [[1, 1], [1e6, 2]]}, "points"),
        ({"kind": "circle"}, "kind"),
        ({"kind": None}, "kind"),
        ({"text": "x" * 201}, "text"),
        ({"author": "somebody"}, "author"),
    ],
)
def test_mark_that_is_none_is_refused_with_the_field(north, case, change, field):
    answer = post(bearer(north.radiologist), case, **{**MARK, **change})
    assert_problem(answer, 400, "invalid")
    assert field in answer.json()["errors"]
    assert not Annotation.objects.exists()


def test_kind_is_needed_for_a_mark_that_is_not_withdrawn(north, case):
    assert_problem(post(bearer(north.radiologist), case, points=[[1, 1], [2, 2]]), 400, "invalid")


def test_marks_of_an_open_case_stay_with_their_author(north, south, case):
    mark = AnnotationFactory(case=case, author=north.radiologist)
    ReadFactory(case=case, reader=north.radiologist, claim=case.claims.get())
    other = person(Role.RADIOLOGIST, north.institution)
    address = f"cases/{case.pk}/annotations/"
    assert [row["id"] for row in results(bearer(north.radiologist), address)] == [str(mark.pk)]
    assert [row["id"] for row in results(bearer(north.data_manager), address)] == [str(mark.pk)]
    for blind in (other, north.adjudicator, north.technologist):
        assert results(bearer(blind), address) == []
    stranger = bearer(south.administrator)
    assert_problem(stranger.get(f"{V1}/{address}"), 404, "not_found")
    assert_problem(post(stranger, case, **MARK), 404, "not_found")
    assert_problem(post(bearer(other), case, **MARK), 409, "stale_claim")


def test_token_needs_the_scope_to_review(north, case):
    assert_problem(post(bearer(north.radiologist, "read"), case, **MARK), 403, "scope_missing")
