"""Two readers over the API: from the first read to the adjudicator's word, with nothing leaked on the way."""

import json

import pytest

from diagnostics.scans.models import Institution, SecondReader
from tests.factories import CaseFactory, PredictionFactory, ScanFactory, person

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(north):
    Institution.objects.filter(pk=north.institution.pk).update(second_reader=SecondReader.ALL)
    scan = ScanFactory(institution=north.institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def post(client, path, **body):
    return client.post(f"{V1}/{path}", body, format="json")


def read(client, claim, stage, label, **more):
    body = {"claim_token": claim["claim_token"], "stage": stage, "label": label, "certainty": "certain", **more}
    answer = post(client, f"cases/{claim['case']}/reads/", **body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def give(client, label, reason=""):
    """Claim the next case and read it to the end."""
    claim = post(client, "cases/next/").json()
    read(client, claim, "blind", label)
    return read(client, claim, "final", label, reason=reason, comment="The AI is a canary.")


def test_disagreement_from_the_first_read_to_the_adjudicators_word(north, case):
    anna, bert, judge = (
        bearer(who) for who in (north.radiologist, person("radiologist", north.institution), north.adjudicator)
    )
    assert give(anna, "tumour")["seat"] == "first"
    assert post(anna, "cases/next/").status_code == 204
    shown = anna.get(f"{V1}/cases/{case.pk}/").json()
    assert (shown["state"], shown["seat"], shown["step"]) == ("open", "second", "waiting")
    assert results(bert, f"cases/{case.pk}/reads/") == []
    assert give(bert, "no_tumour", "false_positive")["seat"] == "second"
    claim = post(judge, "cases/next/").json()
    talk = judge.get(f"{V1}/cases/{case.pk}/thread/").json()
    assert [(said["reader"], said["label"]) for said in talk["statements"]] == [("a", "tumour"), ("b", "no_tumour")]
    told = json.dumps([talk, judge.get(f"{V1}/cases/{case.pk}/").json(), results(judge, "reads/")])
    assert not [leak for leak in ("canary", "north-radiologist", "0.94", "false_positive") if leak in told]
    assert anna.get(f"{V1}/cases/{case.pk}/thread/").json()["statements"] == []
    word = read(judge, claim, "final", "tumour")
    assert (word["seat"], word["prediction"]) == ("adjudication", None)
    assert anna.get(f"{V1}/cases/{case.pk}/").json()["state"] == "done"


def test_returned_case_is_answered_and_read_again(north, case):
    anna, bert, judge = (
        bearer(who) for who in (north.radiologist, person("radiologist", north.institution), north.adjudicator)
    )
    give(anna, "tumour")
    give(bert, "no_tumour", "false_positive")
    claim = post(judge, "cases/next/").json()
    words = {"claim_token": claim["claim_token"], "comment": "Look at the falx."}
    assert_problem(post(judge, f"cases/{case.pk}/return/", reader="c", **words), 400)
    sent = post(judge, f"cases/{case.pk}/return/", reader="b", **words).json()
    assert (sent["seat"], sent["returned"]) == ("second", True)
    assert [row["id"] for row in results(bert, "cases/", tab="returned")] == [str(case.pk)]
    assert_problem(post(anna, f"cases/{case.pk}/claim/"), 409, "wrong_stage")
    again = post(bert, "cases/next/").json()
    talk = post(bert, f"cases/{case.pk}/thread/", comment="A vessel, sorry.").json()
    assert [(remark["who"], remark["kind"]) for remark in talk["comments"]] == [
        ("Adjudicator", "returned"),
        ("You", "answer"),
    ]
    assert read(bert, again, "final", "tumour")["revision"] == 2
    assert bert.get(f"{V1}/cases/{case.pk}/").json()["state"] == "done"


def test_second_opinion_brings_a_second_reader_to_a_one_reader_institution(north, case):
    Institution.objects.update(second_reader=SecondReader.NONE)
    person("radiologist", north.institution)
    anna = bearer(north.radiologist)
    claim = post(anna, "cases/next/").json()
    question = {"claim_token": claim["claim_token"], "comment": "A cyst?"}
    assert post(anna, f"cases/{case.pk}/second-opinion/", **question).json()["step"] == "blind"
    assert_problem(post(anna, f"cases/{case.pk}/second-opinion/", **question), 409, "wrong_stage")
    read(anna, claim, "blind", "tumour")
    read(anna, claim, "final", "tumour")
    assert anna.get(f"{V1}/cases/{case.pk}/").json()["seat"] == "second"
