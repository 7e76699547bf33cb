"""Whoever is blind to the AI's opinion finds it nowhere in the API."""

import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from diagnostics.scans.models import ReadingMode
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    MembershipFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
)

from .api_client import V1, assert_problem, bearer, body_of, results

pytestmark = pytest.mark.django_db
# Values that appear nowhere else, so that finding one anywhere is a leak.
LEAKS = ("0.912345", "meningioma", "canary_warning", "heatmap.png", "heatmaps/")


@pytest.fixture
def case(north):
    scan = ScanFactory(institution=north.institution)
    made = CaseFactory(scan=scan)
    PredictionFactory(
        scan=scan,
        p=0.912345,
        label="meningioma",
        probabilities={"meningioma": 0.912345, "no_tumour": 0.087655},
        warnings=["canary_warning"],
        heatmap=default_storage.save("heatmaps/canary.png", ContentFile(b"\x89PNG")),
    )
    return made


def everything(client, case) -> str:
    """All that a client can read about the case, as one text."""
    prediction = case.scan.predictions.get()
    found = [results(client, path) for path in ("scans/", "predictions/", "cases/", "reads/", "patients/", "studies/")]
    single = (
        f"scans/{case.scan_id}/",
        f"predictions/{prediction.pk}/",
        f"cases/{case.pk}/",
        f"cases/{case.pk}/reads/",
        f"cases/{case.pk}/annotations/",
    )
    found += [client.get(f"{V1}/{path}").json() for path in single]
    return json.dumps(found)


@pytest.mark.parametrize("who", ["technologist", "radiologist", "adjudicator"])
def test_opinion_is_nowhere_while_the_case_is_open(north, case, who):
    client = bearer(getattr(north, who))
    text = everything(client, case)
    assert [leak for leak in LEAKS if leak in text] == []
    assert client.get(f"{V1}/scans/{case.scan_id}/").json()["blinded"] is True
    prediction = case.scan.predictions.get()
    shown = client.get(f"{V1}/predictions/{prediction.pk}/").json()
    assert (shown["status"], shown["blinded"]) == ("ready", True)
    hidden = ("finding", "label", "probabilities", "tumour_probability", "warnings", "heatmap")
    assert [shown[name] for name in hidden] == [None] * len(hidden)
    assert_problem(client.get(f"{V1}/predictions/{prediction.pk}/heatmap/"), 404)


@pytest.mark.parametrize("who", ["data_manager", "administrator"])
def test_opinion_is_open_to_whoever_manages_data(north, case, who):
    client = bearer(getattr(north, who))
    text = everything(client, case)
    assert "0.912345" in text
    assert "canary_warning" in text
    assert body_of(client.get(f"{V1}/predictions/{case.scan.predictions.get().pk}/heatmap/")) == b"\x89PNG"


def test_opinion_opens_to_the_reader_after_their_blind_read_only(north, case):
    ClaimFactory(case=case, holder=north.radiologist)
    client = bearer(north.radiologist)
    assert "meningioma" not in everything(client, case)
    ReadFactory(case=case, reader=north.radiologist, claim=case.claims.get())
    assert "meningioma" in everything(client, case)
    assert "meningioma" not in everything(bearer(north.adjudicator), case)


def test_reads_of_an_open_case_stay_with_their_reader(north, case):
    ReadFactory(case=case, reader=north.radiologist, label="pituitary")
    assert "pituitary" in everything(bearer(north.radiologist), case)
    assert "pituitary" in everything(bearer(north.data_manager), case)
    for who in (north.technologist, north.adjudicator):
        assert "pituitary" not in everything(bearer(who), case)


def test_done_case_is_open_to_everybody_of_the_institution(north, case):
    ReadFactory(case=case, reader=north.radiologist, final=True)
    type(case).objects.filter(pk=case.pk).update(state="done", done_at=case.opened_at)
    for who in ("technologist", "radiologist", "adjudicator", "data_manager"):
        assert "meningioma" in everything(bearer(getattr(north, who)), case), who


def test_hidden_opinion_stays_hidden_from_its_reader_until_the_end(north, case):
    type(north.institution).objects.filter(pk=north.institution.pk).update(reading_mode=ReadingMode.AI_HIDDEN)
    ReadFactory(case=case, reader=north.radiologist)
    assert "meningioma" not in everything(bearer(north.radiologist), case)


def test_no_list_can_be_narrowed_by_opinion(north, case):
    client = bearer(north.radiologist)
    for path in ("scans/", "predictions/", "cases/"):
        for name in ("label", "finding", "tumour_probability", "warnings", "tumour_probability__gte", "heatmap"):
            assert_problem(client.get(f"{V1}/{path}", {name: "meningioma"}), 400)


def test_failure_is_no_opinion_and_shows(north):
    scan = ScanFactory(institution=north.institution)
    CaseFactory(scan=scan)
    PredictionFactory(scan=scan, failed=True)
    found = bearer(north.radiologist).get(f"{V1}/scans/{scan.pk}/").json()
    assert (found["status"], found["failure"]) == ("failed", "The analysis broke off. Retry it.")


def test_reader_in_one_institution_and_manager_in_another_is_blind_only_in_the_first(north, case):
    other = InstitutionFactory()
    scan = ScanFactory(institution=other)
    CaseFactory(scan=scan)
    PredictionFactory(scan=scan)
    MembershipFactory(user=north.radiologist, institution=other, role="data_manager")
    MembershipFactory(user=north.radiologist, institution=north.institution, role="data_manager")
    blinded = {row["id"]: row["blinded"] for row in results(bearer(north.radiologist), "scans/")}
    assert blinded == {str(case.scan_id): True, str(scan.pk): False}


def since(client, path: str, when) -> list[dict]:
    return results(client, path, updated_since=when.isoformat())


def test_whoever_asks_for_changes_hears_of_what_opened_to_them(north, case):
    reader, technologist = bearer(north.radiologist), bearer(north.technologist)
    claim = reader.post(f"{V1}/cases/{case.pk}/claim/").json()
    words = {"claim_token": claim["claim_token"], "certainty": "certain", "label": "meningioma"}
    before = timezone.now()
    reader.post(f"{V1}/cases/{case.pk}/reads/", {**words, "stage": "blind"})
    for path in ("scans/", "predictions/", "cases/"):
        assert [row["blinded"] for row in since(reader, path, before)] == [False], path
    assert since(technologist, "reads/", before) == []
    before = timezone.now()
    assert reader.post(f"{V1}/cases/{case.pk}/reads/", {**words, "stage": "final"}).status_code == 201
    for path in ("scans/", "predictions/", "cases/"):
        assert [row["blinded"] for row in since(technologist, path, before)] == [False], path
    # The blind read was made before, but it is open to others only now.
    assert sorted(row["stage"] for row in since(technologist, "reads/", before)) == ["blind", "final"]


def test_whoever_asks_for_changes_hears_of_what_a_claim_opened(north, case):
    type(north.institution).objects.filter(pk=north.institution.pk).update(reading_mode=ReadingMode.CONCURRENT)
    reader, before = bearer(north.radiologist), timezone.now()
    claim = reader.post(f"{V1}/cases/{case.pk}/claim/").json()
    assert [row["label"] for row in since(reader, "predictions/", before)] == ["meningioma"]
    before = timezone.now()
    reader.post(f"{V1}/cases/{case.pk}/release/", {"claim_token": claim["claim_token"]})
    assert [row["blinded"] for row in since(reader, "scans/", before)] == [True]
