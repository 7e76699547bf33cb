"""Patients, one's own reads and the audit: what each person gets."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics.audit.models import AuditEvent
from diagnostics.audit.sentences import SENTENCES, sentence_of
from diagnostics.audit.services import record
from diagnostics.models import Institution, ModelVersion, Read
from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import Role
from portal.accounts.models import User
from tests import factories as made

pytestmark = pytest.mark.django_db


@pytest.fixture
def north() -> Institution:
    return made.InstitutionFactory(code="north")


def ready_case(north: Institution, **scan: Any):
    prediction = made.PredictionFactory(scan=made.ScanFactory(institution=north, **scan))
    return made.CaseFactory(scan=prediction.scan)


def read(by: User, case: Any, *, label: str = "no_tumour", final: bool = True) -> None:
    claim = worklist.claim(by=by, case=case)
    words = {"label": label, "certainty": "probable"}
    reading.record_read(by=by, case=case, claim_token=claim.token, kind="blind", **words)
    if final:
        reason = "false_positive" if label == "no_tumour" else ""
        reading.record_read(by=by, case=case, claim_token=claim.token, kind="final", reason=reason, **words)


# --- patients --------------------------------------------------------------------------------------------------------


def test_patients_are_found_by_the_beginning_of_their_pseudonym(client: Client, north: Institution) -> None:
    for pseudonym in ("P-0001", "P-0002", "Q-0001"):
        made.PatientFactory(institution=north, pseudonym=pseudonym)
    made.PatientFactory(pseudonym="P-0003")
    client.force_login(made.person(Role.RADIOLOGIST, north))
    rows = client.get("/history/patients/", {"patient": "p-0"}).context["rows"]
    assert [row.pseudonym for row in rows] == ["P-0001", "P-0002"]


def test_patients_pages_follow_each_other(client: Client, north: Institution) -> None:
    for number in range(60):
        made.PatientFactory(institution=north, pseudonym=f"P-{number:03}")
    client.force_login(made.person(Role.RADIOLOGIST, north))
    first = client.get("/history/patients/")
    second = client.get("/history/patients/", {"after": first.context["after"]})
    seen = [row.pseudonym for page in (first, second) for row in page.context["rows"]]
    assert seen == [f"P-{number:03}" for number in range(60)]


def test_patient_of_another_institution_is_not_there(client: Client, north: Institution) -> None:
    client.force_login(made.person(Role.ADMINISTRATOR, north))
    assert client.get(f"/history/patients/{made.PatientFactory().pk}/").status_code == 404


def test_patient_page_tells_reads_and_opinions_in_the_order_of_time(client: Client, north: Institution) -> None:
    case = ready_case(north)
    made.PredictionFactory(scan=case.scan, model_version=made.ModelVersionFactory(name="older"))
    rita = made.person(Role.RADIOLOGIST, north, username="rita")
    read(rita, case)
    client.force_login(rita)
    answer = client.get(f"/history/patients/{case.scan.patient_id}/")
    kinds = [row["moment"].kind for row in answer.context["moments"]]
    assert sorted(kinds) == ["handed_in", "opinion", "opinion", "read", "read"]
    assert kinds[:2] == ["read", "read"]
    times = [row["moment"].at for row in answer.context["moments"]]
    assert times == sorted(times, reverse=True)
    assert "older v" in answer.content.decode()


def test_patient_page_keeps_other_readers_words_from_a_reader_of_an_open_case(
    client: Client, north: Institution
) -> None:
    case = ready_case(north)
    read(made.person(Role.RADIOLOGIST, north, username="rita"), case, final=False)
    client.force_login(made.person(Role.RADIOLOGIST, north, username="other"))
    page = client.get(f"/history/patients/{case.scan.patient_id}/").content.decode()
    assert "Blind read" not in page
    assert "AI&#x27;s opinion" not in page


def test_patient_page_costs_the_same_for_two_scans_and_twenty(client: Client, north: Institution) -> None:
    patient = made.PatientFactory(institution=north)
    study = made.StudyFactory(patient=patient)
    rita = made.person(Role.RADIOLOGIST, north)

    def add(count: int) -> None:
        for _ in range(count):
            read(rita, ready_case(north, patient=patient, study=study))

    client.force_login(made.person(Role.ADMINISTRATOR, north))
    add(2)
    with CaptureQueriesContext(connection) as few:
        client.get(f"/history/patients/{patient.pk}/")
    add(18)
    with CaptureQueriesContext(connection) as many:
        client.get(f"/history/patients/{patient.pk}/")
    assert len(many) == len(few)


# --- own reads -------------------------------------------------------------------------------------------------------


def test_patient_page_shows_visits_in_time_with_labels_as_far_as_one_may_know(
    client: Client, north: Institution
) -> None:
    case = ready_case(north, study__date=date(2026, 1, 5))
    patient = case.scan.patient
    later = ready_case(north, patient=patient, study__date=date(2026, 3, 5), study__accession="ACC-LATER")
    rita, colleague = (made.person(Role.RADIOLOGIST, north) for _ in range(2))
    read(rita, case, label="glioma", final=False)
    Read.objects.filter(reader=rita).update(revealed_at=timezone.now())

    def chips(user: User) -> list[tuple[str, str, str]]:
        client.force_login(user)
        visits = client.get(f"/history/patients/{patient.pk}/").context["visits"]
        assert [visit.study.accession for visit in visits][0] == "ACC-LATER"
        return [(card.label, card.own, card.opinion_label) for visit in visits for card in visit.cards]

    assert chips(rita) == [("", "", ""), ("", "Glioma", "Tumour")]
    assert chips(colleague) == [("", "", ""), ("", "", "")]
    claim = worklist.claim(by=rita, case=case)
    reading.record_read(by=rita, case=case, claim_token=claim.token, kind="final", label="glioma", certainty="certain")
    assert chips(rita) == chips(colleague) == [("", "", ""), ("Glioma", "", "Tumour")]
    assert later.scan.patient == patient


def test_two_scans_of_a_patient_are_compared_the_earlier_on_the_left(client: Client, north: Institution) -> None:
    new = ready_case(north, study__date=date(2026, 3, 5)).scan
    old, third = (ready_case(north, patient=new.patient, study__date=date(2026, month, 5)).scan for month in (1, 2))
    client.force_login(made.person(Role.RADIOLOGIST, north))
    address = f"/history/patients/{new.patient_id}/compare/"
    answer = client.get(address, {"scan": [new.pk, old.pk]})
    assert (answer.context["scan"], answer.context["right"]) == (old, new)
    page = answer.content.decode()
    assert "Hidden until read" in page and "toy" not in page, "the AI's opinion is none of a blind reader's"
    for wanted in ([], [new.pk], [new.pk, new.pk], [new.pk, old.pk, third.pk]):
        assert client.get(address, {"scan": wanted})["Location"] == f"/history/patients/{new.patient_id}/"
    assert client.get(address, {"scan": ["x", "y"]}).status_code == 400
    foreign = made.ScanFactory(institution=north)
    assert client.get(address, {"scan": [new.pk, foreign.pk]}).status_code == 404, "another patient's"
    client.force_login(made.person(Role.ADMINISTRATOR, made.InstitutionFactory()))
    assert client.get(address, {"scan": [new.pk, old.pk]}).status_code == 404


def test_my_reads_show_the_ai_only_of_done_cases(client: Client, north: Institution) -> None:
    rita = made.person(Role.RADIOLOGIST, north)
    client.force_login(rita)
    read(rita, ready_case(north), final=False)
    page = client.get("/history/my-reads/")
    (row,) = page.context["rows"]
    assert (row["opinion_label"], row["differs"]) == ("", None)
    read(rita, ready_case(north))
    row, _ = client.get("/history/my-reads/").context["rows"]
    assert (row["opinion_label"], row["differs"], row["blind_label"]) == ("Tumour", True, "No tumour")


def test_my_reads_show_nobody_elses(client: Client, north: Institution) -> None:
    read(made.person(Role.RADIOLOGIST, north), ready_case(north))
    client.force_login(made.person(Role.RADIOLOGIST, north))
    page = client.get("/history/my-reads/")
    assert page.context["rows"] == []
    assert "/worklist/" in page.content.decode().split('class="empty"')[1]


def test_my_reads_show_an_amended_read_once(client: Client, north: Institution) -> None:
    rita = made.person(Role.RADIOLOGIST, north)
    case = ready_case(north)
    read(rita, case)
    reading.amend(
        by=rita, read=case.reads.get(kind="final"), label="tumour", certainty="certain", comment="Looked again."
    )
    client.force_login(rita)
    (row,) = client.get("/history/my-reads/").context["rows"]
    assert (row["read"].revision, row["read"].label) == (2, "tumour")


def test_my_reads_cost_the_same_for_one_row_and_ten(client: Client, north: Institution) -> None:
    rita = made.person(Role.RADIOLOGIST, north)
    client.force_login(rita)
    read(rita, ready_case(north))
    with CaptureQueriesContext(connection) as few:
        client.get("/history/my-reads/")
    for _ in range(9):
        read(rita, ready_case(north))
    with CaptureQueriesContext(connection) as many:
        client.get("/history/my-reads/")
    assert len(many) == len(few)


# --- who may ---------------------------------------------------------------------------------------------------------

EVERYBODY = {Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR, Role.DATA_MANAGER, Role.ADMINISTRATOR}
OPEN_TO = {
    "/history/patients/": EVERYBODY,
    "/history/my-reads/": {Role.RADIOLOGIST, Role.ADJUDICATOR},
    "/history/audit/": {Role.ADMINISTRATOR},
}


@pytest.mark.parametrize("path", OPEN_TO)
@pytest.mark.parametrize("role", [*sorted(EVERYBODY), None])
def test_page_is_open_to_the_right_roles(client: Client, north: Institution, path: str, role: Role | None) -> None:
    client.force_login(made.person(role, north) if role else made.UserFactory())
    assert client.get(path).status_code == (200 if role in OPEN_TO[path] else 403)


# --- audit -----------------------------------------------------------------------------------------------------------


def event(act: str, by: User | None, institution: Institution | None, target: Any = None, **detail: Any) -> AuditEvent:
    with transaction.atomic():
        return record(by=by, act=act, target=target or institution, institution=institution, **detail)


def test_audit_shows_one_institution_and_the_models(client: Client, north: Institution) -> None:
    ada = made.person(Role.ADMINISTRATOR, north, username="ada")
    here = event("signed_in", ada, north)
    model = event("model_registered", None, None, made.ModelVersionFactory(), number=1)
    event("signed_in", made.UserFactory(), made.InstitutionFactory())
    event("signed_in", None, None, made.UserFactory())
    client.force_login(ada)
    rows = client.get("/history/audit/").context["rows"]
    assert {row["event"].pk for row in rows} == {here.pk, model.pk}


def test_audit_shows_a_superuser_everything(client: Client, north: Institution) -> None:
    event("signed_in", None, north)
    event("signed_in", None, made.InstitutionFactory())
    client.force_login(made.UserFactory(is_superuser=True))
    assert len(client.get("/history/audit/").context["rows"]) == 2


def test_audit_filters_by_act_person_and_day(client: Client, north: Institution) -> None:
    ada = made.person(Role.ADMINISTRATOR, north, username="ada")
    rita = made.person(Role.RADIOLOGIST, north, username="rita")
    event("signed_in", ada, north)
    wanted = event("signed_out", rita, north)
    client.force_login(ada)
    today = wanted.at.date().isoformat()
    for filters in ({"act": "signed_out"}, {"person": "RIT"}, {"act": "signed_out", "since": today, "until": today}):
        assert [row["event"].pk for row in client.get("/history/audit/", filters).context["rows"]] == [wanted.pk]
    assert client.get("/history/audit/", {"until": "2020-01-01"}).context["rows"] == []
    assert client.get("/history/audit/", {"act": "danced"}).status_code == 400
    assert client.get("/history/audit/", {"since": "yesterday"}).status_code == 400


@pytest.mark.parametrize("act", SENTENCES)
def test_every_sentence_can_be_said(north: Institution, act: str) -> None:
    said = sentence_of(event(act, None, north))
    assert said
    assert "%" not in said


def test_sentence_carries_the_words_of_the_event(north: Institution) -> None:
    assert sentence_of(event("role_given", None, north, role="data_manager")) == (
        "assigned the role data manager to a person"
    )
    assert sentence_of(event("dataset_frozen", None, north, number=3)) == "froze dataset version 3"


def test_every_act_in_the_code_has_a_sentence() -> None:
    acts: set[str] = set()
    for source in [*settings.BASE_DIR.glob("diagnostics/**/*.py"), *settings.BASE_DIR.glob("portal/**/*.py")]:
        acts |= _acts_in(Path(source).read_text(encoding="utf-8"))
    assert {"scan_stored", "training_queued", "model_promoted", "signed_in"} <= acts
    assert acts - set(SENTENCES) == set()


def _acts_in(code: str) -> set[str]:
    """The words given as ``act=…`` to ``record``, or second to ``note`` of the training room."""
    given = re.findall(r"\bact=([^\n]*)", code) + re.findall(r"\bnote\(\s*\w+,\s*([^\n]*)", code)
    first = [part.split(", by=")[0] for part in given]
    return {word for part in first for word in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', part)}


def test_event_leads_to_what_it_is_about(client: Client, north: Institution) -> None:
    case = ready_case(north)
    event("case_opened", None, north, case)
    event("prediction_ready", None, north, case.scan.predictions.get(), scan=str(case.scan_id))
    client.force_login(made.person(Role.ADMINISTRATOR, north))
    addresses = [row["url"] for row in client.get("/history/audit/").context["rows"]]
    assert addresses == [f"/scans/{case.scan_id}/", f"/cases/{case.pk}/"]
    assert ModelVersion.objects.count() == 1
