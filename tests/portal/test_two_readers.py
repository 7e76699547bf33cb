"""Two readers on the reading page and in the worklist: who is shown what, and what is kept when it is refused."""

import pytest
from django.urls import reverse

from diagnostics.models import Case, Claim, Comment, Read
from diagnostics.reviews import reading
from diagnostics.scans.access import Role
from diagnostics.scans.models import Institution, SecondReader
from tests.diagnostics.test_two_readers import disagreement, final, send_back
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db
NAMES = ("anna", "bert")


@pytest.fixture
def place():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def people(place):
    named = [(Role.RADIOLOGIST, "anna"), (Role.RADIOLOGIST, "bert"), (Role.ADJUDICATOR, "judge")]
    return [person(role, place, username=name) for role, name in named]


@pytest.fixture
def case(place):
    scan = ScanFactory(institution=place, study__accession="ACC-1")
    PredictionFactory(scan=scan, p=0.9312, warnings=["canary"])
    return CaseFactory(scan=scan)


def test_page_of_the_adjudicator_names_nobody_and_shows_no_ai(case, people):
    disagreement(case, *people[:2])
    desk = Desk(case, people[2])
    desk.act("claim")
    html = desk.html()
    assert "Reader A" in html and "Reader B" in html and "blind of" in html.replace("anna", "").replace("bert", "")
    for leak in ("93 %", "canary", str(case.scan.predictions.get().pk), "adopted from", 'false_positive" selected'):
        assert leak not in html


def test_adjudicator_settles_and_goes_on(case, people):
    disagreement(case, *people[:2])
    desk = Desk(case, people[2])
    desk.act("claim")
    assert desk.act("adjudicate", claim_token=desk.token).status_code == 400
    said = {"claim_token": desk.token, "label": "glioma", "certainty": "certain", "then": "next"}
    answer = desk.act("adjudicate", **said)
    assert answer["Location"] == reverse("worklist:next")
    assert desk.act("adjudicate", **said).status_code in (400, 409), "twice is refused"
    case.refresh_from_db()
    assert case.state == "done" and Read.objects.filter(stage="adjudication").count() == 1


def test_adjudicator_returns_with_a_comment(case, people):
    disagreement(case, *people[:2])
    desk = Desk(case, people[2])
    desk.act("claim")
    refused = desk.act("return", claim_token=desk.token, reader="a", words=" ")
    assert refused.status_code == 400 and Claim.objects.filter(holder=people[2], released_at=None).exists()
    assert desk.act("return", claim_token=desk.token, reader="a", words="The falx.").status_code == 302
    anna = Desk(case, people[0])
    assert "This case was returned to you" in anna.html()
    anna.act("claim")
    html = anna.html()
    assert "The falx." in html and "Adjudicator" in html and "judge" not in html
    assert anna.act("answer", words="A vessel.").status_code == 200
    assert "A vessel." in Desk(case, people[2]).html() and "The falx." not in Desk(case, people[1]).html()


def test_recall_needs_a_reason(case, people):
    disagreement(case, *people[:2])
    send_back(people[2], case)
    desk = Desk(case, people[2])
    assert "Take back and resolve" in desk.html()
    assert desk.act("recall", why="").status_code == 400
    assert desk.act("recall", why="Urgent.").status_code == 302
    case.refresh_from_db()
    assert case.stage == "adjudication"


def test_asking_keeps_what_was_entered_for_the_read(case, people):
    Institution.objects.update(second_reader=SecondReader.NONE)
    desk = Desk(case, people[0])
    desk.act("claim")
    answer = desk.act("second-opinion", claim_token=desk.token, words="A cyst?", label="glioma", certainty="unsure")
    html = flat(answer.content.decode())
    assert answer.status_code == 200 and "You requested a second opinion" in html
    assert 'value="glioma" checked' in html
    assert Comment.objects.get().text == "A cyst?"
    refused = desk.act("second-opinion", claim_token=desk.token, words="Again?", label="glioma")
    assert refused.status_code == 409


def test_first_reader_waits_and_may_amend(case, people):
    final(people[0], case)
    desk = Desk(case, people[0])
    assert "A second reader now reads the case" in desk.html()
    said = {"label": "tumour", "certainty": "unsure", "comment": "Motion."}
    assert desk.act("amend", **said).status_code == 302
    assert Case.objects.get().stage == "second"
    assert "anna" not in Desk(case, people[1]).html()


def test_worklist_tabs_of_two_readers(client, case, people):
    Institution.objects.update(second_reader=SecondReader.NONE)
    client.force_login(people[2])
    shown = [key for key, _title, _count in client.get("/worklist/").context["tabs"]]
    assert shown == ["mine", "unclaimed", "others", "done"], "one reader: as ever"
    Institution.objects.update(second_reader=SecondReader.ALL)
    disagreement(Case.objects.get(), *people[:2])
    response = client.get("/worklist/", {"tab": "adjudicate"})
    html = flat(response.content.decode())
    assert {key: count for key, _title, count in response.context["tabs"]}["adjudicate"] == "1"
    assert "Resolve<span" in html and not [name for name in NAMES if name in html]
    claimed = client.post(reverse("worklist:claim", args=[case.pk]))
    assert claimed["Location"] == reverse("reading:case", args=[case.pk])
    for tab in ("second", "returned"):
        assert client.get("/worklist/", {"tab": tab}).status_code == 200


def test_read_next_gives_the_adjudicator_what_they_settle(client, case, people):
    disagreement(case, *people[:2])
    client.force_login(people[2])
    assert client.post(reverse("worklist:next"))["Location"] == reverse("reading:case", args=[case.pk])
    reading.record_read(
        by=people[2],
        case=case,
        claim_token=Claim.objects.get(holder=people[2]).token,
        kind="final",
        label="glioma",
        certainty="certain",
    )
    assert client.post(reverse("worklist:next"))["Location"] == reverse("worklist:list")
