"""Nothing crosses an institution's border: another's rows are as if they did not exist."""

import uuid

import pytest

from tests.factories import (
    CaseFactory,
    ClaimFactory,
    DatasetVersionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    TrainingRunFactory,
)

from .api_client import V1, assert_problem, bearer, hand_in, labelled, results

pytestmark = pytest.mark.django_db
READ = {"stage": "blind", "label": "glioma", "certainty": "certain"}


@pytest.fixture
def row(north):
    """One of each of the north's rows, by the word that its address uses."""
    scan = ScanFactory(institution=north.institution, patient__pseudonym="NORTH-1")
    case = CaseFactory(scan=scan)
    claim = ClaimFactory(case=case, holder=north.radiologist)
    dataset = DatasetVersionFactory(institution=north.institution)
    return {
        "scans": scan.pk,
        "predictions": PredictionFactory(scan=scan).pk,
        "cases": case.pk,
        "reads": ReadFactory(case=case, reader=north.radiologist, claim=claim).pk,
        "patients": scan.patient_id,
        "studies": scan.study_id,
        "dataset-versions": dataset.pk,
        "training-runs": TrainingRunFactory(dataset=dataset).pk,
        "claim_token": claim.token,
    }


def addresses() -> list[tuple[str, str, str, dict]]:
    """Method, resource, what follows the id, and the body of every request that names a row."""
    found = [
        ("get", name, "", {})
        for name in (
            "scans",
            "predictions",
            "cases",
            "reads",
            "patients",
            "studies",
            "dataset-versions",
            "training-runs",
        )
    ]
    found += [("get", "scans", f"{name}/", {}) for name in ("pixels", "preview", "original")]
    found += [("get", "predictions", "heatmap/", {}), ("get", "cases", "reads/", {})]
    found += [("get", "dataset-versions", "manifest/", {})]
    found += [
        ("post", "scans", "retry/", {}),
        ("post", "cases", "claim/", {}),
        ("post", "training-runs", "cancel/", {}),
    ]
    found += [("post", "cases", "reads/", {**READ, "claim_token": ""})]
    found += [("post", "cases", f"{act}/", {"claim_token": ""}) for act in ("release", "renew")]
    found += [("post", "cases", "take-over/", {"reason": "mine now"})]
    found += [("post", "reads", "amend/", {"label": "glioma", "certainty": "certain", "comment": "x"})]
    return found


@pytest.mark.parametrize(("method", "name", "rest", "body"), addresses(), ids=lambda value: str(value))
def test_foreign_id_is_answered_like_one_that_never_was(south, row, method, name, rest, body):
    body = {key: str(row["claim_token"]) if key == "claim_token" else value for key, value in body.items()}
    for role in ("technologist", "radiologist", "adjudicator", "data_manager", "administrator"):
        client = bearer(getattr(south, role))
        foreign = getattr(client, method)(f"{V1}/{name}/{row[name]}/{rest}", body or None)
        missing = getattr(client, method)(f"{V1}/{name}/{uuid.uuid4()}/{rest}", body or None)
        assert foreign.status_code == missing.status_code, role
        assert foreign.content == missing.content, role
        # Who may not see datasets and runs at all hears that; there, too, a foreign one is like none.
        expected = {404, 403} if name in ("dataset-versions", "training-runs") else {404}
        assert foreign.status_code in expected, (role, foreign.content)
        if role == "administrator":
            assert_problem(foreign, 404)


@pytest.mark.parametrize("role", ["technologist", "radiologist", "adjudicator", "data_manager", "administrator"])
def test_lists_hold_nothing_foreign(south, row, role):
    client = bearer(getattr(south, role))
    for path in ("scans/", "predictions/", "cases/", "reads/", "patients/", "studies/"):
        assert results(client, path) == []
    assert [found["code"] for found in results(client, "institutions/")] == ["south"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("scans/", {"institution": "north"}),
        ("scans/", {"patient": "NORTH-1"}),
        ("patients/", {"pseudonym": "NORTH-1"}),
        ("studies/", {"patient": "NORTH-1"}),
        ("cases/", {"patient": "NORTH-1"}),
    ],
)
def test_filters_find_nothing_foreign(south, row, path, query):
    assert results(bearer(south.administrator), path, **query) == []


def test_same_content_in_another_institution_is_another_scan(north, south):
    first, second = hand_in(bearer(north.technologist)), hand_in(bearer(south.technologist))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


def test_foreign_institution_named_is_as_unknown_as_a_missing_one(north, south):
    client = bearer(south.technologist)
    sentences = {
        assert_problem(hand_in(client, institution=code), 400)["detail"].replace(code, "…")
        for code in ("north", "nowhere")
    }
    assert len(sentences) == 1
    assert "north" not in sentences.pop()
    manager = bearer(south.data_manager)
    for code in ("north", "nowhere"):
        found = assert_problem(manager.post(f"{V1}/dataset-versions/", {"institutions": [code]}), 400)
        assert found["accepted"]["institutions"] == ["south"]


def test_foreign_dataset_is_not_trained_on(south, row):
    client = bearer(south.data_manager)
    answers = [
        client.post(f"{V1}/training-runs/", {"dataset_version": str(pk)}).json()
        for pk in (row["dataset-versions"], uuid.uuid4())
    ]
    assert answers[0] == answers[1]
    assert answers[0]["status"] == 400


def test_anothers_training_run_is_not_named_to_a_stranger(south, row):
    labelled(south.institution)
    client = bearer(south.data_manager)
    version = client.post(f"{V1}/dataset-versions/", {}).json()
    found = assert_problem(client.post(f"{V1}/training-runs/", {"dataset_version": version["id"]}), 409)
    assert "run 1" not in found["detail"]


def test_claim_next_takes_no_foreign_case(south, row):
    assert bearer(south.radiologist).post(f"{V1}/cases/next/").status_code == 204


def test_anothers_own_institution_page_is_404(north, south):
    assert_problem(bearer(south.administrator).get(f"{V1}/institutions/north/"), 404)
    assert bearer(north.administrator).get(f"{V1}/institutions/north/").status_code == 200


def test_anothers_audit_event_is_404(north, south):
    hand_in(bearer(north.technologist))
    event = results(bearer(north.administrator), "audit-events/")[0]
    assert_problem(bearer(south.administrator).get(f"{V1}/audit-events/{event['id']}/"), 404)


def test_model_made_from_foreign_scans_shows_its_measures_but_not_their_counts(north, south):
    dataset = DatasetVersionFactory(institution=north.institution)
    run = TrainingRunFactory(dataset=dataset, state="succeeded")
    report = {"test": {"metrics": {"auroc": {"value": 0.9}}, "by_source": {"site-1": {"n": 7654321}}}}
    run.produced.report, run.produced.card = report, "7654321 scans"
    run.produced.save()
    address = f"{V1}/model-versions/{run.produced.pk}/"
    ours = bearer(north.data_manager).get(address).json()
    assert (ours["report"], bool(ours["card"]), ours["spec"]["name"]) == (report, True, "toy")
    theirs = bearer(south.data_manager).get(address)
    assert b"7654321" not in theirs.content
    assert theirs.json()["metrics"] == {"auroc": {"value": 0.9}}
    assert (theirs.json()["report"], theirs.json()["spec"], theirs.json()["card"]) == (None, None, None)
    assert_problem(bearer(south.data_manager).get(f"{address}card/"), 404)
    assert bearer(north.data_manager).get(f"{address}card/").content == b"7654321 scans"
