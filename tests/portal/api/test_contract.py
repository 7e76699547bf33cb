"""What clients may rely on, item by item as the issue promises it."""

import hashlib
import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.registry.models import ModelState
from diagnostics.reviews.models import Certainty, Label, Reason
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.training import services as training
from diagnostics.training.models import TrainingRun, TrainingState
from tests.diagnostics.model_fixtures import stored_model
from tests.factories import (
    CaseFactory,
    DatasetVersionFactory,
    MembershipFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    TrainingRunFactory,
    live_model,
    phantom,
)

from .api_client import V1, assert_problem, bearer, body_of, hand_in, labelled, results

pytestmark = pytest.mark.django_db


@pytest.fixture
def artifacts(settings, tmp_path):
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts", "allow_overwrite": True},
        }
    }
    settings.MODEL_CACHE_DIR = tmp_path / "cache"


def analysed(scan_id: str, **opinion) -> Prediction:
    """What a worker would have written."""
    Prediction.objects.filter(scan=scan_id).delete()
    key = default_storage.save(f"heatmaps/{scan_id}.png", ContentFile(b"\x89PNG heat"))
    made = PredictionFactory(scan=Scan.objects.get(pk=scan_id), heatmap=key, warnings=["low_quality"], **opinion)
    Scan.objects.filter(pk=scan_id).update(updated_at=timezone.now())
    return made


def test_codes_are_those_of_the_contract():
    assert set(Label.values) == {
        "tumour", "no_tumour", "glioma", "meningioma", "pituitary", "not_assessable", "out_of_scope",
    }  # fmt: skip
    assert Certainty.values == ["certain", "probable", "unsure"]
    assert set(Reason.values) == {
        "missed_lesion", "false_positive", "wrong_type", "artefact", "wrong_sequence", "out_of_scope",
        "clinical_context", "other",
    }  # fmt: skip


def test_upload_of_two_files_in_one_request_is_refused(north):
    files = [SimpleUploadedFile(f"{n}.png", phantom(n)) for n in (1, 2)]
    answer = bearer(north.technologist).post(f"{V1}/scans/", {"patient": "P-1", "file": files}, format="multipart")
    assert answer.status_code == 400 and "one file" in answer.content.decode()


def test_upload_answers_201_then_200_with_the_same_id(north):
    client = bearer(north.technologist)
    first = hand_in(client, accession="A-1", study_date="2024-05-06", priority="urgent", institution="north")
    assert first.status_code == 201, first.content
    scan = first.json()
    assert scan["sha256"] == hashlib.sha256(phantom(1)).hexdigest()
    assert scan["status"] == "queued"
    assert (scan["accession"], scan["study_date"], scan["priority"]) == ("A-1", "2024-05-06", "urgent")
    assert (scan["patient"], scan["institution"], scan["format"]) == ("P-1", "north", "png")
    assert (scan["width"], scan["height"]) == (64, 64)
    assert first["Location"] == scan["links"]["self"]
    again = hand_in(client)
    assert again.status_code == 200
    assert again.json()["id"] == scan["id"]
    assert (scan["images"], scan["series"], scan["study"]["accession"]) == (1, None, "A-1")
    elsewhere = assert_problem(hand_in(client, patient="P-2"), 409, "filed_elsewhere")
    assert "P-1" in elsewhere["detail"] and "P-2" in elsewhere["detail"]
    assert Scan.objects.count() == 1
    assert Scan.objects.get().source == Scan.Source.API


def test_upload_queues_its_prediction_when_a_model_is_live(north, quiet, django_capture_on_commit_callbacks):
    live_model()
    with django_capture_on_commit_callbacks(execute=True):
        scan = hand_in(bearer(north.technologist)).json()
    assert Prediction.objects.get(scan=scan["id"]).state == PredictionState.QUEUED
    assert quiet == [("diagnostics.tasks.infer",)]


@pytest.mark.parametrize("state", ["queued", "running", "ready", "failed"])
def test_scan_tells_its_status(north, state):
    scan = ScanFactory(institution=north.institution)
    CaseFactory(scan=scan)
    PredictionFactory(scan=scan, **({} if state == "ready" else {state: True}))
    found = bearer(north.data_manager).get(f"{V1}/scans/{scan.pk}/").json()
    assert found["status"] == {"running": "analysing"}.get(state, state)
    assert found["failure"] == ("The analysis broke off. Retry it." if state == "failed" else None)
    assert (found["prediction"] is not None) == (state == "ready")
    assert found["blinded"] is False


def test_rejected_scan_tells_why(north):
    scan = ScanFactory(institution=north.institution, rejected_code="blank", rejected_reason="It is black all over.")
    found = bearer(north.technologist).get(f"{V1}/scans/{scan.pk}/").json()
    assert (found["status"], found["failure"], found["prediction"]) == ("rejected", "It is black all over.", None)


def test_opinion_has_the_promised_fields(north):
    scan = ScanFactory(institution=north.institution)
    CaseFactory(scan=scan)
    made = analysed(str(scan.pk))
    client = bearer(north.data_manager)
    opinion = client.get(f"{V1}/scans/{scan.pk}/").json()["prediction"]
    assert set(opinion) == {
        "id", "finding", "label", "probabilities", "tumour_probability", "warnings", "heatmap", "model_version",
        "created_at", "finished_at", "profile", "peak",
    }  # fmt: skip
    assert (opinion["profile"], opinion["peak"]) == (None, None)
    assert opinion["finding"] == "tumour"
    assert opinion["probabilities"] == pytest.approx({"tumour": 0.94, "no_tumour": 0.06})
    assert opinion["tumour_probability"] == pytest.approx(0.94)
    assert opinion["warnings"] == ["low_quality"]
    version = made.model_version
    assert opinion["model_version"] == {
        "id": str(version.pk), "sha256": version.sha256, "name": version.name, "number": version.number,
    }  # fmt: skip
    assert opinion["heatmap"].startswith("http://testserver/api/v1/")
    picture = client.get(opinion["heatmap"])
    assert (picture.status_code, picture["Content-Type"], body_of(picture)) == (200, "image/png", b"\x89PNG heat")


def test_files_of_a_scan_come_with_a_token(north):
    scan = hand_in(bearer(north.technologist)).json()
    reader = bearer(north.radiologist)
    pixels = reader.get(scan["links"]["pixels"])
    content = body_of(pixels)
    assert content[:4] == b"OVRD"
    assert len(content) == 48 + 64 * 64
    assert reader.get(scan["links"]["pixels"], headers={"If-None-Match": pixels["ETag"]}).status_code == 304
    assert body_of(reader.get(scan["links"]["preview"])).startswith(b"\x89PNG")
    assert_problem(reader.get(scan["links"]["original"]), 403)
    original = bearer(north.technologist).get(scan["links"]["original"])
    assert body_of(original) == phantom(1)
    assert "attachment" in original["Content-Disposition"]


def test_each_list_answers_what_changed_since(north):
    scan = ScanFactory(institution=north.institution)
    case = CaseFactory(scan=scan)
    PredictionFactory(scan=scan)
    ReadFactory(case=case, reader=north.radiologist)
    client = bearer(north.data_manager)
    for path in ("scans/", "predictions/", "cases/", "reads/", "patients/"):
        row = results(client, path)[0]
        assert results(client, path, updated_since=row["updated_at"]) == [row], path
        later = (timezone.now() + timedelta(seconds=1)).isoformat()
        assert results(client, path, updated_since=later) == [], path
        assert_problem(client.get(f"{V1}/{path}", {"updated_since": "yesterday"}), 400)


def test_reader_claims_reads_blind_sees_and_decides(north):
    scan = hand_in(bearer(north.technologist)).json()
    analysed(scan["id"])
    reader = bearer(north.radiologist)
    answer = reader.post(f"{V1}/cases/next/")
    assert answer.status_code == 200
    claim = answer.json()
    assert set(claim) == {"case", "scan", "claim_token", "expires_at"}
    assert claim["scan"] == scan["id"]
    uuid.UUID(claim["claim_token"])
    assert reader.get(f"{V1}/scans/{scan['id']}/").json()["prediction"] is None

    blind = {"claim_token": claim["claim_token"], "stage": "blind", "label": "no_tumour", "certainty": "probable"}
    first = reader.post(f"{V1}/cases/{claim['case']}/reads/", blind)
    assert first.status_code == 201, first.content
    assert reader.get(f"{V1}/scans/{scan['id']}/").json()["prediction"]["finding"] == "tumour"

    final = {**blind, "stage": "final", "may_train": True}
    needs_reason = assert_problem(reader.post(f"{V1}/cases/{claim['case']}/reads/", final), 400)
    assert "reason" in needs_reason["errors"]
    final |= {"reason": "false_positive", "comment": "A vessel."}
    second = reader.post(f"{V1}/cases/{claim['case']}/reads/", final)
    assert second.status_code == 201, second.content
    read = second.json()
    assert (read["stage"], read["label"], read["certainty"], read["reason"], read["comment"], read["may_train"]) == (
        "final", "no_tumour", "probable", "false_positive", "A vessel.", True,
    )  # fmt: skip
    assert reader.get(f"{V1}/cases/{claim['case']}/").json()["state"] == "done"
    assert [row["stage"] for row in results(reader, f"cases/{claim['case']}/reads/")] == ["blind", "final"]
    assert reader.post(f"{V1}/cases/next/").status_code == 204


def test_stale_or_foreign_claim_is_409_with_the_present_state(north):
    hand_in(bearer(north.technologist))
    reader, other = bearer(north.radiologist), bearer(north.radiologist)
    claim = reader.post(f"{V1}/cases/next/").json()
    read = {"claim_token": str(uuid.uuid4()), "stage": "blind", "label": "glioma", "certainty": "certain"}
    foreign = assert_problem(other.post(f"{V1}/cases/{claim['case']}/reads/", read), 409, "stale_claim")
    assert foreign["current"]["id"] == claim["case"]
    assert foreign["current"]["claim"]["holder"] == "north-radiologist"
    token = {"claim_token": claim["claim_token"]}
    assert reader.post(f"{V1}/cases/{claim['case']}/release/", token).status_code == 204
    assert_problem(reader.post(f"{V1}/cases/{claim['case']}/release/", token), 409, "stale_claim")
    assert_problem(reader.post(f"{V1}/cases/{claim['case']}/reads/", {**read, **token}), 409, "stale_claim")
    wrong = reader.post(f"{V1}/cases/{claim['case']}/claim/").json()
    final = {**read, "claim_token": wrong["claim_token"], "stage": "final"}
    stage = assert_problem(reader.post(f"{V1}/cases/{claim['case']}/reads/", final), 409, "wrong_stage")
    assert stage["current"]["step"] == "blind"


def test_claim_held_by_another_is_409_and_can_be_taken_over_with_a_reason(north, south):
    MembershipFactory(user=south.radiologist, institution=north.institution)
    hand_in(bearer(north.technologist))
    mine, theirs = bearer(north.radiologist), bearer(south.radiologist)
    claim = mine.post(f"{V1}/cases/next/").json()
    address = f"{V1}/cases/{claim['case']}"
    held = assert_problem(theirs.post(f"{address}/claim/"), 409, "already_claimed")
    assert held["current"]["claim"]["mine"] is False
    assert_problem(theirs.post(f"{address}/take-over/", {}), 400)
    taken = theirs.post(f"{address}/take-over/", {"reason": "Holder is at lunch."})
    assert taken.status_code == 200
    assert_problem(mine.post(f"{address}/renew/", {"claim_token": claim["claim_token"]}), 409, "stale_claim")
    renewed = theirs.post(f"{address}/renew/", {"claim_token": taken.json()["claim_token"]})
    assert renewed.json()["expires_at"] >= taken.json()["expires_at"]


def test_own_final_read_is_amended_by_a_new_revision(north):
    read = ReadFactory(case=CaseFactory(scan=ScanFactory(institution=north.institution), done=True),
                       reader=north.radiologist, final=True)  # fmt: skip
    client = bearer(north.radiologist)
    words = {"label": "glioma", "certainty": "certain"}
    assert "comment" in assert_problem(client.post(f"{V1}/reads/{read.pk}/amend/", words), 400)["errors"]
    amended = client.post(f"{V1}/reads/{read.pk}/amend/", {**words, "comment": "Seen again."})
    assert (amended.status_code, amended.json()["revision"], amended.json()["label"]) == (201, 2, "glioma")
    assert_problem(client.post(f"{V1}/reads/{read.pk}/amend/", {**words, "comment": "Once more."}), 409)


def test_failed_analysis_is_retried(north):
    scan = ScanFactory(institution=north.institution)
    CaseFactory(scan=scan)
    PredictionFactory(scan=scan, failed=True)
    client = bearer(north.technologist)
    answer = client.post(f"{V1}/scans/{scan.pk}/retry/")
    assert (answer.status_code, answer.json()["status"], answer.json()["failure"]) == (202, "queued", None)
    assert_problem(client.post(f"{V1}/scans/{scan.pk}/retry/"), 409, "nothing_to_retry")


def test_dataset_is_frozen_and_trained_on(north, artifacts):
    client = bearer(north.data_manager)
    empty = assert_problem(client.post(f"{V1}/dataset-versions/", {}), 409, "not_freezable")
    assert "No scans yet" in empty["detail"]
    labelled(north.institution)
    answer = client.post(f"{V1}/dataset-versions/", {"institutions": ["north"], "seed": 3})
    assert answer.status_code == 201, answer.content
    version = answer.json()
    assert version["institutions"] == ["north"]
    assert version["counts"]["scans"] == 16
    manifest = client.get(version["manifest"])
    assert hashlib.sha256(manifest.content).hexdigest() == version["sha256"]
    assert_problem(client.post(f"{V1}/dataset-versions/", {"seed": 3}), 409, "not_freezable")

    answer = client.post(f"{V1}/training-runs/", {"dataset_version": version["id"], "epochs": 2, "seed": 5})
    assert answer.status_code == 202, answer.content
    run = answer.json()
    assert answer["Location"].endswith(f"/api/v1/training-runs/{run['id']}/")
    assert (run["status"], run["progress"], run["epochs"], run["failure"], run["model_version"]) == (
        "queued", 0, [], None, None,
    )  # fmt: skip
    assert (run["config"]["epochs"], run["config"]["seed"]) == (2, 5)
    second = assert_problem(client.post(f"{V1}/training-runs/", {"dataset_version": version["id"]}), 409)
    assert second["code"] == "another_running"
    assert client.post(f"{V1}/training-runs/{run['id']}/cancel/").json()["status"] == "cancelled"
    assert_problem(client.post(f"{V1}/training-runs/{run['id']}/cancel/"), 409, "nothing_to_cancel")


def test_run_names_the_model_it_made_and_why_it_failed(north):
    dataset = DatasetVersionFactory(institution=north.institution)
    good = TrainingRunFactory(dataset=dataset, state=TrainingState.SUCCEEDED, progress=1.0)
    bad = TrainingRunFactory(dataset=dataset, state=TrainingState.FAILED)
    client = bearer(north.data_manager)
    found = client.get(f"{V1}/training-runs/{good.pk}/").json()
    assert found["model_version"]["sha256"] == good.produced.sha256
    assert client.get(f"{V1}/training-runs/{bad.pk}/").json()["failure"] == "The loss was not a number."
    assert TrainingRun.objects.count() == 2
    assert training.active() is None


def test_model_is_promoted_with_a_reason_and_rolled_back(north, artifacts, tmp_path):
    first, second = stored_model(tmp_path, b"one"), stored_model(tmp_path, b"two")
    manager, administrator = bearer(north.data_manager), bearer(north.administrator)
    listed = {row["sha256"]: row for row in results(manager, "model-versions/")}
    assert set(listed) == {first.sha256, second.sha256}
    assert listed[first.sha256]["metrics"]["auroc"]["value"] == pytest.approx(0.8)
    address = f"{V1}/model-versions/{first.pk}/promote/"
    proposed = manager.post(address, {"reason": "Better."})
    assert (proposed.status_code, proposed.json()["status"]) == (202, "pending")
    assert manager.post(f"{proposed.headers['Location']}withdraw/", {}).status_code == 200
    assert_problem(bearer(north.radiologist).post(address, {"reason": "Better."}), 403)
    assert "reason" in assert_problem(administrator.post(address, {}), 400)["errors"]
    why = "Nothing is measured in this test."
    promoted = administrator.post(address, {"reason": why, "name": str(first)})
    assert (promoted.status_code, promoted.json()["state"]) == (200, "live")
    assert_problem(administrator.post(address, {"reason": "Again."}), 409, "promotion_refused")
    administrator.post(f"{V1}/model-versions/{second.pk}/promote/", {"reason": why, "name": str(second)})
    back = administrator.post(f"{V1}/model-versions/rollback/", {"reason": "Worse on site."})
    assert (back.status_code, back.json()["id"]) == (200, str(first.pk))
    again = {"reason": "Worse on site.", "to": str(first.pk)}
    assert_problem(administrator.post(f"{V1}/model-versions/rollback/", again), 409, "promotion_refused")
    first.refresh_from_db()
    assert first.state == ModelState.LIVE
    card = manager.get(listed[first.sha256]["card"])
    assert card.content.decode().startswith("# A toy")


def test_model_without_a_report_has_no_metrics(north):
    ModelVersionFactory()
    assert results(bearer(north.data_manager), "model-versions/")[0]["metrics"] == {}


def test_person_learns_who_they_are_and_where_they_belong(north, south):
    me = bearer(north.radiologist, "read").get(f"{V1}/users/me/").json()
    assert (me["username"], me["scopes"]) == ("north-radiologist", ["read"])
    assert me["memberships"] == [{"institution": "north", "role": "radiologist"}]
    assert "read_case" in me["permissions"]
    assert [row["code"] for row in results(bearer(north.radiologist), "institutions/")] == ["north"]


def test_administrator_reads_the_audit_of_their_own_institution_only(north, south):
    hand_in(bearer(north.technologist))
    hand_in(bearer(south.technologist))
    events = results(bearer(north.administrator), "audit-events/")
    assert {event["institution"] for event in events} == {"north"}
    assert "scan_stored" in {event["act"] for event in events}
    assert [event["act"] for event in results(bearer(north.administrator), "audit-events/", act="scan_stored")] == [
        "scan_stored"
    ]


def test_release_without_a_token_gives_back_only_ones_own_claim(north):
    hand_in(bearer(north.technologist))
    colleague = MembershipFactory(institution=north.institution, role=Role.RADIOLOGIST).user
    reader, other = bearer(north.radiologist), bearer(colleague)
    claim = reader.post(f"{V1}/cases/next/").json()
    assert_problem(other.post(f"{V1}/cases/{claim['case']}/release/"), 409, "stale_claim")
    assert reader.post(f"{V1}/cases/{claim['case']}/release/").status_code == 204
    assert_problem(reader.post(f"{V1}/cases/{claim['case']}/release/"), 409, "stale_claim")
    assert other.post(f"{V1}/cases/next/").json()["case"] == claim["case"]


def test_read_with_every_field_sent_and_nothing_in_most_is_taken(north):
    hand_in(bearer(north.technologist))
    reader = bearer(north.radiologist)
    claim = reader.post(f"{V1}/cases/next/").json()
    address = f"{V1}/cases/{claim['case']}/reads/"
    sent = {"stage": "blind", "label": "tumour", "certainty": "unsure", "reason": None, "comment": None}
    assert_problem(reader.post(address, {**sent, "claim_token": "none of ours"}), 409, "stale_claim")
    read = reader.post(address, {**sent, "claim_token": claim["claim_token"], "may_train": None})
    assert read.status_code == 201, read.content
    assert (read.json()["reason"], read.json()["comment"], read.json()["may_train"]) == (None, "", False)
