"""Who may know the AI's opinion when: one table, asked of every query that can answer."""

import subprocess
import sys

import pytest
from django.conf import settings

from diagnostics.annotations.queries import timeline_of
from diagnostics.reviews import queries, reading, worklist
from diagnostics.reviews.visible_scans import VisibleScan, just_stored, opinion_for, scans_for, visible, visible_scan
from diagnostics.scans.access import Role
from diagnostics.scans.models import ReadingMode, Scan
from portal.accounts.models import User
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    MembershipFactory,
    PredictionFactory,
    ScanFactory,
    UserFactory,
    person,
)

pytestmark = pytest.mark.django_db


def history(user, case):
    return timeline_of(user, scans_for(user).filter(pk=case.scan_id).visible())


@pytest.fixture
def institution():
    return InstitutionFactory()


@pytest.fixture
def case(institution):
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan)
    return CaseFactory(scan=scan)


def blind_everywhere(user, case):
    """What each way of asking says; they must agree."""
    answers = {
        queries.is_blinded(user, case.scan),
        scans_for(user).get().blinded,
        queries.predictions_for(user).get().blinded,
        queries.cases_for(user).get().blinded,
        opinion_for(scans_for(user).visible()[0]) is None,
        opinion_for(visible_scan(user, case.scan)) is None,
        not any(moment.kind == "opinion" for moment in history(user, case)),
    }
    assert len(answers) == 1, answers
    return answers.pop()


def speak(by, case, kind="blind"):
    claim = worklist.claim(by=by, case=case)
    return reading.record_read(
        by=by, case=case, claim_token=claim.token, kind=kind, label="tumour", certainty="certain"
    )


@pytest.mark.parametrize(
    ("role", "open_case", "done_case"),
    [
        (Role.TECHNOLOGIST, True, False),
        (Role.RADIOLOGIST, True, False),
        (Role.ADJUDICATOR, True, False),
        (Role.DATA_MANAGER, False, False),
        (Role.ADMINISTRATOR, False, False),
    ],
)
def test_blind_by_role(role, open_case, done_case, case, institution):
    user = person(role, institution)
    assert blind_everywhere(user, case) is open_case
    reader = person(Role.RADIOLOGIST, institution)
    speak(reader, case)
    assert blind_everywhere(user, case) is open_case, "another's blind read unblinds nobody"
    speak(reader, case, "final")
    assert blind_everywhere(user, case) is done_case


def test_reveal_after_the_blind_read_unblinds_its_reader(case, institution):
    reader = person(Role.RADIOLOGIST, institution)
    claim = worklist.claim(by=reader, case=case)
    assert blind_everywhere(reader, case)
    speak(reader, case)
    assert blind_everywhere(reader, case), "locked, and still to be undone"
    reading.reveal(by=reader, case=case, claim_token=claim.token)
    assert not blind_everywhere(reader, case)


def test_reader_who_also_manages_data_stays_blind(case, institution):
    both = person(Role.RADIOLOGIST, institution)
    MembershipFactory(user=both, institution=institution, role=Role.DATA_MANAGER)
    assert blind_everywhere(both, case)


def test_superuser_sees_unless_reading(case, institution):
    root = UserFactory(is_superuser=True)
    assert not blind_everywhere(root, case)
    MembershipFactory(user=root, institution=institution, role=Role.RADIOLOGIST)
    assert blind_everywhere(User.objects.get(pk=root.pk), case), "at the next request"


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.DATA_MANAGER, Role.ADMINISTRATOR])
@pytest.mark.parametrize("also_reads", [False, True])
@pytest.mark.parametrize("mode", ReadingMode)
def test_answer_to_an_upload_is_blinded_as_the_lists_are(mode, also_reads, role, institution):
    institution.reading_mode = mode
    institution.save()
    by = person(role, institution)
    if also_reads:
        MembershipFactory(user=by, institution=institution, role=Role.RADIOLOGIST)
    scan = CaseFactory(scan=ScanFactory(institution=institution)).scan
    told = just_stored(by, scan, PredictionFactory(scan=scan))
    (listed,) = scans_for(by).visible()
    assert told.blinded is listed.blinded
    assert opinion_for(told) == opinion_for(listed)


@pytest.mark.parametrize(
    ("mode", "blind_with_claim"), [(ReadingMode.CONCURRENT, False), (ReadingMode.AI_HIDDEN, True)]
)
def test_blind_by_mode(mode, blind_with_claim, case, institution):
    institution.reading_mode = mode
    institution.save()
    reader = person(Role.RADIOLOGIST, institution)
    assert blind_everywhere(reader, case)
    worklist.claim(by=reader, case=case)
    assert blind_everywhere(reader, case) is blind_with_claim


def test_stranger_sees_nothing_at_all(case):
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    assert not scans_for(stranger).exists()
    assert not queries.predictions_for(stranger).exists()
    assert not queries.cases_for(stranger).exists()
    assert not queries.reads_for(stranger).exists()
    assert queries.is_blinded(stranger, case.scan) and visible_scan(stranger, case.scan) is None


def test_deactivated_person_sees_nothing(case, institution):
    gone = person(Role.ADMINISTRATOR, institution, is_active=False)
    assert not scans_for(gone).exists() and visible_scan(gone, case.scan) is None


def test_reads_of_an_open_case_are_hidden_from_other_readers(case, institution):
    reader, colleague = (person(Role.RADIOLOGIST, institution) for _ in range(2))
    speak(reader, case)
    assert queries.reads_for(reader).count() == 1
    assert not queries.reads_for(colleague).exists()
    assert queries.reads_for(person(Role.DATA_MANAGER, institution)).count() == 1
    speak(reader, case, "final")
    assert queries.reads_for(colleague).count() == 2


def test_scan_without_a_case_stays_hidden_from_readers(institution):
    """A labelled import may be mixed in as a known case later."""
    scan = PredictionFactory(scan=ScanFactory(institution=institution)).scan
    assert queries.is_blinded(person(Role.RADIOLOGIST, institution), scan)
    assert not queries.is_blinded(person(Role.DATA_MANAGER, institution), scan)


def test_lists_ask_the_same_number_of_queries_for_ten_and_thirty(institution):
    user = person(Role.RADIOLOGIST, institution)

    def look():
        for seen in scans_for(user).visible():
            opinion_for(seen)
        for case in worklist.tab(user, "unclaimed"):
            assert case.scan.patient.pseudonym and case.holder_id is None

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    look()  # a person's roles are asked for once and kept
    counts = []
    for more in (10, 20):
        for _ in range(more):
            CaseFactory(scan=PredictionFactory(scan=ScanFactory(institution=institution)).scan)
        with CaptureQueriesContext(connection) as caught:
            look()
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_plain_scan_leads_to_no_opinion(case, institution):
    manager = person(Role.DATA_MANAGER, institution)
    scan = Scan.objects.get(pk=case.scan_id)
    assert opinion_for(visible_scan(manager, scan)) is not None
    scan.blinded = None  # whatever may be set on it by mistake
    for plain in (scan, case.scan, None):
        with pytest.raises(TypeError):
            opinion_for(plain)
    for rows in ([scan], Scan.objects.all()):
        with pytest.raises(TypeError):
            visible(rows)
    with pytest.raises(TypeError):
        VisibleScan(scan, False, scan.predictions.get())


@pytest.mark.slow
def test_plain_scan_is_refused_by_its_type(tmp_path):
    code = tmp_path / "asks.py"
    code.write_text(
        "from diagnostics.reviews.visible_scans import VisibleScan, opinion_for\n"
        "from diagnostics.scans.models import Scan\n"
        "def right(seen: VisibleScan) -> None:\n    opinion_for(seen)\n"
        "def wrong(scan: Scan) -> None:\n    opinion_for(scan)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(code)], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=280
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(str(code)) and "error:" in line]
    assert len(found) == 1 and ':6: error: Argument 1 to "opinion_for" has incompatible type "Scan"' in found[0]
