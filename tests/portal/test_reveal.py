"""The step between blind read and AI result on the page: show it, or undo the read; and the reasons that fit."""

import html as markup
import re

import pytest

from diagnostics.models import Claim, Draft, Prediction, Read
from diagnostics.reviews import worklist
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.test_reading import OPINION, Desk, secrets_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def desk(place):
    """A reader who has claimed a case of which the AI says "meningioma"."""
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan, **OPINION)
    return Desk(case, ClaimFactory(case=case).holder)


@pytest.fixture
def locked(desk):
    """The same, with the blind read locked ("glioma") and nothing revealed."""
    assert desk.blind().status_code == 302
    return desk


def leaks(desk, body):
    return [word for word in secrets_of(desk.case) if word in body]


def test_locked_read_offers_the_reveal_and_undo_and_tells_nothing(locked):
    html = locked.html()
    assert leaks(locked, html) == []
    assert "Show AI result" in html and "Undo" in html and "Meningioma" not in html


def test_no_page_or_file_gives_the_opinion_away_before_the_reveal(locked):
    prediction = Prediction.objects.get()
    case, scan = locked.case, locked.case.scan
    for address in (
        f"/scans/{scan.pk}/",
        f"/history/patients/{scan.patient_id}/",
        "/history/my-reads/",
        f"/cases/{case.pk}/comments/",
        "/worklist/?tab=mine",
    ):
        answer = locked.client.get(address)
        assert answer.status_code == 200 and leaks(locked, answer.content.decode()) == [], address
    assert locked.client.get(f"/cases/files/predictions/{prediction.pk}/heatmap.png").status_code == 404
    report = locked.client.get(f"/cases/{case.pk}/report.pdf")
    assert report.status_code == 200
    assert Read.objects.get().revealed_at is None, "looking elsewhere is no reveal"


def test_a_page_that_asks_for_news_is_no_reveal(locked):
    body = locked.client.get(f"/cases/{locked.case.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert leaks(locked, body) == [] and Read.objects.get().revealed_at is None


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"choice": "keep", "reason": "wrong_type"}, 409),
        ({"choice": "other", "label": "pituitary", "reason": "wrong_type"}, 409),
        ({"choice": "adopt"}, 400),
        ({"label": "glioma", "without_ai": "1"}, 409),
    ],
)
def test_final_read_before_the_reveal_is_refused_and_tells_nothing(locked, more, status):
    answer = locked.act("final", claim_token=locked.token, opinion="", certainty="certain", **more)
    assert answer.status_code == status and leaks(locked, answer.content.decode()) == []
    assert Read.objects.count() == 1 and Read.objects.get().revealed_at is None


def test_undo_brings_the_blind_read_back_into_the_form(locked):
    html = flat(locked.act("undo", kind="blind").content.decode())
    assert (
        'value="glioma" checked' in html and 'value="probable" checked' in html and "Left temporal.</textarea>" in html
    )
    assert not Read.objects.exists() and leaks(locked, html) == []
    assert locked.blind(label="pituitary").status_code == 302


def test_undo_after_the_reveal_is_refused(locked):
    locked.reveal()
    answer = locked.act("undo", kind="blind")
    assert answer.status_code == 409 and "so your blind read stands" in answer.content.decode()
    assert Read.objects.get().label == "glioma"


def test_undo_in_another_tab_is_no_undo_of_the_final_read(locked):
    locked.reveal()
    locked.final(choice="adopt")
    assert locked.act("undo", kind="blind").status_code == 409
    assert Read.objects.filter(kind="final").count() == 1


def test_reveal_by_looking_only_or_by_somebody_else(locked, place):
    assert locked.client.get(f"/cases/{locked.case.pk}/reveal/").status_code == 405
    colleague = Desk(locked.case, person(Role.RADIOLOGIST, place))
    assert colleague.act("reveal", claim_token=locked.token).status_code == 409
    stranger = Desk(locked.case, person(Role.RADIOLOGIST, InstitutionFactory()))
    assert stranger.act("reveal", claim_token=locked.token).status_code == 404
    assert (
        Desk(locked.case, person(Role.DATA_MANAGER, place)).act("reveal", claim_token=locked.token).status_code == 403
    )
    assert Read.objects.get().revealed_at is None


def test_reveal_before_the_blind_read_or_after_the_claim_ended(desk):
    assert desk.reveal().status_code == 409
    desk.blind()
    token = desk.token
    worklist.take_over(by=person(Role.RADIOLOGIST, desk.case.institution), case=desk.case, reason="Urgent.")
    answer = desk.act("reveal", claim_token=token)
    assert answer.status_code == 409 and leaks(desk, answer.content.decode()) == []


def test_reader_who_comes_back_to_a_locked_read_finds_it(locked):
    Claim.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert leaks(locked, locked.html()) == []
    locked.act("claim")
    html = locked.html()
    assert "Show AI result" in html and leaks(locked, html) == []


# --- reasons


def offered(html):
    (select,) = re.findall(r'<select name="reason".*?</select>', html, re.S)
    return re.findall(r'value="(\w*)"', select)


def reasons_of(html, name, value):
    (tag,) = re.findall(rf'<input type="radio" name="{name}" value="{value}"[^>]*>', html)
    found = re.search(r'data-reasons="([^"]*)"', tag)
    return found[1].split() if found else []


def test_page_offers_what_fits_some_answer_and_says_which(locked):
    locked.reveal()
    html = locked.html()
    assert "missed_lesion" not in offered(html) and {"wrong_type", "false_positive"} <= set(offered(html))
    assert "wrong_type" in reasons_of(html, "choice", "keep") and "false_positive" not in reasons_of(
        html, "choice", "keep"
    )
    assert "false_positive" in reasons_of(html, "label", "no_tumour")
    assert reasons_of(html, "choice", "adopt") == reasons_of(html, "label", "meningioma") == []


@pytest.mark.parametrize("act", ["final", "amend"])
def test_contradicting_reason_is_refused_in_words(locked, act):
    locked.reveal()
    said = {"label": "no_tumour", "certainty": "certain", "reason": "missed_lesion", "comment": "Hm."}
    if act == "amend":
        locked.final(choice="adopt")
        answer = locked.act("amend", **said)
    else:
        answer = locked.final(choice="other", **said)
    body = markup.unescape(answer.content.decode())
    assert answer.status_code == 400
    assert "“The AI missed a lesion” does not fit: you say No tumour, the AI Meningioma. Choose one of: " in body
    assert not Read.objects.filter(kind="final", label="no_tumour").exists()


def test_draft_with_a_contradicting_reason_is_refused(locked):
    locked.reveal()
    sent = {"claim_token": locked.token, "step": "final", "choice": "keep"}
    refused = locked.act("draft", **sent, reason="false_positive")
    assert refused.status_code == 400 and "does not fit" in refused.json()["sentence"]
    assert not Draft.objects.exists()
    assert locked.act("draft", **sent, reason="wrong_type").status_code == 200


# --- the words of the choices


def test_where_both_say_the_same_there_is_one_answer_to_confirm(desk):
    desk.lock(label="meningioma")
    html = desk.html()
    assert "Confirm Meningioma" in html and "Keep my read" not in re.sub(
        r"<aside.*", "", html.split("data-keys-panel")[0]
    )
    assert 'value="adopt"' not in html and "Change to…" in html
    assert desk.final(choice="keep").status_code == 302
    read = Read.objects.get(kind="final")
    assert (read.label, read.adopted, read.reason) == ("meningioma", False, "")


def test_where_they_differ_both_stand_beside_each_other(desk):
    desk.lock()
    html = desk.html()
    for words in ("Keep my read", "Accept AI", "Change to…"):
        assert words in html
    assert "Confirm " not in html
