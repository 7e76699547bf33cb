"""The reading page: the order blind, reveal, final; what a reader may know when; nothing entered is lost."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Case, Claim, Prediction, Read
from diagnostics.reviews import worklist
from diagnostics.scans.access import Role
from diagnostics.scans.models import ReadingMode
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    person,
)
from tests.markup import flat

pytestmark = pytest.mark.django_db
SAID = {"label": "glioma", "certainty": "probable", "comment": "Left temporal."}
OPINION = {
    "label": "meningioma",
    "probabilities": {"meningioma": 0.8731, "glioma": 0.1, "no_tumour": 0.02, "pituitary": 0.0069},
    "p": 0.98,
    "warnings": ["out_of_distribution"],
    "heatmap": "heatmaps/x.png",
}


class Desk:
    """A reader before a case: asks for its page and its acts."""

    def __init__(self, case, user):
        self.case, self.user = case, user
        self.client = Client()
        self.client.force_login(user)

    @property
    def token(self):
        return str(Claim.objects.get(case=self.case, holder=self.user, released_at=None).token)

    def page(self):
        return self.client.get(reverse("reading:case", args=[self.case.pk]))

    def html(self):
        return flat(self.page().content.decode())

    def act(self, name, **data):
        return self.client.post(reverse(f"reading:{name}", args=[self.case.pk]), data)

    def blind(self, **data):
        return self.act("blind", **{"claim_token": self.token, **SAID, **data})

    def reveal(self):
        return self.act("reveal", claim_token=self.token)

    def lock(self, **data):
        """The blind read, and the AI's opinion after it."""
        assert self.blind(**data).status_code == 302
        assert self.reveal().status_code == 302

    def final(self, **data):
        shown = self.page().context["form"]["opinion"].value()
        return self.act("final", **{"claim_token": self.token, "opinion": shown, "certainty": "certain", **data})


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def desk(place):
    """A reader who has claimed a case whose analysis is ready."""
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan, **OPINION)
    claim = ClaimFactory(case=case)
    return Desk(case, claim.holder)


def secrets_of(case):
    """Every word by which a page could give the opinion away."""
    prediction = Prediction.objects.get(scan=case.scan)
    return [
        str(prediction.pk),
        "0.87",
        "87 %",
        "out_of_distribution",
        "unlike the training data",
        "heatmap.png",
        "data-heatmap",
        "data-reasons",
        "toy v",
        'value="adopt"',
    ]


def test_blinded_page_tells_nothing_of_the_opinion(desk):
    html = desk.html()
    assert [word for word in secrets_of(desk.case) if word in html] == []
    assert html.count("Meningioma") == 1  # the label that the reader may choose


@pytest.mark.parametrize("step", ["claim", "taken"])
def test_page_of_a_case_that_one_does_not_hold_tells_nothing(desk, place, step):
    if step == "claim":
        Claim.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    html = Desk(desk.case, person(Role.RADIOLOGIST, place)).html()
    assert [word for word in secrets_of(desk.case) if word in html] == []
    assert "Meningioma" not in html


def test_refused_blind_read_tells_nothing(desk):
    html = desk.blind(label="").content.decode()
    assert [word for word in secrets_of(desk.case) if word in html] == []


def test_final_read_before_the_blind_one(desk):
    response = desk.act("final", claim_token=desk.token, label="glioma", certainty="certain")
    assert response.status_code == 409
    assert not Read.objects.exists()
    assert [word for word in secrets_of(desk.case) if word in response.content.decode()] == []


def test_adopting_an_opinion_that_is_still_hidden(desk):
    response = desk.act("final", claim_token=desk.token, choice="adopt", certainty="certain")
    assert response.status_code == 400
    assert not Read.objects.exists()


def test_blind_read_is_locked_before_anything_is_revealed(desk):
    assert desk.blind().status_code == 302
    read = Read.objects.get()
    assert (read.kind, read.label, read.certainty, read.comment) == ("blind", "glioma", "probable", "Left temporal.")
    html = desk.html()
    assert [word for word in secrets_of(desk.case) if word in html] == []
    for words in ("Your blind read", "Glioma", "Left temporal.", "You can undo it until the AI result is shown."):
        assert words in html
    assert desk.reveal().status_code == 302
    html = desk.html()
    for words in (
        "87 %",
        "toy v1",
        "This image is unlike the training data.",
        "It shows influence, not lesion extent.",
        "Decision support for research. Not a diagnosis.",
        "Keep my read",
    ):
        assert words in html


def test_final_read_starts_unchosen(desk):
    desk.lock()
    form = desk.page().context["form"]
    assert form["choice"].value() is None
    assert form["label"].value() is None
    assert form["reason"].value() in (None, "")


def test_blind_read_twice(desk):
    desk.blind()
    response = desk.blind()
    assert response.status_code == 409
    assert "already submitted" in response.content.decode()
    assert Read.objects.count() == 1


def test_refusal_is_told_in_the_readers_language(desk):
    desk.user.language = "de"
    desk.user.save()
    desk.blind()
    response = desk.blind()
    assert response.status_code == 409
    assert "Ihr Blindbefund ist bereits abgegeben." in response.content.decode()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("label", "Choose a finding"), ("certainty", "Choose your confidence")],
)
def test_blind_read_left_incomplete(desk, missing, sentence):
    response = desk.blind(**{missing: ""})
    assert response.status_code == 400
    html = response.content.decode()
    assert sentence in html
    assert "Left temporal." in html  # what was entered is still there


@pytest.mark.parametrize(
    ("choice", "stored", "adopted"),
    [
        ({"choice": "keep", "reason": "wrong_type"}, "glioma", False),
        ({"choice": "adopt"}, "meningioma", True),
        ({"choice": "other", "label": "pituitary", "reason": "wrong_type"}, "pituitary", False),
        ({"choice": "other", "label": "tumour"}, "tumour", True),
        ({"label": "out_of_scope", "reason": "out_of_scope"}, "out_of_scope", False),
    ],
)
def test_final_read_by_choice(desk, choice, stored, adopted):
    desk.lock()
    response = desk.final(**choice, comment="Seen.", may_train="1", heatmap_seen="1")
    assert response["Location"] == reverse("reading:case", args=[desk.case.pk])
    read = Read.objects.get(kind="final")
    assert (read.label, read.adopted, read.may_train, read.heatmap_seen) == (stored, adopted, True, True)
    assert read.prediction == Prediction.objects.get()
    assert Case.objects.get().state == "done"


def test_reason_left_over_from_another_choice_is_none(desk):
    desk.lock()
    desk.final(choice="adopt", reason="wrong_type")
    assert Read.objects.get(kind="final").reason == ""


def test_final_read_without_having_looked_at_the_heat_map(desk):
    desk.lock()
    desk.final(choice="adopt", heatmap_seen="")
    read = Read.objects.get(kind="final")
    assert (read.heatmap_seen, read.may_train) == (False, False)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"choice": "keep"}, "Choose the best reason"),
        ({"choice": "keep", "reason": "other"}, "Name the other reason in the comment."),
        ({"choice": "other"}, "Choose the other label."),
        ({}, "Choose your final label."),
        ({"choice": "adopt", "certainty": ""}, "Choose your confidence"),
        ({"choice": "maybe"}, "Choose one of the answers on this page."),
    ],
)
def test_final_read_left_incomplete(desk, said, sentence):
    desk.lock()
    response = desk.final(**said)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert not Read.objects.filter(kind="final").exists()


def test_refused_final_read_keeps_what_was_entered(desk):
    desk.lock()
    form = desk.final(choice="keep", comment="Dural tail.", may_train="1", heatmap_seen="1").context["form"]
    kept = {name: form[name].value() for name in ("choice", "comment", "may_train", "heatmap_seen")}
    assert kept == {"choice": "keep", "comment": "Dural tail.", "may_train": True, "heatmap_seen": "1"}


def test_submit_and_next_opens_the_next_case(desk, place):
    following = CaseFactory(scan=ScanFactory(institution=place))
    desk.lock()
    shown = desk.page().context["form"]["opinion"].value()
    data = {"claim_token": desk.token, "opinion": shown, "certainty": "certain", "choice": "adopt", "then": "next"}
    response = desk.client.post(reverse("reading:final", args=[desk.case.pk]), data, follow=True)
    assert response.redirect_chain[-1][0] == reverse("reading:case", args=[following.pk])
    assert "Read recorded: Meningioma, certain." in response.content.decode()
    assert Claim.objects.get(case=following).holder == desk.user


def test_submit_and_next_after_the_last_case(desk):
    desk.lock()
    shown = desk.page().context["form"]["opinion"].value()
    data = {"claim_token": desk.token, "opinion": shown, "certainty": "certain", "choice": "adopt", "then": "next"}
    response = desk.client.post(reverse("reading:final", args=[desk.case.pk]), data, follow=True)
    assert response.redirect_chain[-1][0] == reverse("worklist:list")
    assert "No cases to read." in response.content.decode()


# --- the analysis is late, failed or hidden ---------------------------------------------------------------------


@pytest.fixture
def early(desk):
    """The same, while the analysis is still running."""
    Prediction.objects.all().delete()
    PredictionFactory(scan=desk.case.scan, queued=True)
    desk.lock()
    return desk


def land(scan):
    Prediction.objects.all().delete()
    return PredictionFactory(scan=scan, **OPINION)


def test_page_waits_for_an_opinion_that_is_late(early):
    html = early.html()
    assert "The analysis is running." in html
    assert 'hx-trigger="every 1s"' in html
    headers = {"HX-Request": "true"}
    address = reverse("reading:case", args=[early.case.pk])
    assert early.client.get(address, headers=headers).status_code == 204
    land(early.case.scan)
    landed = early.client.get(address, headers=headers).content.decode()
    assert "87 %" in landed
    assert "<html" not in landed


def test_final_read_while_the_analysis_runs(early):
    response = early.final(choice="keep")
    assert response.status_code == 400
    assert "Wait for it, or select this to finish without it." in response.content.decode()
    assert not Read.objects.filter(kind="final").exists()


def test_final_read_without_the_opinion_by_choice(early):
    assert early.final(choice="keep", without_ai="1").status_code == 302
    read = Read.objects.get(kind="final")
    assert (read.label, read.prediction) == ("glioma", None)


def test_opinion_that_lands_before_submitting_is_shown_first(early):
    shown = early.page().context["form"]["opinion"].value()
    land(early.case.scan)
    data = {"claim_token": early.token, "opinion": shown, "choice": "keep", "certainty": "unsure", "comment": "Hm."}
    response = early.act("final", **data, without_ai="1")
    assert response.status_code == 409
    html = response.content.decode()
    assert "87 %" in html
    assert "Hm." in html
    assert response.context["form"]["choice"].value() == "keep"
    assert not Read.objects.filter(kind="final").exists()


def test_final_read_after_a_failed_analysis(desk):
    Prediction.objects.all().delete()
    PredictionFactory(scan=desk.case.scan, failed=True)
    desk.lock()
    html = desk.html()
    assert "No AI result" in html
    assert "The analysis broke off. Retry it." in html
    assert desk.final(choice="keep").status_code == 302
    assert Read.objects.get(kind="final").prediction is None


@pytest.mark.parametrize(("mode", "sees"), [(ReadingMode.CONCURRENT, True), (ReadingMode.AI_HIDDEN, False)])
def test_final_read_where_there_is_no_blind_one(desk, place, mode, sees):
    place.reading_mode = mode
    place.save()
    assert ("87 %" in desk.html()) is sees
    reason = {"reason": "wrong_type"} if sees else {}
    assert desk.final(label="glioma", **reason).status_code == 302
    read = Read.objects.get()
    assert (read.kind, read.mode, read.prediction is not None) == ("final", mode, sees)


# --- the claim ----------------------------------------------------------------------------------------------------


def lapse():
    Claim.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_blind_read_after_the_claim_has_ended(desk):
    token = desk.token
    lapse()
    response = desk.act("blind", claim_token=token, **SAID)
    assert response.status_code == 409
    html = response.content.decode()
    assert "Your claim on this case has ended" in html
    assert "Left temporal." in html
    assert not Read.objects.exists()


def test_entries_come_back_when_the_case_is_claimed_again(desk):
    token = desk.token
    lapse()
    entries = desk.act("blind", claim_token=token, **SAID).context["entries"]
    response = desk.act("claim", **entries, kept="1")
    form = response.context["form"]
    assert {name: form[name].value() for name in SAID} == SAID
    assert form["claim_token"].value() == Claim.objects.get(released_at=None).token
    assert desk.blind().status_code == 302


def test_read_with_the_token_of_another_reader(desk, place):
    thief = Desk(desk.case, person(Role.RADIOLOGIST, place))
    response = thief.act("blind", claim_token=desk.token, **SAID)
    assert response.status_code == 409
    assert not Read.objects.exists()


def test_page_of_a_case_that_somebody_else_holds(desk, place):
    html = Desk(desk.case, person(Role.RADIOLOGIST, place)).html()
    assert f"{desk.user.username} has reserved this case until" in html
    assert reverse("reading:take-over", args=[desk.case.pk]) in html
    assert reverse("reading:blind", args=[desk.case.pk]) not in html


def test_take_over_with_a_reason(desk, place):
    other = Desk(desk.case, person(Role.RADIOLOGIST, place))
    assert other.act("take-over", why="She is off duty.").status_code == 302
    assert Claim.objects.get(released_at=None).holder == other.user


def test_take_over_without_a_reason(desk, place):
    other = Desk(desk.case, person(Role.RADIOLOGIST, place))
    response = other.act("take-over", why="  ")
    assert response.status_code == 400
    assert "Give a reason" in response.content.decode()
    assert Claim.objects.get(released_at=None).holder == desk.user


def test_release_puts_the_case_back(desk):
    assert desk.act("release", claim_token=desk.token)["Location"] == reverse("worklist:list")
    assert not Claim.objects.filter(released_at=None).exists()


def test_release_with_an_old_token(desk):
    assert desk.act("release", claim_token="4f6a").status_code == 409
    assert Claim.objects.filter(released_at=None).exists()


def test_renewal_extends_the_lease(desk):
    soon = timezone.now() + timedelta(minutes=1)
    Claim.objects.update(expires_at=soon)
    answer = desk.act("renew", claim_token=desk.token)
    assert answer.status_code == 200
    claim = Claim.objects.get()
    assert claim.expires_at > soon
    ends = {"expires_at": claim.expires_at.isoformat(), "until": f"{claim.expires_at:%H:%M}"}
    assert answer.json() == {**ends, "scan_revision": 1}


def test_renewal_of_a_claim_that_was_taken_over(desk, place):
    token = desk.token
    worklist.take_over(by=person(Role.RADIOLOGIST, place), case=desk.case, reason="Urgent.")
    answer = desk.act("renew", claim_token=token)
    assert answer.status_code == 409
    assert "taken over" in answer.json()["sentence"]


# --- afterwards, and who may look ---------------------------------------------------------------------------------


@pytest.fixture
def done(desk):
    desk.lock()
    desk.final(choice="adopt")
    return desk


def test_done_case_shows_reads_and_opinion_to_a_colleague(done, place):
    html = Desk(done.case, person(Role.RADIOLOGIST, place)).html()
    assert "changed to the AI's label" in html
    assert "87 %" in html
    assert "Amend my read" not in html


def test_amendment_stands_beside_the_former_read(done):
    data = {"label": "glioma", "certainty": "unsure", "reason": "wrong_type", "comment": "Looked again."}
    assert done.act("amend", **data).status_code == 302
    reads = Read.objects.filter(kind="final").order_by("revision")
    assert [(read.revision, read.label) for read in reads] == [(1, "meningioma"), (2, "glioma")]
    assert "revision 2" in done.html()


def test_amendment_to_the_label_of_the_ai_has_no_reason(done):
    # Were it kept, the history would say that the AI's label was adopted because the AI was wrong.
    for label, reason in (("glioma", "wrong_type"), ("meningioma", "")):
        done.act("amend", label=label, certainty="unsure", reason="wrong_type", comment="Looked again.")
        assert Read.objects.filter(kind="final").latest("revision").reason == reason


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [({"comment": ""}, "Give a reason for the amendment."), ({"reason": ""}, "Choose the best reason")],
)
def test_amendment_left_incomplete(done, changed, sentence):
    data = {"label": "glioma", "certainty": "unsure", "reason": "wrong_type", "comment": "Looked again.", **changed}
    response = done.act("amend", **data)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert Read.objects.filter(kind="final").count() == 1


def test_amendment_of_the_read_of_another(done, place):
    other = Desk(done.case, person(Role.RADIOLOGIST, place))
    assert other.act("amend", label="glioma", certainty="certain", comment="No.").status_code == 403
    assert Read.objects.filter(kind="final").count() == 1


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.TECHNOLOGIST, 403),
        (Role.RADIOLOGIST, 200),
        (Role.ADJUDICATOR, 200),
        (Role.DATA_MANAGER, 200),
        (Role.ADMINISTRATOR, 200),
    ],
)
def test_case_page_by_role(desk, place, role, status):
    assert Desk(desk.case, person(role, place)).page().status_code == status


def test_case_page_for_a_data_manager_is_for_looking_only(desk, place):
    html = Desk(desk.case, person(Role.DATA_MANAGER, place)).html()
    assert "87 %" in html
    for act in ("blind", "final", "claim", "take-over", "amend", "release"):
        assert f'action="{reverse(f"reading:{act}", args=[desk.case.pk])}"' not in html


ACTS = ("blind", "final", "claim", "take-over", "amend", "release", "renew")


@pytest.mark.parametrize("act", ACTS)
def test_acts_of_a_stranger(desk, act):
    stranger = Desk(desk.case, person(Role.RADIOLOGIST, InstitutionFactory()))
    response = stranger.act(act, claim_token=desk.token, **SAID, choice="other", why="Mine.")
    assert response.status_code == 404
    assert not Read.objects.exists()
    assert stranger.page().status_code == 404


@pytest.mark.parametrize("act", ["blind", "final", "claim", "take-over"])
@pytest.mark.parametrize("role", [Role.DATA_MANAGER, Role.ADJUDICATOR])
def test_acts_of_a_colleague_who_does_not_read(desk, place, act, role):
    other = Desk(desk.case, person(role, place))
    shown = other.page().context["page"].prediction
    data = {**SAID, "claim_token": desk.token, "why": "Mine.", "choice": "other", "opinion": shown.pk if shown else ""}
    assert other.act(act, **data).status_code == 403
    assert not Read.objects.exists()


@pytest.mark.parametrize("act", ACTS)
def test_acts_by_looking_only(desk, act):
    assert desk.client.get(reverse(f"reading:{act}", args=[desk.case.pk])).status_code == 405


def test_page_tells_what_happened_in_words(done):
    html = done.html()
    for words in ("Uploaded", "Blind read: Glioma, probable", "Final read: Meningioma, certain", "Left temporal."):
        assert words in html


def test_page_of_a_case_with_a_claim_that_lapsed_offers_it_again(desk):
    lapse()
    html = desk.html()
    assert "Unassigned" in html
    assert f'action="{reverse("reading:claim", args=[desk.case.pk])}"' in html


def test_blind_read_of_somebody_else_keeps_the_page_blind(place):
    read = ReadFactory(case=CaseFactory(scan=ScanFactory(institution=place)))
    PredictionFactory(scan=read.case.scan, **OPINION)
    lapse()
    other = Desk(read.case, person(Role.RADIOLOGIST, place))
    other.act("claim")
    html = other.html()
    assert [word for word in secrets_of(read.case) if word in html] == []
    assert "Blind read" not in html


def test_message_after_the_final_read_says_all_of_its_headline(desk):
    desk.lock()
    answer = desk.final(choice="other", label="glioma", laterality="left", reason="wrong_type")
    assert answer.status_code == 302
    assert "Read recorded: Glioma, left, certain." in desk.html()
