"""A study on the pages: one row of the worklist, a strip on the reading page, a page of its own."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnostics.cases.models import Case
from diagnostics.reviews import worklist
from diagnostics.reviews.models import Claim, Read
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.series import KeptInstance
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    cases_of_study,
    person,
)
from tests.markup import flat
from tests.portal.api.api_client import V1, bearer

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def ada(client, place):
    user = person(Role.RADIOLOGIST, place)
    client.force_login(user)
    return user


def html_of(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return flat(answer.content.decode())


def test_worklist_shows_the_study_once_and_its_series_within(client, ada, place):
    stacks = cases_of_study(place, 3)
    single = CaseFactory(scan=ScanFactory(institution=place))
    html = html_of(client, reverse("worklist:list"))
    assert html.count("data-row ") + html.count("data-row>") == 2
    assert html.count(f'data-study="{stacks[0].study_id}"') == 1 and "3 series" in html
    assert "1: T2, axial, 1 image" in html and "3: T1 with contrast, axial, 1 image" in html
    assert all(reverse("reading:case", args=[case.pk]) in html for case in [*stacks, single])


def test_list_asks_the_database_as_often_for_large_studies_as_for_small(client, ada, place):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            html_of(client, reverse("worklist:list"))
        return len(queries)

    cases_of_study(place, 2)
    asked()
    few = asked()
    for _number in range(5):
        cases_of_study(place, 5)
    assert asked() == few


def test_claiming_on_the_page_claims_the_study_and_the_strip_leads_through_it(client, ada, place):
    stacks = cases_of_study(place, 3)
    assert client.post(reverse("worklist:claim", args=[stacks[1].pk])).status_code == 302
    assert Claim.objects.filter(holder=ada, released_at__isnull=True).count() == 3
    html = html_of(client, reverse("reading:case", args=[stacks[1].pk]))
    assert html.count("Not read yet") == 3
    assert f'href="{reverse("reading:case", args=[stacks[1].pk])}" aria-current="page"' in html
    listed = html_of(client, f"{reverse('worklist:list')}?tab=mine")
    assert "You left" in listed and "3 series" in listed and "1 unfinished" in listed


def test_single_picture_has_no_strip(client, ada, place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    worklist.claim(by=ada, case=case)
    assert "data-series" not in html_of(client, reverse("reading:case", args=[case.pk]))


def test_after_a_blind_read_the_page_leads_to_the_next_series_and_refuses_to_reveal(client, ada, place):
    stacks = cases_of_study(place, 2)
    for case in stacks:
        PredictionFactory(scan=case.scan)
    worklist.claim_study(by=ada, case=stacks[0])
    tokens = dict(Claim.objects.filter(holder=ada).values_list("case", "token"))
    here = reverse("reading:case", args=[stacks[0].pk])
    said = {"claim_token": tokens[stacks[0].pk], "label": "no_tumour", "certainty": "certain"}
    assert client.post(reverse("reading:blind", args=[stacks[0].pk]), said).status_code == 302
    html = html_of(client, here)
    assert "1 series of this study still awaits your blind read." in html
    assert "Next series" in html and "Show AI result" not in html
    refused = client.post(reverse("reading:reveal", args=[stacks[0].pk]), {"claim_token": tokens[stacks[0].pk]})
    assert refused.status_code == 409 and "First read the other series" in refused.content.decode()
    said["claim_token"] = tokens[stacks[1].pk]
    assert client.post(reverse("reading:blind", args=[stacks[1].pk]), said).status_code == 302
    assert "Show AI result" in html_of(client, here)
    assert (
        client.post(reverse("reading:reveal", args=[stacks[0].pk]), {"claim_token": tokens[stacks[0].pk]}).url == here
    )


def test_page_of_a_study_shows_its_series_and_what_was_kept(client, ada, place):
    stacks = cases_of_study(place, 3)
    study = stacks[0].study
    KeptInstance.objects.create(
        institution=place,
        study=study,
        kind="structured_report",
        sop_uid="2.25.9",
        sha256="0" * 64,
        size_bytes=1,
        original="k",
    )
    html = html_of(client, reverse("studies:study", args=[study.pk]))
    assert "3 series" in html and "3 images" in html and "Kept with the study" in html
    assert all(reverse("uploads:scan", args=[case.scan_id]) in html for case in stacks)
    assert all(reverse("reading:case", args=[case.pk]) in html for case in stacks)
    client.force_login(person(Role.TECHNOLOGIST, place))
    html = html_of(client, reverse("studies:study", args=[study.pk]))
    assert not any(reverse("reading:case", args=[case.pk]) in html for case in stacks)
    client.force_login(person(Role.RADIOLOGIST, InstitutionFactory()))
    assert client.get(reverse("studies:study", args=[study.pk])).status_code == 404


def test_page_of_a_study_keeps_the_opinion_from_its_blind_reader(client, ada, place):
    stacks = cases_of_study(place, 2)
    for case in stacks:
        PredictionFactory(scan=case.scan)
    html = html_of(client, reverse("studies:study", args=[stacks[0].study_id]))
    assert html.count("Hidden until read") == 2 and "AI:" not in html


def test_ticking_a_study_assigns_all_its_series(client, place):
    stacks = cases_of_study(place, 3)
    reader = person(Role.RADIOLOGIST, place)
    client.force_login(person(Role.ADJUDICATOR, place))
    client.post(reverse("worklist:assign"), {"cases": str(stacks[0].pk), "to": str(reader.pk)})
    assert reader.assigned_cases.count() == 3


def read_all(cases, labels):
    for case, label in zip(cases, labels, strict=True):
        ReadFactory(case=case, final=True, label=label)
        Case.objects.filter(pk=case.pk).update(state="done", done_at=timezone.now())


@pytest.mark.parametrize(
    ("labels", "finding", "told"),
    [
        (["no_tumour", "no_tumour", "no_tumour"], "no_tumour", ["no_tumour"]),
        (["no_tumour", "glioma", "tumour"], "tumour", ["glioma"]),
        (["no_tumour", "tumour", "not_assessable"], "tumour", ["tumour"]),
        (["glioma", "meningioma", "glioma"], "tumour", ["glioma", "meningioma"]),
        (["not_assessable", "no_tumour", "out_of_scope"], "no_tumour", ["no_tumour"]),
        (["out_of_scope", "not_assessable", "not_assessable"], "not_assessable", ["out_of_scope", "not_assessable"]),
    ],
)
def test_result_of_a_study_follows_from_its_series(client, ada, place, labels, finding, told):
    stacks = cases_of_study(place, 3)
    read_all(stacks, labels)
    result = bearer(ada).get(f"{V1}/studies/{stacks[0].study_id}/").json()["result"]
    assert (result["series"], result["read"], result["finding"], result["labels"]) == (3, 3, finding, told)
    assert result["scans"] == {str(case.scan_id): label for case, label in zip(stacks, labels, strict=True)}
    html = html_of(client, reverse("studies:study", args=[stacks[0].study_id]))
    assert "Result of the study" in html and "From the final reads of its series." in html


def test_nothing_of_the_result_is_told_before_all_series_are_read(client, ada, place):
    stacks = cases_of_study(place, 3)
    read_all(stacks[:2], ["glioma", "glioma"])
    result = bearer(ada).get(f"{V1}/studies/{stacks[0].study_id}/").json()["result"]
    assert result == {"series": 3, "read": 2, "finding": None, "labels": [], "scans": {}}
    html = html_of(client, reverse("studies:study", args=[stacks[0].study_id]))
    assert "2 of 3 series read." in html


def test_amended_read_changes_the_result(ada, place):
    stacks = cases_of_study(place, 2)
    read_all(stacks, ["no_tumour", "no_tumour"])
    read = Read.objects.get(case=stacks[1])
    ReadFactory(
        case=stacks[1],
        reader=read.reader,
        claim=read.claim,
        kind="final",
        stage=read.stage,
        revision=2,
        label="glioma",
    )
    assert bearer(ada).get(f"{V1}/studies/{stacks[0].study_id}/").json()["result"]["labels"] == ["glioma"]


def test_study_of_which_a_series_still_arrives_has_no_result(ada, place):
    stacks = cases_of_study(place, 2)
    read_all(stacks[:1], ["glioma"])
    stacks[1].delete()
    Scan.objects.filter(pk=stacks[1].scan_id).update(arrival="arriving")
    result = bearer(ada).get(f"{V1}/studies/{stacks[0].study_id}/").json()["result"]
    assert (result["series"], result["read"], result["finding"], result["scans"]) == (2, 1, None, {})
