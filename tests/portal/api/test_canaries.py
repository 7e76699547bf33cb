"""Canaries: words of a patient go through the whole flow, failures included, and must turn up nowhere else."""

import io
import json

import pydicom
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image, PngImagePlugin
from pydicom.data import get_testdata_file

from diagnostics.models import AuditEvent, Scan
from diagnostics.scans.models import Priority
from tests.factories import live_model, phantom

from .api_client import V1, bearer, body_of, hand_in

pytestmark = pytest.mark.django_db

IN_THE_FILE = {
    "PatientName": "CANARYNAME^ANNA",
    "PatientID": "CANARY-MRN-4711",
    "PatientBirthDate": "19470503",
    "PatientAddress": "CANARY STREET 5",
    "OtherPatientNames": "CANARYMAIDEN",
    "InstitutionName": "CANARY HOSPITAL",
    "ReferringPhysicianName": "CANARYDOCTOR",
    "PerformingPhysicianName": "CANARYSURGEON",
    "OperatorsName": "CANARYOPERATOR",
    "StudyDescription": "CANARY STUDY",
    "PatientComments": "CANARY COMMENT OF A FILE",
    "StationName": "CANARYSTATION",
}
SAID = {"patient": "CANARYPSEUDONYM-1", "accession": "CANARYACCESSION-1"}
TYPED = ["CANARY-FILE-NAME", "CANARYREMARK", "CANARYSEARCH", "CANARYCHUNK", "CANARYTRAILER"]
EVERY = [*IN_THE_FILE.values(), *SAID.values(), *TYPED]


def dicom() -> bytes:
    data = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    for name, canary in IN_THE_FILE.items():
        setattr(data, name, canary)
    data.private_block(0x0011, "CANARYCHUNK", create=True).add_new(1, "LO", "CANARYCHUNK")
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


def png() -> bytes:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("Comment", "CANARYCHUNK")
    out = io.BytesIO()
    Image.open(io.BytesIO(phantom(7))).save(out, format="PNG", pnginfo=chunk)
    return out.getvalue()


def named(data: bytes, suffix: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(f"CANARY-FILE-NAME.{suffix}", data)


def leaks(text: str | bytes) -> list[str]:
    told = text.decode("latin-1") if isinstance(text, bytes) else text
    return [canary for canary in EVERY if canary.lower() in told.lower()]


def test_words_of_a_patient_stay_where_they_belong(
    north, south, quiet, caplog, capfd, django_capture_on_commit_callbacks
):
    live_model()
    taker, reader = bearer(north.technologist), bearer(north.radiologist)
    page = Client()
    page.force_login(north.technologist)
    with django_capture_on_commit_callbacks(execute=True), caplog.at_level("DEBUG"):
        answers = [hand_in(taker, file=named(data, "dcm"), **SAID) for data in (dicom(), png())]
        assert [answer.status_code for answer in answers] == [201, 201]
        refused = [hand_in(taker, file=named(data, "png"), **SAID) for data in (b"", b"CANARYTRAILER", png()[:200])]
        refused.append(hand_in(taker, file=named(png(), "png"), patient="CANARYNAME ANNA!"))
        assert {answer.status_code for answer in refused} == {400}
        batch = {
            "files": [named(phantom(8), "png"), named(b"CANARYTRAILER", "png")],
            "priority": Priority.ROUTINE.value,
            **SAID,
        }
        page.post("/scans/hand-in/", batch)
        page.get("/scans/", {"patient": "CANARYSEARCH"})
        page.get("/history/patients/", {"q": "CANARYSEARCH"})
        taker.get(f"{V1}/scans/", {"patient": "CANARYSEARCH", "unknown": "CANARYSEARCH"})
        claim = reader.post(f"{V1}/cases/next/").json()
        read = {"claim_token": claim["claim_token"], "stage": "blind", "label": "tumour", "certainty": "unsure"}
        assert (
            reader.post(f"{V1}/cases/{claim['case']}/reads/", {**read, "comment": "CANARYREMARK"}).status_code == 201
        )
        foreign = bearer(south.data_manager).get(answers[0].json()["links"]["self"])
    assert Scan.objects.count() == 3

    out, err = capfd.readouterr()
    assert leaks(caplog.text + out + err) == [], "logs"
    assert leaks(json.dumps(quiet)) == [], "messages to workers"
    events = AuditEvent.objects.values_list("act", "target_type", "target_id", "detail")
    assert leaks(json.dumps(list(events))) == [], "audit"
    assert [leaks(answer["Location"]) for answer in answers] == [[], []], "addresses"
    assert leaks(foreign.content) == [] and foreign.status_code == 404
    # What a refusal repeats is what its sender typed, and nothing of the file.
    assert all(set(leaks(answer.content)) <= {"CANARYNAME^ANNA"} for answer in refused)
    for scan in Scan.objects.all():
        assert leaks(f"{scan.original} {scan.pixels} {scan.preview}") == [], "keys in the storage"
        for key in (scan.pixels, scan.preview):
            with default_storage.open(key) as file:
                assert leaks(file.read()) == [], "what is shown"
    shown = answers[0].json()["links"]
    assert leaks(body_of(reader.get(shown["pixels"])) + body_of(reader.get(shown["preview"]))) == []
    # The original is kept as it came: the canaries really were there.
    assert "CANARYNAME^ANNA" in leaks(body_of(taker.get(shown["original"])))
