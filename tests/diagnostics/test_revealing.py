"""The reveal is an act of its own: before it a blind read can be undone, after it it stands."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case
from diagnostics.reviews import queries, reading, worklist
from diagnostics.reviews.errors import AlreadyDone, InvalidRead, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim, Read
from diagnostics.reviews.visible_scans import opinion_for, visible_scan
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import ReadingMode
from tests import databases
from tests.factories import CaseFactory, InstitutionFactory, MembershipFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory()


@pytest.fixture
def anna(institution):
    return person(Role.RADIOLOGIST, institution, username="anna")


@pytest.fixture
def bert(institution):
    return person(Role.RADIOLOGIST, institution, username="bert")


@pytest.fixture
def case(institution):
    """An open case whose AI says "tumour"."""
    return CaseFactory(scan=PredictionFactory(scan=ScanFactory(institution=institution), p=0.94).scan)


def say(by, case, kind="blind", label="no_tumour", **more):
    token = worklist.claim(by=by, case=case).token
    return reading.record_read(
        by=by, case=case, claim_token=token, kind=kind, label=label, certainty="certain", **more
    )


def reveal(by, case):
    return reading.reveal(by=by, case=case, claim_token=worklist.claim(by=by, case=case).token)


def acts():
    return list(AuditEvent.objects.order_by("id").values_list("act", flat=True))


# --- the reveal


def test_reveal_is_kept_with_the_read_and_audited_once(case, anna):
    say(anna, case)
    before = timezone.now()
    assert opinion_for(visible_scan(anna, case.scan)) is None and queries.step_of(anna, case) == "reveal"
    first = reveal(anna, case)
    assert before <= Read.objects.get().revealed_at <= timezone.now()
    assert opinion_for(visible_scan(anna, case.scan)).label == "tumour" and queries.step_of(anna, case) == "final"
    assert reveal(anna, case).revealed_at == first.revealed_at
    assert acts().count("opinion_revealed") == 1
    event = AuditEvent.objects.get(act="opinion_revealed")
    assert (event.actor, event.detail["case"]) == (anna, str(case.pk))


def test_reveal_without_a_blind_read_or_without_the_claim_is_refused(case, anna, bert, institution):
    token = worklist.claim(by=anna, case=case).token
    with pytest.raises(WrongStage, match="Submit your blind read before"):
        reading.reveal(by=anna, case=case, claim_token=token)
    say(anna, case)
    with pytest.raises(StaleClaim):
        reading.reveal(by=bert, case=case, claim_token=token)
    with pytest.raises(NotAllowed):
        reading.reveal(by=person(Role.DATA_MANAGER, institution), case=case, claim_token=token)
    assert Read.objects.get().revealed_at is None


def test_reveal_to_one_reader_reveals_to_nobody_else(case, anna, bert):
    say(anna, case)
    reveal(anna, case)
    worklist.release(by=anna, case=case, claim_token=case.claims.get().token)
    say(bert, case)
    assert (
        opinion_for(visible_scan(bert, case.scan)) is None and opinion_for(visible_scan(anna, case.scan)) is not None
    )


def test_a_page_that_has_shown_no_opinion_ends_no_case(case, anna):
    say(anna, case)
    for seen in (None, case.scan.predictions.get().pk):
        with pytest.raises(WrongStage, match="Show the AI result first"):
            say(anna, case, "final", reason="false_positive", seen=seen)
    assert Read.objects.get().revealed_at is None


def test_a_program_s_final_read_reveals_even_where_it_is_refused(case, anna):
    """A refusal for want of a reason says that the AI says otherwise: nothing is undone after that."""
    read = say(anna, case)
    with pytest.raises(InvalidRead):
        say(anna, case, "final")
    assert Read.objects.get().revealed_at is not None
    with pytest.raises(WrongStage, match="has been shown"):
        pipeline.undo_read(by=anna, read=read)


def test_a_final_read_of_unknown_words_reveals_nothing(case, anna):
    say(anna, case)
    with pytest.raises(InvalidRead):
        say(anna, case, "final", label="lemon")
    assert Read.objects.get().revealed_at is None


# --- undo before it


def test_undo_of_a_blind_read_gives_the_form_back(case, anna):
    read = say(anna, case)
    Read.objects.filter(pk=read.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    claim = pipeline.undo_read(by=anna, read=read)
    assert claim.holder == anna and queries.step_of(anna, case) == "blind"
    assert not case.reads.exists() and Read.everything.get().withdrawn_at is not None, "the row stays"
    assert acts()[-1] == "blind_read_undone"
    say(anna, case, label="glioma")
    reveal(anna, case)
    assert say(anna, case, "final", label="glioma").case.reads.count() == 2


def test_undo_after_the_reveal_is_refused(case, anna):
    read = say(anna, case)
    reveal(anna, case)
    with pytest.raises(WrongStage, match="has been shown, so your blind read stands"):
        pipeline.undo_read(by=anna, read=read)
    assert case.reads.get() == read


def test_undo_of_another_s_blind_read_is_refused(case, anna, bert):
    read = say(anna, case)
    with pytest.raises(WrongStage, match="Only your own"):
        pipeline.undo_read(by=bert, read=read)


def test_undo_twice_is_refused(case, anna):
    read = say(anna, case)
    pipeline.undo_read(by=anna, read=read)
    with pytest.raises(WrongStage):
        pipeline.undo_read(by=anna, read=read)


def test_undo_after_the_claim_ran_out_claims_anew(case, anna):
    read = say(anna, case)
    Claim.objects.update(expires_at=timezone.now())
    assert pipeline.undo_read(by=anna, read=read).holder == anna
    assert queries.step_of(anna, case) == "blind"


def test_undo_after_somebody_took_the_case_over_is_refused(case, anna, bert):
    read = say(anna, case)
    worklist.take_over(by=bert, case=case, reason="Urgent.")
    with pytest.raises(WrongStage, match="has continued"):
        pipeline.undo_read(by=anna, read=read)
    say(bert, case)
    reveal(bert, case)
    say(bert, case, "final", reason="false_positive")
    with pytest.raises(WrongStage):
        pipeline.undo_read(by=anna, read=read)
    with pytest.raises(AlreadyDone):
        reading.reveal(by=anna, case=case, claim_token=read.claim.token)


@pytest.mark.parametrize("how", ["concurrent", "done elsewhere"])
def test_undo_by_somebody_who_sees_the_opinion_another_way_is_refused(case, anna, institution, how):
    read = say(anna, case)
    if how == "concurrent":
        institution.reading_mode = ReadingMode.CONCURRENT
        institution.save()
    else:
        Case.objects.filter(pk=case.pk).update(state="done", done_at=timezone.now())
    with pytest.raises(WrongStage):
        pipeline.undo_read(by=anna, read=read)


def test_a_control_s_blind_read_is_undone_as_any_other(case, anna):
    Case.objects.filter(pk=case.pk).update(control=True)
    assert pipeline.undo_read(by=anna, read=say(anna, case)).holder == anna


def test_reader_who_also_manages_data_stays_blind_until_the_reveal(case, anna, institution):
    MembershipFactory(user=anna, institution=institution, role=Role.DATA_MANAGER)
    say(anna, case)
    assert queries.is_blinded(anna, case.scan)
    reveal(anna, case)
    assert not queries.is_blinded(anna, case.scan)


# --- what a program asks for


def test_scans_are_revealed_only_where_a_blind_read_waits(case, anna, bert, institution):
    other = CaseFactory(scan=PredictionFactory(scan=ScanFactory(institution=institution)).scan)
    say(anna, case)
    ids = [case.scan_id, other.scan_id]
    assert reading.reveal_scans(by=bert, scans=ids) == set()
    assert reading.reveal_scans(by=anna, scans=ids) == {case.scan_id}
    assert reading.reveal_scans(by=anna, scans=ids) == {case.scan_id}, "also the second time"
    assert acts().count("opinion_revealed") == 1
    assert queries.is_blinded(anna, other.scan)


# --- data of before


@pytest.mark.slow  # tables go back by many migrations, and forth
@pytest.mark.django_db(transaction=True)
def test_blind_reads_of_before_were_revealed_when_they_were_locked(case, anna):
    read = say(anna, case)
    try:
        databases.migrated_to((("diagnostics", "0024_marks_know_the_shape_of_a_pixel"),))
    finally:
        call_command("migrate", interactive=False, verbosity=0)
    read.refresh_from_db()
    assert read.revealed_at == read.created_at
