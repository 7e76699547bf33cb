"""Drafts are their reader's alone; a read can be undone for seconds, and then counts nowhere."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import CaseState, Stage
from diagnostics.datasets.models import DatasetItem
from diagnostics.datasets.queries import new_labels_since
from diagnostics.reviews import double_reading, queries, reading, worklist
from diagnostics.reviews.errors import InvalidRead, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim, Draft, Read
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_two_readers import disagreement, final, send_back, settle
from tests.factories import (
    CaseFactory,
    DatasetVersionFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    person,
)

pytestmark = pytest.mark.django_db
SAID = {"label": "glioma", "comment": "Left temporal."}


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
def judge(institution):
    return person(Role.ADJUDICATOR, institution)


@pytest.fixture
def case(institution):
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def twice(institution):
    institution.second_reader = SecondReader.ALL
    institution.save()


def age(read, seconds):
    Read.objects.filter(pk=read.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))
    read.refresh_from_db()


# --- drafts


def test_draft_is_kept_once_and_for_its_reader_alone(case, anna, bert):
    claim = worklist.claim(by=anna, case=case)
    for label in ("glioma", "meningioma"):
        reading.save_draft(by=anna, case=case, claim_token=claim.token, entries={**SAID, "label": label})
    assert Draft.objects.get().entries["label"] == "meningioma"
    assert reading.draft_for(anna, case) is not None and reading.draft_for(bert, case) is None
    with pytest.raises(StaleClaim):
        reading.save_draft(by=bert, case=case, claim_token=claim.token, entries=SAID)
    with pytest.raises(InvalidRead):
        reading.save_draft(by=anna, case=case, claim_token=claim.token, entries={"comment": "x" * 10_001})


def test_draft_outlives_the_claim_and_is_dropped_when_the_read_is_given(case, anna):
    claim = worklist.claim(by=anna, case=case)
    reading.save_draft(by=anna, case=case, claim_token=claim.token, entries=SAID)
    Claim.objects.update(expires_at=timezone.now())
    claim = worklist.claim(by=anna, case=case)
    assert reading.draft_for(anna, case).entries == SAID
    said = {"by": anna, "case": case, "claim_token": claim.token, "label": "tumour", "certainty": "certain"}
    reading.record_read(kind="blind", **said)
    assert reading.draft_for(anna, case) is None
    reading.save_draft(by=anna, case=case, claim_token=claim.token, entries=SAID)
    reading.record_read(kind="final", **said)
    assert not Draft.objects.exists()


def test_one_draft_for_each_reader_is_held_by_the_database(case, anna):
    Draft.objects.create(case=case, reader=anna, entries={}, saved_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Draft.objects.create(case=case, reader=anna, entries={}, saved_at=timezone.now())


# --- undo


def test_undo_gives_the_case_back_as_it_was(case, anna, institution):
    read = final(anna, case, may_train=True)
    claim = pipeline.undo_read(by=anna, read=read)
    case.refresh_from_db()
    assert (case.state, case.done_at, case.stage) == (CaseState.OPEN, None, Stage.FIRST)
    assert claim.holder == anna and queries.step_of(anna, case) == "final"
    assert queries.own_final_read(anna, case) is None and case.reads.count() == 1
    assert not queries.deciding_reads().exists() and not queries.reads_for(anna).filter(kind="final").exists()
    assert new_labels_since(person(Role.DATA_MANAGER, institution), None) == 0
    assert Read.everything.get(pk=read.pk).withdrawn_at is not None, "the row stays"
    assert AuditEvent.objects.filter(act="read_undone").count() == 1
    again = final(anna, case)
    assert again.revision == 1 and case.state == CaseState.DONE


@pytest.mark.parametrize(("seconds", "allowed"), [(3, True), (13, False)])
def test_undo_is_for_seconds(case, anna, seconds, allowed):
    read = final(anna, case)
    age(read, seconds)
    assert (reading.undoable_read(anna) is not None) is allowed
    if allowed:
        pipeline.undo_read(by=anna, read=read)
    else:
        with pytest.raises(WrongStage, match="10 seconds"):
            pipeline.undo_read(by=anna, read=read)


def test_undo_of_anothers_read_or_of_a_blind_one_is_refused(case, anna, bert, judge):
    read = final(anna, case)
    with pytest.raises(WrongStage, match="own newest"):
        pipeline.undo_read(by=bert, read=read)
    with pytest.raises(NotAllowed):
        pipeline.undo_read(by=judge, read=read)
    with pytest.raises(WrongStage):
        pipeline.undo_read(by=anna, read=queries.own_blind_read(anna, case))


def test_undo_twice_is_refused(case, anna):
    read = final(anna, case)
    pipeline.undo_read(by=anna, read=read)
    with pytest.raises(WrongStage):
        pipeline.undo_read(by=anna, read=read)


def test_amendment_is_not_undone(case, anna):
    read = final(anna, case)
    amended = reading.amend(by=anna, read=read, label="tumour", certainty="unsure", comment="Motion.")
    for each in (read, amended):
        with pytest.raises(WrongStage):
            pipeline.undo_read(by=anna, read=each)


def test_undo_after_somebody_has_gone_on_is_refused(institution, case, anna, bert):
    twice(institution)
    case.refresh_from_db()
    read = final(anna, case)
    worklist.claim(by=bert, case=case)
    with pytest.raises(WrongStage, match="has continued"):
        pipeline.undo_read(by=anna, read=read)


def test_undo_of_a_first_read_takes_the_second_reader_away_again(institution, case, anna):
    twice(institution)
    case.refresh_from_db()
    pipeline.undo_read(by=anna, read=final(anna, case))
    case.refresh_from_db()
    assert (case.stage, case.second_read) == (Stage.FIRST, "")


def test_undo_keeps_that_a_second_opinion_was_asked_for(case, anna, bert):
    claim = worklist.claim(by=anna, case=case)
    double_reading.ask_second_opinion(by=anna, case=case, claim_token=claim.token, comment="A cyst?")
    pipeline.undo_read(by=anna, read=final(anna, case))
    case.refresh_from_db()
    assert (case.stage, case.second_read) == (Stage.FIRST, "asked")


def test_undo_of_a_second_read_or_of_a_settlement(institution, case, anna, bert, judge):
    twice(institution)
    case.refresh_from_db()
    final(anna, case, "tumour")
    age(Read.objects.get(kind="final"), 5)
    pipeline.undo_read(by=bert, read=final(bert, case, "no_tumour"))
    case.refresh_from_db()
    assert (case.state, case.stage) == (CaseState.OPEN, Stage.SECOND)
    final(bert, case, "no_tumour")
    pipeline.undo_read(by=judge, read=settle(judge, case))
    case.refresh_from_db()
    assert (case.state, case.stage) == (CaseState.OPEN, Stage.ADJUDICATION)
    assert queries.step_of(judge, case) == "adjudicate"


def test_undo_of_a_returned_read_returns_it_to_its_reader(institution, case, anna, bert, judge):
    twice(institution)
    case.refresh_from_db()
    disagreement(case, anna, bert)
    send_back(judge, case, "b")
    pipeline.undo_read(by=bert, read=final(bert, case, "tumour"))
    case.refresh_from_db()
    assert (case.state, case.stage, case.assigned_to) == (CaseState.OPEN, Stage.SECOND, bert)
    assert case.returned_at is not None and queries.own_final_read(bert, case).label == "no_tumour"


def test_undo_after_a_dataset_took_the_label_is_refused(institution, case, anna):
    read = final(anna, case, may_train=True)
    DatasetItem.objects.create(
        dataset=DatasetVersionFactory(institution=institution),
        scan=case.scan,
        read=read,
        label="tumour",
        label_source="read",
        split="train",
        group=0,
    )
    with pytest.raises(WrongStage, match="dataset"):
        pipeline.undo_read(by=anna, read=read)


def test_a_revealed_read_is_not_undone_says_the_database():
    assert ReadFactory(withdrawn_at=timezone.now()).revealed_at is None
    with pytest.raises(IntegrityError), transaction.atomic():
        ReadFactory(withdrawn_at=timezone.now(), revealed_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        ReadFactory(final=True, revealed_at=timezone.now())
