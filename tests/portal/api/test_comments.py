"""Comments on a case through the API, as far as each person may see them."""

import uuid

import pytest

from tests.factories import CaseFactory, PredictionFactory, ReadFactory, ScanFactory

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(north):
    scan = ScanFactory(institution=north.institution)
    PredictionFactory(scan=scan)
    return CaseFactory(scan=scan)


def texts(client, case):
    return [row["text"] for row in results(client, f"cases/{case.pk}/comments/", page_size=1)]


def test_comments_reach_whom_they_may(north, case):
    address = f"{V1}/cases/{case.pk}/comments/"
    words = {"technologist": "Moved.", "radiologist": "A vessel?", "data_manager": "The AI is sure."}
    for who, text in words.items():
        answer = bearer(getattr(north, who), "review").post(address, {"text": text})
        assert (answer.status_code, answer.json()["text"], answer.json()["who"]) == (201, text, "You"), who
    seen = {who: texts(bearer(getattr(north, who)), case) for who in (*words, "adjudicator")}
    assert seen == {
        "technologist": ["Moved.", "A vessel?"],
        "radiologist": ["Moved.", "A vessel?"],
        "data_manager": list(words.values()),
        "adjudicator": ["Moved."],
    }
    ReadFactory(case=case, reader=north.radiologist, final=True)
    type(case).objects.filter(pk=case.pk).update(state="done", done_at=case.opened_at)
    assert texts(bearer(north.adjudicator), case) == list(words.values())


def test_mention_is_notified_and_points_to_the_comment(north, case):
    made = (
        bearer(north.technologist).post(f"{V1}/cases/{case.pk}/comments/", {"text": "@north-radiologist moved"}).json()
    )
    (row,) = results(bearer(north.radiologist), "notifications/", kind="mentioned")
    assert (row["comment"], row["case"]) == (made["id"], str(case.pk))


def test_comment_of_nothing_or_on_a_foreign_case_is_refused(north, south, case):
    client = bearer(north.technologist)
    assert "text" in assert_problem(client.post(f"{V1}/cases/{case.pk}/comments/", {"text": " "}), 400)["errors"]
    assert_problem(client.post(f"{V1}/cases/{case.pk}/comments/", {"text": "x", "kind": "returned"}), 400)
    assert_problem(bearer(north.technologist, "read").post(f"{V1}/cases/{case.pk}/comments/", {"text": "x"}), 403)
    for pk in (case.pk, uuid.uuid4()):
        assert_problem(bearer(south.administrator).post(f"{V1}/cases/{pk}/comments/", {"text": "x"}), 404)
        assert_problem(bearer(south.administrator).get(f"{V1}/cases/{pk}/comments/"), 404)
