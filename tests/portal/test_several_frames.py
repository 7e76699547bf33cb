"""A file of several frames: its first frame is the scan, and whoever meets the scan is told so."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pypdf import PdfReader

from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    person,
    volume,
)
from tests.portal.api.api_client import V1, bearer, hand_in

pytestmark = pytest.mark.django_db
NOTE = "Frame 1 of 12. The other frames were not read and may show something else."


@pytest.fixture
def place():
    return InstitutionFactory(code="north")


@pytest.fixture
def scan(place):
    return ScanFactory(institution=place, data=volume(12))


def seen_by(role, place, **headers):
    client = Client(headers=headers)
    client.force_login(person(role, place))
    return client


def test_handing_in_says_at_once_that_the_first_frame_is_the_scan(place):
    files = [SimpleUploadedFile("volume.dcm", volume(12)), SimpleUploadedFile("slice.dcm", volume(1))]
    form = {"patient": "P-1", "study_date": "", "accession": "", "priority": 2, "files": files}
    page = seen_by(Role.TECHNOLOGIST, place).post("/scans/hand-in/", form).content.decode()
    assert page.count("Frame 1 of 12.") == 1
    assert sorted(Scan.objects.values_list("frames", flat=True)) == [1, 12]


def test_every_page_that_shows_the_scan_says_so(place, scan):
    case = CaseFactory(scan=scan)
    reader, keeper = seen_by(Role.RADIOLOGIST, place), seen_by(Role.DATA_MANAGER, place)
    pages = {
        "list": (keeper, "/scans/"),
        "scan": (keeper, f"/scans/{scan.pk}/"),
        "patient": (keeper, reverse("history:patient", args=[scan.patient_id])),
        "worklist": (reader, "/worklist/"),
        "reading": (reader, f"/cases/{case.pk}/"),
    }
    for name, (client, address) in pages.items():
        assert NOTE in client.get(address).content.decode(), name
    assert Scan.objects.update(frames=1) == 1
    for name, (client, address) in pages.items():
        assert "of the file. The others" not in client.get(address).content.decode(), name


def test_a_blind_reader_is_told_before_reading_and_in_their_language(place, scan):
    PredictionFactory(scan=scan, warnings=["first_frame"])
    case = CaseFactory(scan=scan)
    page = seen_by(Role.RADIOLOGIST, place, accept_language="de").get(f"/cases/{case.pk}/").content.decode()
    assert "Einzelbild 1 von 12" in page
    assert "opinion is of the first" not in page


def test_the_opinion_of_the_first_frame_says_so(place, scan):
    PredictionFactory(scan=scan, warnings=["first_frame"])
    case = CaseFactory(scan=scan, state="done", done_at=scan.created_at)
    ReadFactory(case=case, final=True)
    reader = seen_by(Role.RADIOLOGIST, place)
    page = reader.get(f"/cases/{case.pk}/").content.decode()
    assert "The file has several frames. The AI result is for the first one only." in page
    report = b"".join(reader.get(f"/cases/{case.pk}/report.pdf").streaming_content)
    words = " ".join(" ".join(each.extract_text() for each in PdfReader(io.BytesIO(report)).pages).split())
    assert "Frame 1 of 12." in words
    assert "first frame of the file only" in words


def test_the_api_says_how_many_frames_there_are_and_what_that_means(place):
    client = bearer(person(Role.DATA_MANAGER, place))
    first = hand_in(client, volume(12)).json()
    assert (first["frames"], first["note"]) == (12, NOTE)
    single = hand_in(client, volume(1)).json()
    assert (single["frames"], single["note"]) == (1, None)
    listed = {row["id"]: row["frames"] for row in client.get(f"{V1}/scans/").json()["results"]}
    assert listed == {first["id"]: 12, single["id"]: 1}
