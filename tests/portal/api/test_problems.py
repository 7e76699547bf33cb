"""Every error is a problem document that names the fault and what is accepted."""

import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from diagnostics import pipeline
from diagnostics.scans.models import Scan
from tests.factories import CaseFactory, ScanFactory, phantom

from .api_client import V1, assert_problem, bearer, hand_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "field", "accepted"),
    [
        ({"priority": "soon"}, "priority", ["stat", "urgent", "routine"]),
        ({"study_date": "5 May"}, "study_date", None),
        ({"study_date": "1066-10-14"}, "study_date", None),
        ({"patient": "Jane Doe"}, "patient", None),
        ({"patient": ""}, "patient", None),
        ({"patient": "P" * 65}, "patient", None),
        ({"patient": "P\x001"}, "patient", None),
        ({"institution": "nowhere"}, "institution", None),
        ({"accession": "x" * 65}, "accession", None),
        (
            {"sex": "f"},
            "sex",
            ["patient", "institution", "accession", "study_date", "priority", "file", "series_complete"],
        ),
    ],
)
def test_wrong_field_is_named_with_what_it_takes(north, fields, field, accepted):
    found = assert_problem(hand_in(bearer(north.technologist), **fields), 400)
    assert list(found["errors"]) == [field]
    assert all(sentence for sentence in found["errors"][field])
    assert found.get("accepted", {}).get(field) == accepted
    assert Scan.objects.count() == 0


def test_missing_fields_are_named(north):
    answer = bearer(north.technologist).post(f"{V1}/scans/", {}, format="multipart")
    assert set(assert_problem(answer, 400)["errors"]) == {"file", "patient"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        phantom(1)[:200],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    ],
    ids=["empty", "svg", "pdf", "truncated", "png-in-name-only"],
)
def test_file_that_is_no_image_is_refused_with_a_code_and_a_sentence(north, data):
    found = assert_problem(hand_in(bearer(north.technologist), data), 400)
    assert found["code"] not in ("invalid", "refused")
    assert "ccepted" in found["detail"]
    assert Scan.objects.count() == 0


def test_image_bomb_is_refused(north):
    out = io.BytesIO()
    Image.fromarray(np.zeros((9000, 9000), np.uint8)).save(out, format="PNG")
    assert_problem(hand_in(bearer(north.technologist), out.getvalue()), 400)


def test_file_over_the_limit_is_413(north, settings):
    settings.MAX_UPLOAD_BYTES = 1000
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, format="PNG")
    assert_problem(hand_in(bearer(north.technologist), out.getvalue()), 413, "too_large")


def test_body_over_the_limit_is_413_before_it_is_read(north, settings):
    settings.MAX_UPLOAD_BYTES = 1000
    assert_problem(hand_in(bearer(north.technologist), b"x" * (1024 * 1024 + 2000)), 413, "too_large")
    long = {"label": "x" * (1024 * 1024 + 1)}
    assert_problem(bearer(north.radiologist).post(f"{V1}/cases/next/", long), 413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1, 2]",
        b'"word"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"claim_token": NaN}',
        b'{"claim_token": "\\ud800"}',
    ],
    ids=lambda body: ascii(body[:30]),
)
def test_malformed_json_is_400(north, body):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    client = bearer(north.radiologist)
    address = f"{V1}/cases/{case.pk}/release/"
    assert_problem(client.post(address, body, content_type="application/json"), 400)


def test_other_content_type_is_415_and_names_the_right_one(north):
    found = assert_problem(bearer(north.technologist).post(f"{V1}/scans/", {"patient": "P-1"}), 415)
    assert "multipart/form-data" in found["detail"]
    file = {"file": SimpleUploadedFile("a", b"x")}
    answer = bearer(north.data_manager).post(f"{V1}/dataset-versions/", file, format="multipart")
    assert "application/json" in assert_problem(answer, 415)["detail"]


def test_every_wrong_word_of_a_read_is_named(north):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    body = {
        "claim_token": "",
        "stage": "second",
        "label": "cyst",
        "certainty": "very",
        "reason": "mood",
        "may_train": "?",
    }
    found = assert_problem(bearer(north.radiologist).post(f"{V1}/cases/{case.pk}/reads/", body), 400)
    assert set(found["errors"]) == set(body)
    assert found["accepted"]["label"][0] == "no_tumour"
    assert found["accepted"]["certainty"] == ["certain", "probable", "unsure"]
    unknown = assert_problem(bearer(north.radiologist).post(f"{V1}/cases/{case.pk}/reads/", {"lable": "glioma"}), 400)
    assert "label" in unknown["accepted"]["lable"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nothing/", "/api/v1/scans", "/api/v2/scans/", "/api/x.php"]
)
def test_unknown_address_is_404_by_every_method(method, path):
    assert_problem(getattr(APIClient(), method)(path), 404, "not_found")


@pytest.mark.parametrize("pk", ["1", "x", "00000000-0000-0000-0000-000000000000", "%00", "../../etc", "' or 1=1"])
def test_id_that_is_none_is_404(north, pk):
    assert_problem(bearer(north.data_manager).get(f"{V1}/scans/{pk}/"), 404)


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("path", ["scans/", "cases/next/", "reads/", "users/me/", "model-versions/", "audit-events/"])
def test_method_that_an_address_lacks_is_405(north, method, path):
    answer = bearer(north.administrator).generic(method.upper(), f"{V1}/{path}")
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) <= {"GET", "HEAD", "POST"}


def test_fault_of_ours_is_500_without_its_words(north, monkeypatch, caplog):
    def broken(**_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(pipeline, "submit_scan", broken)
    client = bearer(north.technologist)
    client.raise_request_exception = False
    answer = hand_in(client)
    found = assert_problem(answer, 500, "server_error")
    assert "secret" not in str(found)
    assert "secret inside" in caplog.text


def test_fault_of_ours_reaches_whoever_watches(north, monkeypatch):
    def broken(**_):
        raise RuntimeError("seen")

    monkeypatch.setattr(pipeline, "submit_scan", broken)
    with pytest.raises(RuntimeError, match="seen"):
        hand_in(bearer(north.technologist))
