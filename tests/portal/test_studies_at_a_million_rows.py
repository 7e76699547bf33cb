"""Pages and API ask as much, and the database takes as many steps, with seven times the studies, scans and images."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics.cases.models import Case
from diagnostics.predictions.models import Prediction
from diagnostics.reviews.worklist import listing, place_of
from diagnostics.scans.access import Role
from diagnostics.scans.models import Patient, Scan, Study
from diagnostics.scans.series import Image, Series
from tests.diagnostics import test_at_a_million_rows as rows
from tests.factories import InstitutionFactory, ScanFactory, live_model, person

pytestmark = pytest.mark.django_db
SERIES = 3
IMAGES = 2


def studies(like, version, number):
    """Studies of three series each, as bulk: patient, study, series, scans, images, opinions and cases."""
    place, at = like.institution, timezone.now()
    first = Patient.objects.count()
    patients = [Patient(institution=place, pseudonym=f"B-{first + n}") for n in range(number)]
    visits = [Study(patient=each, institution=place, uid=f"1.2.{each.pseudonym[2:]}") for each in patients]
    series = [
        Series(
            institution=place,
            study=each,
            uid=f"{each.uid}.{n}",
            number=n,
            arrival="complete",
            close_at=at,
            closed_at=at,
        )
        for each in visits
        for n in range(1, SERIES + 1)
    ]
    alike = {
        "original": like.original, "pixels": like.pixels, "preview": like.preview, "size_bytes": 1, "width": 64,
        "height": 64, "bits": 12,
    }  # fmt: skip
    scans = [
        Scan(
            institution=place, patient=each.study.patient, study=each.study, series=each, image_count=IMAGES,
            sha256=uuid.uuid4().hex * 2, format="dicom", fingerprint=b"", source="api", analysis="ready",
            uploaded_by=like.uploaded_by, **alike,
        )
        for each in series
    ]  # fmt: skip
    images = [
        Image(
            institution=place, scan=scan, index=n, sop_uid=f"{scan.series.uid}.{n}", sha256=uuid.uuid4().hex, **alike
        )
        for scan in scans
        for n in range(IMAGES)
    ]
    said = {"state": "ready", "finished_at": at, "label": "glioma", "finding": "tumour", "tumour_probability": 0.9}
    opinions = [Prediction(scan=scan, model_version=version, probabilities={"glioma": 0.9}, **said) for scan in scans]
    here = {"institution": place, "analysis": "ready", "priority": 2}
    cases = [Case(scan=scan, study=scan.study, **here, **place_of(place, 2)) for scan in scans]
    many = (patients, visits, series, scans, images, opinions, cases)
    for model, made in zip((Patient, Study, Series, Scan, Image, Prediction, Case), many, strict=True):
        model.objects.bulk_create(made)


@pytest.fixture
def stocked():
    place = InstitutionFactory()
    version = live_model()
    like = ScanFactory(institution=place)
    studies(like, version, 60)
    return like, version


def addresses(like):
    scan = Scan.objects.filter(patient__pseudonym="B-7", series__number=2).get()
    one = f"/api/v1/scans/{scan.pk}/"
    return {
        "worklist": "/worklist/",
        "scans": "/scans/",
        "patients": "/history/patients/",
        "patients by a beginning": "/history/patients/?patient=B-60",
        "patient": f"/history/patients/{scan.patient_id}/",
        "case": f"/cases/{scan.cases.get().pk}/",
        "study": f"/studies/{scan.study_id}/",
        "api scans": "/api/v1/scans/",
        "api scan": one,
        "api images": f"{one}images/",
        "api image": f"{one}images/1/preview/",
        "api patients": "/api/v1/patients/",
        "api studies": "/api/v1/studies/",
        "api study": f"/api/v1/studies/{scan.study_id}/",
        "api cases": "/api/v1/cases/?tab=unclaimed",
    }


def asked(client, address):
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address)
        if response.streaming:
            b"".join(response.streaming_content)
    assert response.status_code == 200, (address, response.status_code)
    return len(queries)


def got(client, address):
    response = client.get(address)
    if response.streaming:
        b"".join(response.streaming_content)


def test_pages_of_studies_ask_the_same_with_seven_times_the_rows(stocked, client):
    like, version = stocked
    client.force_login(person(Role.RADIOLOGIST, like.institution))
    where = addresses(like)
    for address in where.values():
        asked(client, address)  # being told of an opinion is an event, once
    few = {what: asked(client, address) for what, address in where.items()}
    studies(like, version, 360)
    many = {what: asked(client, address) for what, address in where.items()}
    assert {what: (few[what], many[what]) for what in few if many[what] > few[what]} == {}


@rows.sqlite_only
def test_pages_of_studies_take_the_same_steps_with_seven_times_the_rows(stocked, client, monkeypatch):
    monkeypatch.setattr(listing, "COUNT_LIMIT", 50)  # the number beside a tab, which the page counts up to
    like, version = stocked
    client.force_login(person(Role.RADIOLOGIST, like.institution))
    where = addresses(like)
    counted = []
    for more in (0, 360):
        studies(like, version, more)
        rows.as_of_a_million()
        for address in where.values():
            got(client, address)
        counted.append({w: rows.steps(lambda a=address: got(client, a)) for w, address in where.items()})
    few, many = counted
    assert {what: (few[what], many[what]) for what in few if many[what] > 1.5 * few[what] + 5} == {}
