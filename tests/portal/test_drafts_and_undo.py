"""Drafts and undo on the reading page, in the worklist and over the API."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Claim, Draft, Read
from diagnostics.scans.access import Role
from tests.diagnostics.test_two_readers import final
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.api.api_client import V1, assert_problem, bearer
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def desk(place):
    scan = ScanFactory(institution=place, study__accession="ACC-1")
    PredictionFactory(scan=scan, p=0.94)
    return Desk(CaseFactory(scan=scan), person(Role.RADIOLOGIST, place))


def test_draft_stands_in_the_form_again(desk):
    desk.act("claim")
    answer = desk.act("draft", claim_token=desk.token, step="blind", label="glioma", comment="Half", sneaked="in")
    assert answer.json()["said"].startswith("Saved ")
    assert Draft.objects.get().entries == {"label": "glioma", "comment": "Half"}
    html = desk.html()
    assert 'value="glioma" checked' in html and "Half</textarea>" in html and "Saved " in html


def test_draft_of_a_step_that_is_over_does_not_come_back(desk):
    desk.act("claim")
    desk.lock()
    late = desk.act("draft", claim_token=desk.token, step="blind", label="glioma")
    assert late.status_code == 409 and not Draft.objects.exists()
    assert "data-choices" in desk.html() and 'name="choice" value="keep" checked' not in desk.html()


def test_draft_without_the_claim_is_409(desk, place):
    desk.act("claim")
    colleague = Desk(desk.case, person(Role.RADIOLOGIST, place))
    for step in ("taken", "blind"):  # "blind": the page is open since before the case was taken over
        refused = colleague.act("draft", claim_token=desk.token, step=step, label="glioma")
        assert refused.status_code == 409
        assert refused.json()["sentence"].startswith("Your claim on this case has ended")
    assert not Draft.objects.exists()


def revision_on(html):
    """The revision that a page sends with its drafts."""
    return re.search(r'name="draft_revision" value="([^"]*)"', html)[1]


def test_older_tab_is_told_of_the_newer_ones_draft_and_shown_both(desk):
    desk.act("claim")
    old = revision_on(desk.html())
    newer = {"claim_token": desk.token, "step": "blind", "label": "glioma", "comment": "Newer"}
    saved = desk.act("draft", draft_revision=revision_on(desk.html()), **newer).json()
    older = {**newer, "label": "meningioma", "comment": "Older"}
    refused = desk.act("draft", draft_revision=old, **older)
    assert refused.status_code == 409
    said = refused.json()
    assert said["entries"] == {"label": "glioma", "comment": "Newer"} and said["revision"] == saved["revision"]
    assert {"name": "Comment", "words": "Newer"} in said["kept"] and {"name": "Comment", "words": "Older"} in said[
        "yours"
    ]
    assert "Glioma" in str(said["kept"]) and "Meningioma" in str(said["yours"])
    assert Draft.objects.get().entries["comment"] == "Newer"
    # Whoever loads the page anew finds what was refused, beside the draft.
    html = desk.html()
    assert "Newer</textarea>" in html and "Older" in html and revision_on(html) == saved["revision"]
    assert desk.act("draft", draft_revision=said["revision"], **older).status_code == 200
    assert Draft.objects.get().entries["comment"] == "Older"


def test_page_that_answers_a_form_sends_the_revision_that_its_reader_had_seen(desk):
    """A refused read shows the form as it was sent; the other tab's draft must not be overwritten by it."""
    desk.act("claim")
    old = revision_on(desk.html())
    desk.act("draft", draft_revision=old, claim_token=desk.token, step="blind", comment="Newer")
    html = desk.act("blind", draft_revision=old, claim_token=desk.token, comment="Older").content.decode()
    html = flat(html)
    assert revision_on(html) == old and "Older</textarea>" in html


def test_undo_is_offered_and_brings_the_form_back_as_it_was(desk):
    desk.act("claim")
    desk.lock(label="no_tumour")
    desk.final(choice="keep", certainty="unsure", reason="false_positive", comment="A vessel.", may_train="1")
    assert 'data-undo="' in desk.html() and "Undo" in desk.html()
    assert 'data-undo="' in desk.client.get("/worklist/").content.decode()
    html = flat(desk.act("undo").content.decode())
    for part in (
        'value="keep" data-reasons="false_positive artefact wrong_sequence clinical_context other" checked',
        "A vessel.</textarea>",
        "data-may-train checked",
    ):
        assert part in html
    assert 'value="unsure" checked' in html and not Read.objects.filter(kind="final").exists()
    assert Claim.objects.filter(holder=desk.user, released_at=None).count() == 1


def test_undo_too_late_says_so_and_is_no_longer_offered(desk):
    read = final(desk.user, desk.case)
    Read.objects.filter(pk=read.pk).update(created_at=timezone.now() - timedelta(seconds=20))
    assert 'data-undo="' not in desk.html()
    answer = desk.act("undo")
    assert answer.status_code == 409 and "10 seconds" in answer.content.decode()


def test_undo_over_the_api(desk):
    read = final(desk.user, desk.case)
    client = bearer(desk.user)
    given = client.post(f"{V1}/reads/{read.pk}/undo/").json()
    assert given["case"] == str(desk.case.pk)
    assert_problem(client.post(f"{V1}/reads/{read.pk}/undo/"), 404)
    said = {"claim_token": given["claim_token"], "stage": "final", "label": "tumour", "certainty": "certain"}
    assert client.post(f"{V1}/cases/{desk.case.pk}/reads/", said, format="json").json()["revision"] == 1


def test_undo_by_somebody_else_is_refused(desk, place):
    final(desk.user, desk.case)
    colleague = Desk(desk.case, person(Role.RADIOLOGIST, place))
    assert colleague.act("undo").status_code == 403
    assert colleague.client.get(reverse("worklist:list")).context["undoable"] is None
