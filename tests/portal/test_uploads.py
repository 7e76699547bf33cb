"""Hand in scans, the list of them, one scan: what each person gets."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics.models import Institution, Prediction, Scan
from diagnostics.scans.access import Role
from portal.accounts.models import User
from tests import factories as made

pytestmark = pytest.mark.django_db
HAND_IN = "/scans/hand-in/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def north() -> Institution:
    return made.InstitutionFactory(code="north")


@pytest.fixture
def ted(north: Institution, client: Client) -> User:
    user = made.person(Role.TECHNOLOGIST, north, username="ted")
    client.force_login(user)
    return user


def file(seed: int = 1, name: str = "slice.png", data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, made.phantom(seed) if data is None else data)


def fields(**changes: Any) -> dict[str, Any]:
    return {"patient": "P-0042", "study_date": "", "accession": "", "priority": 2, **changes}


def hand_in(client: Client, *files: SimpleUploadedFile, json: bool = False, **changes: Any):
    headers = {"Accept": "application/json"} if json else {}
    return client.post(HAND_IN, {**fields(**changes), "files": list(files)}, headers=headers)


def test_hand_in_stores_queues_and_opens_a_case(client: Client, ted: User, north: Institution) -> None:
    made.live_model()
    answer = hand_in(client, file(), accession="ACC-1", study_date="2026-03-31", priority=0)
    scan = Scan.objects.get()
    assert f"/scans/{scan.pk}/" in answer.content.decode()
    assert (scan.institution, scan.uploaded_by, scan.patient.pseudonym, scan.priority) == (north, ted, "P-0042", 0)
    assert (scan.study.accession, str(scan.study.date)) == ("ACC-1", "2026-03-31")
    assert scan.predictions.get().state == "queued"
    assert scan.cases.get().state == "open"


def test_bad_files_are_refused_and_the_others_go_through(client: Client, ted: User) -> None:
    page = hand_in(
        client, file(1), file(data=b"", name="empty.png"), file(data=b"no picture", name="letter.png"), file(2)
    ).content.decode()
    assert Scan.objects.count() == 2
    assert page.count("outcome--refused") == 2
    assert page.count("outcome--stored") == 2


def test_same_content_under_another_patient_is_refused_by_name(client: Client, ted: User) -> None:
    hand_in(client, file())
    page = hand_in(client, file(), patient="P-other").content.decode()
    assert "Refused" in page and "already filed under" in page and "P-other" in page


def test_same_content_leads_to_the_scan_that_is_here(client: Client, ted: User) -> None:
    hand_in(client, file())
    page = hand_in(client, file()).content.decode()
    assert "Already uploaded" in page
    assert f"/scans/{Scan.objects.get().pk}/" in page


def test_too_large_file_is_refused_without_being_read(client: Client, ted: User, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1024
    page = hand_in(client, file()).content.decode()
    assert "larger than" in page
    assert not Scan.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"patient": ""}, "patient"),
        ({"patient": "Jane Doe"}, "patient"),
        ({"patient": "x" * 65}, "patient"),
        ({"study_date": "31.3.2026"}, "study_date"),
        ({"study_date": "1895-11-08"}, "study_date"),
        ({"study_date": str(timezone.localdate() + timedelta(days=2))}, "study_date"),
        ({"accession": "A" * 65}, "accession"),
        ({"priority": 9}, "priority"),
    ],
)
def test_wrong_field_is_named_with_what_it_accepts(
    client: Client, ted: User, changes: dict[str, Any], field: str
) -> None:
    answer = hand_in(client, file(), json=True, **changes)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert hand_in(client, file(), **changes).status_code == 400
    assert not Scan.objects.exists()


def test_no_file_is_said(client: Client, ted: User) -> None:
    answer = hand_in(client)
    assert answer.status_code == 400
    assert "Choose at least one file." in answer.content.decode()


def test_script_gets_the_outcome_of_its_file(client: Client, ted: User) -> None:
    made.live_model()
    kinds = [hand_in(client, one, json=True).json()["outcome"] for one in (file(1), file(1), file(data=b"x"))]
    assert kinds == ["stored", "known", "refused"]


def test_conflicting_study_date_refuses_only_its_file(client: Client, ted: User) -> None:
    hand_in(client, file(1), accession="ACC-1", study_date="2026-03-31")
    answer = hand_in(client, file(2), json=True, accession="ACC-1", study_date="2026-04-01").json()
    assert answer["outcome"] == "refused"
    assert "has the date 2026-03-31" in answer["html"]


def test_person_of_two_institutions_chooses_one_of_theirs(client: Client, ted: User) -> None:
    south = made.InstitutionFactory(code="south")
    made.InstitutionFactory(code="foreign")
    made.MembershipFactory(user=ted, institution=south, role=Role.TECHNOLOGIST)
    assert hand_in(client, file(), institution="foreign").status_code == 400
    assert hand_in(client, file()).status_code == 400
    hand_in(client, file(), institution="south")
    assert Scan.objects.get().institution == south


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.TECHNOLOGIST, 200),
        (Role.RADIOLOGIST, 403),
        (Role.ADJUDICATOR, 403),
        (Role.DATA_MANAGER, 200),
        (Role.ADMINISTRATOR, 200),
        (None, 403),
    ],
)
def test_hand_in_is_open_to_those_who_may(client: Client, north: Institution, role: Role | None, status: int) -> None:
    client.force_login(made.person(role, north) if role else made.UserFactory())
    assert client.get(HAND_IN).status_code == status
    assert hand_in(client, file()).status_code == status
    assert Scan.objects.exists() == (status == 200)


# --- list ------------------------------------------------------------------------------------------------------------


def scan_in(institution: Institution, state: str = "", **changes: Any) -> Scan:
    scan = made.ScanFactory(institution=institution, **changes)
    if state:
        made.PredictionFactory(scan=scan, **({} if state == "ready" else {state: True}))
    return scan


def test_list_holds_no_other_institution(client: Client, ted: User, north: Institution) -> None:
    here, there = scan_in(north), scan_in(made.InstitutionFactory())
    page = client.get("/scans/").content.decode()
    assert str(here.pk) in page
    assert str(there.pk) not in page
    assert there.patient.pseudonym not in page


@pytest.mark.parametrize("state", ["queued", "analysing", "ready", "failed", "rejected"])
def test_state_filter_gives_the_scans_in_that_state(client: Client, ted: User, north: Institution, state: str) -> None:
    scans = {
        "queued": scan_in(north, "queued"),
        "analysing": scan_in(north, "running"),
        "ready": scan_in(north, "ready"),
        "failed": scan_in(north, "failed"),
        "rejected": scan_in(north, "failed", rejected_code="blank", rejected_reason="The image is blank."),
    }
    page = client.get("/scans/", {"state": state}).content.decode()
    assert [name for name, scan in scans.items() if f"scan-{scan.pk}" in page] == [state]


@pytest.mark.parametrize(
    "query",
    [
        "state=broken", "priority=7", "after=nonsense", "after=x~y",
        # Times that leave the calendar in another zone, and one without a zone.
        "after=0001-01-01T00:00:00%2B23:59~00000000-0000-4000-8000-000000000000",
        "after=9999-12-31T23:59:59-23:59~00000000-0000-4000-8000-000000000000",
        "after=2026-01-01T00:00:00~00000000-0000-4000-8000-000000000000",
    ],
)  # fmt: skip
def test_filter_that_does_not_exist_is_400(client: Client, ted: User, query: str) -> None:
    assert client.get(f"/scans/?{query}").status_code == 400


def test_older_pages_show_each_scan_once(client: Client, ted: User, north: Institution) -> None:
    patient = made.PatientFactory(institution=north)
    study = made.StudyFactory(patient=patient)
    scans = [scan_in(north, patient=patient, study=study, uploaded_by=ted) for _ in range(30)]
    at = timezone.now()
    Scan.objects.update(created_at=at)  # all at the same instant: the id must decide
    first = client.get("/scans/")
    second = client.get("/scans/", {"after": first.context["after"]})
    seen = [row.scan.pk for page in (first, second) for row in page.context["rows"]]
    assert len(seen) == len(set(seen)) == len(scans)
    assert second.context["after"] == ""


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.TECHNOLOGIST, False),
        (Role.RADIOLOGIST, False),
        (Role.ADJUDICATOR, False),
        (Role.DATA_MANAGER, True),
        (Role.ADMINISTRATOR, True),
    ],
)
def test_opinion_is_hidden_from_whoever_is_blind(client: Client, north: Institution, role: Role, sees: bool) -> None:
    scan = scan_in(north, "ready")
    made.CaseFactory(scan=scan)
    Prediction.objects.update(tumour_probability=0.8765)
    client.force_login(made.person(role, north))
    for path in ("/scans/", f"/scans/{scan.pk}/", f"/history/patients/{scan.patient_id}/"):
        page = client.get(path).content.decode()
        assert ("88 %" in page or "AI: Tumour" in page) == sees, path
        assert "Decision support for research. Not a diagnosis." in page


def test_opinion_is_shown_to_everybody_once_the_case_is_done(client: Client, ted: User, north: Institution) -> None:
    scan = scan_in(north, "ready")
    made.CaseFactory(scan=scan, done=True)
    assert "94 %" in client.get("/scans/").content.decode()


def test_list_is_polled_only_while_something_is_under_way(client: Client, ted: User, north: Institution) -> None:
    scan = scan_in(north, "queued")
    page = client.get("/scans/")
    assert 'hx-trigger="every 1s"' in page.content.decode()
    headers = {**HTMX, "X-Seen": page.context["seen"], "X-Pace": "1s", "X-Since": str(page.context["since"])}
    assert client.get("/scans/", headers=headers).status_code == 204
    later = {**headers, "X-Since": str(page.context["since"] - 60)}
    assert 'hx-trigger="every 5s"' in client.get("/scans/", headers=later).content.decode()
    Prediction.objects.update(state="failed", failure="It broke.", finished_at=timezone.now())
    last = client.get("/scans/", headers=headers)
    assert last.status_code == 286
    assert "It broke." in last.content.decode()
    assert 'hx-trigger="every 1s"' not in client.get(f"/scans/{scan.pk}/").content.decode()


@pytest.mark.parametrize("path", ["/scans/", "/history/patients/", "/history/audit/"])
def test_lists_cost_the_same_for_ten_rows_and_a_hundred(
    client: Client, north: Institution, path: str, many_scans: Any
) -> None:
    client.force_login(made.person(Role.ADMINISTRATOR, north))
    many_scans(2)
    client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(path)
    many_scans(20)
    with CaptureQueriesContext(connection) as many:
        client.get(path)
    assert len(many) == len(few)


@pytest.fixture
def many_scans(north: Institution) -> Iterator[Any]:
    uploader = made.UserFactory()

    def make(count: int) -> None:
        for _ in range(count):
            scan = scan_in(north, "ready", uploaded_by=uploader)
            made.CaseFactory(scan=scan)
            from diagnostics.audit.services import record

            record(by=uploader, act="scan_stored", target=scan, institution=north)

    return make


# --- one scan --------------------------------------------------------------------------------------------------------


def test_scan_of_another_institution_is_not_there(client: Client, ted: User) -> None:
    scan = scan_in(made.InstitutionFactory(), "failed")
    assert client.get(f"/scans/{scan.pk}/").status_code == 404
    assert client.post(f"/scans/{scan.pk}/retry/").status_code == 404


def test_failed_scan_says_why_and_can_be_tried_again(client: Client, ted: User, north: Institution) -> None:
    scan = scan_in(north, "failed")
    page = client.get(f"/scans/{scan.pk}/").content.decode()
    assert "The analysis broke off." in page
    assert "Analyse again" in page
    assert client.post(f"/scans/{scan.pk}/retry/").headers["Location"] == f"/scans/{scan.pk}/"
    assert scan.predictions.get().state == "queued"
    again = client.post(f"/scans/{scan.pk}/retry/", follow=True).content.decode()
    assert "nothing to retry" in again


def test_rejected_scan_says_why_and_leads_to_another_upload(client: Client, ted: User, north: Institution) -> None:
    scan = scan_in(north, "failed", rejected_code="blank", rejected_reason="The image is blank.")
    page = client.get(f"/scans/{scan.pk}/").content.decode()
    assert "The image is blank." in page
    assert f"{HAND_IN}?patient={scan.patient.pseudonym}" in page


def test_empty_list_says_what_to_do_next(client: Client, ted: User, north: Institution) -> None:
    assert HAND_IN in client.get("/scans/").content.decode().split('class="empty"')[1]
    client.force_login(made.person(Role.RADIOLOGIST, north))
    assert "Scans that your institution uploads" in client.get("/scans/").content.decode()
    assert "Show all scans" in client.get("/scans/?patient=zzz").content.decode()


def test_what_an_opinion_warns_of_stands_in_the_list_and_on_the_scan(client: Client, north: Institution) -> None:
    scan = made.ScanFactory(institution=north)
    made.PredictionFactory(scan=scan, warnings=["out_of_distribution", "uncertain"])
    calm = made.ScanFactory(institution=north)
    made.PredictionFactory(scan=calm)
    client.force_login(made.person(Role.DATA_MANAGER, north))
    page = client.get("/scans/").content.decode()
    assert page.count("unlike the training data, uncertain") == 1
    page = client.get(f"/scans/{scan.pk}/").content.decode()
    assert "unlike the training data" in page and "the model is wrong more often" in page
    assert "banner--slim" not in client.get(f"/scans/{calm.pk}/").content.decode().split('id="scan"')[1]


def test_what_a_hidden_opinion_warns_of_is_hidden_too(client: Client, ted: User, north: Institution) -> None:
    scan = made.ScanFactory(institution=north)
    made.PredictionFactory(scan=scan, warnings=["out_of_distribution"])
    made.CaseFactory(scan=scan)
    for address in ("/scans/", f"/scans/{scan.pk}/"):
        assert "unlike" not in client.get(address).content.decode()
