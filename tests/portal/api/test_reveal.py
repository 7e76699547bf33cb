"""Over the API the question is the reveal: whoever is told the opinion cannot undo their blind read any more."""

import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from diagnostics.audit.models import AuditEvent
from diagnostics.models import Prediction, Read
from tests.factories import CaseFactory, PredictionFactory, ScanFactory

from .api_client import V1, assert_problem, bearer, body_of, results

pytestmark = pytest.mark.django_db
LEAKS = ("0.912345", "meningioma", "canary_warning", "heatmap.png", "heatmaps/")


@pytest.fixture
def case(north):
    scan = ScanFactory(institution=north.institution)
    PredictionFactory(
        scan=scan,
        p=0.912345,
        label="meningioma",
        probabilities={"meningioma": 0.912345, "no_tumour": 0.087655},
        warnings=["canary_warning"],
        heatmap=default_storage.save("heatmaps/canary.png", ContentFile(b"\x89PNG")),
    )
    return CaseFactory(scan=scan)


@pytest.fixture
def client(north):
    return bearer(north.radiologist)


@pytest.fixture
def said(client, case):
    """A blind read has been stated; what a further one says with the same token."""
    token = client.post(f"{V1}/cases/{case.pk}/claim/").json()["claim_token"]
    words = {"claim_token": token, "certainty": "certain", "label": "glioma"}
    assert client.post(f"{V1}/cases/{case.pk}/reads/", {**words, "stage": "blind"}).status_code == 201
    return words


def blind():
    return Read.everything.get(kind="blind")


def asked_by(case):
    prediction = Prediction.objects.get(scan=case.scan)
    return {
        "scan": f"scans/{case.scan_id}/",
        "scans": "scans/",
        "prediction": f"predictions/{prediction.pk}/",
        "predictions": f"predictions/?scan={case.scan_id}",
        "heat map": f"predictions/{prediction.pk}/heatmap/",
        "report": f"cases/{case.pk}/report/",
    }


@pytest.mark.parametrize("what", ["scan", "scans", "prediction", "predictions", "heat map", "report"])
def test_asking_for_the_opinion_gets_it_is_the_reveal_and_ends_undo(client, case, said, what):
    assert blind().revealed_at is None
    answer = client.get(f"{V1}/{asked_by(case)[what]}")
    assert answer.status_code == 200
    if what == "heat map":
        assert body_of(answer) == b"\x89PNG"
    elif what != "report":
        assert "0.912345" in json.dumps(answer.json()) and '"blinded": false' in json.dumps(answer.json())
    assert blind().revealed_at is not None
    assert AuditEvent.objects.filter(act="opinion_revealed").count() == 1
    refused = assert_problem(client.post(f"{V1}/reads/{blind().pk}/undo/"), 409)
    assert "so your blind read stands" in refused["detail"]


def test_what_tells_nothing_of_the_opinion_is_no_reveal(north, client, case, said):
    paths = (f"cases/{case.pk}/", "cases/", "cases/?tab=mine", "reads/", "patients/", f"cases/{case.pk}/reads/")
    for path in (*paths, f"cases/{case.pk}/annotations/", f"cases/{case.pk}/thread/", f"cases/{case.pk}/comments/"):
        found = json.dumps(client.get(f"{V1}/{path}").json())
        assert [leak for leak in LEAKS if leak in found] == [], path
    bearer(north.data_manager).get(f"{V1}/scans/{case.scan_id}/")
    bearer(north.technologist).get(f"{V1}/scans/{case.scan_id}/")
    assert blind().revealed_at is None
    # The opinion is theirs for the asking, and the final read comes next: as it has always been.
    shown = client.get(f"{V1}/cases/{case.pk}/").json()
    assert (shown["blinded"], shown["step"]) == (False, "final")
    assert [row["blinded"] for row in results(client, "cases/")] == [False]


def test_undo_before_the_question_gives_the_case_back(client, case, said):
    given = client.post(f"{V1}/reads/{blind().pk}/undo/")
    assert given.status_code == 200 and given.json()["claim_token"] == said["claim_token"]
    assert client.get(f"{V1}/scans/{case.scan_id}/").json()["blinded"] is True
    assert client.get(f"{V1}/cases/{case.pk}/").json()["step"] == "blind"
    assert client.post(f"{V1}/cases/{case.pk}/reads/", {**said, "stage": "blind"}).status_code == 201


def test_final_read_without_the_question_is_stored_as_ever(client, case, said):
    given = client.post(f"{V1}/cases/{case.pk}/reads/", {**said, "stage": "final", "reason": "wrong_type"})
    assert given.status_code == 201 and given.json()["prediction"] == str(Prediction.objects.get().pk)
    assert blind().revealed_at is not None


@pytest.mark.parametrize("key", ["", "a-key"])
def test_refusal_that_tells_of_the_opinion_ends_undo(client, case, said, key):
    headers = {"Idempotency-Key": key} if key else {}
    refused = client.post(f"{V1}/cases/{case.pk}/reads/", {**said, "stage": "final"}, headers=headers)
    assert "reason" in assert_problem(refused, 400)["errors"]
    assert blind().revealed_at is not None
    assert_problem(client.post(f"{V1}/reads/{blind().pk}/undo/"), 409)


def test_question_while_the_analysis_runs_is_no_reveal(client, case, said):
    Prediction.objects.all().delete()
    PredictionFactory(scan=case.scan, queued=True)
    shown = client.get(f"{V1}/scans/{case.scan_id}/").json()
    assert (shown["prediction"], shown["blinded"]) == (None, False)
    assert blind().revealed_at is None


def test_moment_of_the_reveal_stands_with_the_read(client, case, said):
    assert client.get(f"{V1}/reads/{blind().pk}/").json()["revealed_at"] is None
    client.get(f"{V1}/scans/{case.scan_id}/")
    assert client.get(f"{V1}/reads/{blind().pk}/").json()["revealed_at"] is not None


def test_contradicting_reason_names_those_that_are_accepted(client, case, said):
    sent = {**said, "label": "no_tumour", "stage": "final", "reason": "missed_lesion"}
    problem = assert_problem(client.post(f"{V1}/cases/{case.pk}/reads/", sent), 400)
    assert "does not fit" in problem["detail"]
    assert problem["accepted"]["reason"] == [
        "false_positive",
        "artefact",
        "wrong_sequence",
        "clinical_context",
        "other",
    ]
    given = client.post(f"{V1}/cases/{case.pk}/reads/", {**sent, "reason": "false_positive"})
    assert given.status_code == 201
    amended = client.post(
        f"{V1}/reads/{given.json()['id']}/amend/",
        {"label": "glioma", "certainty": "certain", "reason": "false_positive", "comment": "Seen again."},
    )
    assert assert_problem(amended, 400)["accepted"]["reason"][0] == "wrong_type"


@pytest.mark.parametrize("name", ["scan", "scans", "prediction", "predictions", "heat map", "report"])
def test_head_request_is_told_nothing_and_reveals_nothing(client, case, said, name):
    client.head(f"{V1}/{asked_by(case)[name]}")
    assert blind().revealed_at is None
