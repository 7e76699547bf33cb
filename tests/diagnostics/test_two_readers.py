"""Two readers and an adjudicator: who reads what, who learns what when, and where a case goes."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from diagnostics.annotations.queries import timeline_of
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.datasets.labelling import labelled
from diagnostics.reviews import double_reading, queries, reading, thread, worklist
from diagnostics.reviews.errors import AlreadyDone, InvalidRead, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim, Read
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import Membership, ReadingMode, SecondReader
from tests.diagnostics.test_reviews import at_once
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    MembershipFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    person,
)

pytestmark = pytest.mark.django_db


def history(user, case):
    return timeline_of(user, scans_for(user).filter(pk=case.scan_id).visible())


@pytest.fixture
def institution():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def anna(institution):
    return person(Role.RADIOLOGIST, institution, username="anna")


@pytest.fixture
def bert(institution):
    return person(Role.RADIOLOGIST, institution, username="bert")


@pytest.fixture
def judge(institution):
    return person(Role.ADJUDICATOR, institution, username="judge")


@pytest.fixture
def case(institution):
    """An open case whose AI says "tumour"."""
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def final(by, case, label="tumour", *, blind=None, **more):
    """Claim, blind read (where it is still to be given), final read."""
    claim = worklist.claim(by=by, case=case)
    common = {"by": by, "case": case, "claim_token": claim.token, "certainty": "certain"}
    if queries.step_of(by, case) == "blind":
        reading.record_read(kind="blind", label=blind or label, comment=f"blind of {by}", **common)
    reason = "" if label == "tumour" else "false_positive"
    read = reading.record_read(kind="final", label=label, **{"reason": reason, **more}, **common)
    case.refresh_from_db()
    return read


def disagreement(case, anna, bert):
    final(anna, case, "tumour")
    final(bert, case, "no_tumour")
    return case


def settle(by, case, label="tumour", **more):
    claim = worklist.claim(by=by, case=case)
    read = reading.record_read(
        by=by, case=case, claim_token=claim.token, kind="final", label=label, certainty="certain", **more
    )
    case.refresh_from_db()
    return read


def send_back(judge, case, reader="a"):
    claim = worklist.claim(by=judge, case=case)
    said = {"reader": reader, "comment": "Look at the falx."}
    double_reading.return_case(by=judge, case=case, claim_token=claim.token, **said)
    case.refresh_from_db()


# --- who reads


def test_two_readers_who_agree_end_the_case(case, anna, bert):
    final(anna, case)
    assert (case.state, case.stage, case.second_read) == (CaseState.OPEN, Stage.SECOND, "policy")
    assert queries.step_of(anna, case) == "waiting"
    final(bert, case)
    assert (case.state, case.stage) == (CaseState.DONE, Stage.SECOND)
    assert [read.stage for read in Read.objects.filter(kind="final")] == ["first", "second"]


def test_first_reader_is_never_the_second(case, anna, bert):
    final(anna, case)
    assert worklist.claim_next(by=anna) is None
    with pytest.raises(WrongStage, match="somebody else"):
        worklist.claim(by=anna, case=case)
    with pytest.raises(WrongStage, match="somebody else"):
        worklist.take_over(by=anna, case=case, reason="I am quick.")
    claim = worklist.claim_next(by=bert)
    assert (claim.case, claim.stage) == (case, Stage.SECOND)


def test_blind_read_alone_does_not_bar_from_the_second_seat(case, anna, bert):
    claim = worklist.claim(by=bert, case=case)
    reading.record_read(by=bert, case=case, claim_token=claim.token, kind="blind", label="tumour", certainty="certain")
    worklist.release(by=bert, case=case, claim_token=claim.token)
    final(anna, case)
    assert worklist.claim_next(by=bert).case == case and queries.step_of(bert, case) == "reveal"


@pytest.mark.parametrize(("label", "ai", "expected"), [("tumour", 0.94, "done"), ("no_tumour", 0.94, "open")])
def test_policy_differs_sends_only_what_differs_to_a_second_reader(institution, anna, label, ai, expected):
    institution.second_reader = SecondReader.DIFFERS
    institution.save()
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=ai)
    case = CaseFactory(scan=scan)
    final(anna, case, label)
    assert case.state == expected


def test_policy_differs_without_an_ai_result_takes_one_reader(institution, anna):
    institution.second_reader = SecondReader.DIFFERS
    institution.save()
    case = CaseFactory(scan=ScanFactory(institution=institution))
    final(anna, case, "glioma", reason="")
    assert case.state == CaseState.DONE


@pytest.mark.parametrize(("number", "share", "expected"), [(9, 10, "open"), (10, 10, "done"), (0, 0, "done")])
def test_policy_share_draws_by_the_random_id(institution, anna, number, share, expected):
    institution.second_reader, institution.second_share = SecondReader.SHARE, share
    institution.save()
    case = CaseFactory(scan=ScanFactory(institution=institution), id=uuid.UUID(int=500 + number))
    final(anna, case)
    assert case.state == expected


def test_one_reader_institution_works_as_before(institution, anna, judge):
    institution.second_reader = SecondReader.NONE
    institution.save()
    case = CaseFactory(scan=ScanFactory(institution=institution))
    final(anna, case)
    assert (case.state, case.stage, case.second_read) == (CaseState.DONE, Stage.FIRST, "")
    with pytest.raises(NotAllowed):
        worklist.claim_next(by=judge)


# --- who learns what


def test_second_reader_is_blind_to_the_first_and_to_the_ai(case, anna, bert):
    final(anna, case, comment="The AI is right.")
    worklist.claim(by=bert, case=case)
    assert queries.step_of(bert, case) == "blind"
    assert not queries.reads_for(bert).exists()
    assert queries.is_blinded(bert, case.scan)
    assert [moment.kind for moment in history(bert, case) if moment.who == "anna"] == []


def test_adjudicator_sees_both_readers_unnamed_and_no_ai(case, anna, bert, judge):
    disagreement(case, anna, bert)
    assert reading.statements_for(judge, case) == [], "only whoever has claimed the case"
    worklist.claim(by=judge, case=case)
    said = reading.statements_for(judge, case)
    assert [(each.reader, each.said["label"], each.comment) for each in said] == [
        ("a", "tumour", "blind of anna"),
        ("b", "no_tumour", "blind of bert"),
    ]
    assert not any(name in repr([each.reader for each in said]) for name in ("anna", "bert"))
    assert queries.is_blinded(judge, case.scan) and not queries.reads_for(judge).exists()
    assert {moment.who for moment in history(judge, case)} & {
        "anna",
        "bert",
    } == set()
    settle(judge, case)
    assert not queries.is_blinded(judge, case.scan) and queries.reads_for(judge).count() == 5


def test_adjudicator_is_not_told_of_a_change_of_mind_that_would_give_the_ai_away(case, anna, bert, judge):
    final(anna, case, "tumour", blind="no_tumour", comment="The AI convinced me.")
    final(bert, case, "no_tumour")
    worklist.claim(by=judge, case=case)
    assert reading.statements_for(judge, case)[0].comment == ""


@pytest.mark.parametrize("mode", [ReadingMode.CONCURRENT, ReadingMode.AI_HIDDEN])
def test_adjudicator_is_blind_in_every_mode(institution, case, anna, bert, judge, mode):
    institution.reading_mode = mode
    institution.save()
    case.refresh_from_db()
    reason = "false_positive" if mode == ReadingMode.CONCURRENT else ""
    final(anna, case)
    final(bert, case, "no_tumour", reason=reason)
    worklist.claim(by=judge, case=case)
    assert queries.is_blinded(judge, case.scan)
    assert queries.is_blinded(anna, case.scan) is (mode == ReadingMode.AI_HIDDEN)


def test_comment_of_whoever_asks_is_hidden_from_the_second_reader(institution, case, anna, bert):
    institution.second_reader = SecondReader.NONE
    institution.save()
    case.refresh_from_db()
    claim = worklist.claim(by=anna, case=case)
    double_reading.ask_second_opinion(by=anna, case=case, claim_token=claim.token, comment="Glioma, or a cyst?")
    final(anna, case)
    assert (case.stage, case.second_read) == (Stage.SECOND, "asked")
    assert [remark.who for remark in thread.thread_of(anna, case)] == ["You"]
    assert thread.thread_of(bert, case) == []
    assert [remark.who for remark in thread.thread_of(person(Role.DATA_MANAGER, institution), case)] == ["anna"]
    assert thread.thread_of(person(Role.DATA_MANAGER, InstitutionFactory()), case) == []
    final(bert, case)
    assert [remark.text for remark in thread.thread_of(bert, case)] == ["Glioma, or a cyst?"]


# --- second opinions


def test_second_opinion_is_refused_where_nobody_could_give_it(institution, case, anna):
    institution.second_reader = SecondReader.NONE
    institution.save()
    claim = worklist.claim(by=anna, case=case)
    ask = {"by": anna, "case": case, "claim_token": claim.token}
    with pytest.raises(WrongStage, match="no other radiologist"):
        double_reading.ask_second_opinion(comment="A cyst?", **ask)
    person(Role.RADIOLOGIST, institution)
    with pytest.raises(InvalidRead):
        double_reading.ask_second_opinion(comment="  ", **ask)
    double_reading.ask_second_opinion(comment="A cyst?", **ask)
    with pytest.raises(WrongStage, match="already"):
        double_reading.ask_second_opinion(comment="A cyst?", **ask)


def test_second_opinion_needs_the_claim_and_the_first_seat(case, anna, bert):
    with pytest.raises(StaleClaim):
        double_reading.ask_second_opinion(by=anna, case=case, claim_token=uuid.uuid4(), comment="A cyst?")
    final(anna, case)
    claim = worklist.claim(by=bert, case=case)
    with pytest.raises(WrongStage, match="first reader"):
        double_reading.ask_second_opinion(by=bert, case=case, claim_token=claim.token, comment="A cyst?")


# --- disagreement


def test_disagreement_waits_for_an_adjudicator(case, anna, bert, judge):
    disagreement(case, anna, bert)
    assert (case.state, case.stage) == (CaseState.OPEN, Stage.ADJUDICATION)
    for reader in (anna, bert):
        assert worklist.claim_next(by=reader) is None
        with pytest.raises(NotAllowed):
            worklist.claim(by=reader, case=case)
    assert worklist.claim_next(by=judge).stage == Stage.ADJUDICATION


def test_adjudicators_word_settles_the_case(case, anna, bert, judge):
    disagreement(case, anna, bert)
    read = settle(judge, case, "glioma", may_train=True)
    assert (case.state, case.stage) == (CaseState.DONE, Stage.ADJUDICATION)
    assert (read.prediction, read.mode, read.adopted) == (None, "ai_hidden", False)
    assert queries.deciding_reads().get() == read
    told = [moment.sentence for moment in history(anna, case)]
    assert any(sentence.startswith("Adjudication: Glioma") for sentence in told)
    with pytest.raises(AlreadyDone):
        settle(judge, case)


def test_adjudicator_gives_a_final_read_only_and_no_reason(case, anna, bert, judge):
    disagreement(case, anna, bert)
    claim = worklist.claim(by=judge, case=case)
    said = {"by": judge, "case": case, "claim_token": claim.token, "label": "tumour", "certainty": "certain"}
    with pytest.raises(WrongStage):
        reading.record_read(kind="blind", **said)
    with pytest.raises(InvalidRead):
        reading.record_read(kind="final", reason="missed_lesion", **said)


def test_reader_who_is_also_an_adjudicator_does_not_settle_their_own_case(institution, case, anna, bert, judge):
    MembershipFactory(user=bert, institution=institution, role=Role.ADJUDICATOR)
    disagreement(case, anna, bert)
    assert worklist.claim_next(by=bert) is None
    with pytest.raises(WrongStage, match="read this case yourself"):
        worklist.claim(by=bert, case=case)
    assert worklist.claim_next(by=judge).case == case


def test_tumour_without_a_type_beside_a_type_is_a_disagreement(case, anna, bert):
    final(anna, case, "tumour")
    final(bert, case, "glioma", reason="")
    assert case.stage == Stage.ADJUDICATION


def test_claim_of_a_former_seat_opens_nothing(case, anna, bert):
    """A claim that was somehow left live when the case moved on is no key to the next seat."""
    late = ClaimFactory(case=case, holder=bert, stage=Stage.FIRST)
    Case.objects.filter(pk=case.pk).update(stage=Stage.SECOND, second_read="policy")
    with pytest.raises(StaleClaim):
        reading.record_read(
            by=bert, case=case, claim_token=late.token, kind="blind", label="tumour", certainty="certain"
        )


# --- returned


def test_returned_case_goes_to_the_same_reader_with_the_comment(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "b")
    assert (case.stage, case.assigned_to) == (Stage.SECOND, bert)
    assert Claim.objects.filter(holder=judge).get().release == "returned"
    assert (
        worklist.claim_next(by=anna) is None
        and worklist.claim_next(by=person(Role.RADIOLOGIST, case.institution)) is None
    )
    assert [(remark.who, remark.text) for remark in thread.thread_of(bert, case)] == [
        ("Adjudicator", "Look at the falx.")
    ]
    assert thread.thread_of(anna, case) == []
    assert worklist.claim_next(by=bert).case == case and queries.step_of(bert, case) == "final"


def test_returned_reader_who_comes_round_ends_the_case(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "b")
    worklist.claim(by=bert, case=case)
    double_reading.answer(by=bert, case=case, comment="A vessel after all.")
    assert [remark.who for remark in thread.thread_of(judge, case)] == ["You", "Reader B"]
    again = final(bert, case, "tumour")
    assert (again.revision, again.stage) == (2, Stage.SECOND)
    assert (case.state, case.stage, case.assigned_to, case.returned_at) == (CaseState.DONE, Stage.SECOND, None, None)
    assert Read.objects.filter(reader=bert, kind="final").count() == 2, "the former one stays"


def test_returned_reader_who_stands_by_it_sends_it_to_the_adjudicator_again(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "a")
    final(anna, case, "tumour")
    assert (case.state, case.stage, case.returned_at) == (CaseState.OPEN, Stage.ADJUDICATION, None)
    settle(judge, case)
    assert case.state == CaseState.DONE


def test_return_is_refused_to_somebody_who_reads_here_no_more(case, anna, bert, judge):
    disagreement(case, anna, bert)
    Membership.objects.filter(user=anna).delete()
    with pytest.raises(WrongStage, match="no longer reads here"):
        send_back(judge, case, "a")
    with pytest.raises(InvalidRead):
        send_back(judge, case, "c")


def test_recall_takes_a_returned_case_back(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "a")
    held = worklist.claim(by=anna, case=case)
    with pytest.raises(InvalidRead):
        double_reading.recall(by=judge, case=case, reason=" ")
    double_reading.recall(by=judge, case=case, reason="It is urgent.")
    case.refresh_from_db()
    assert (case.stage, case.assigned_to, case.returned_at) == (Stage.ADJUDICATION, None, None)
    held.refresh_from_db()
    assert held.release == "taken_over"
    with pytest.raises(WrongStage):
        double_reading.recall(by=judge, case=case, reason="Again.")


def test_answer_is_for_whom_the_case_was_returned_to(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "a")
    with pytest.raises(WrongStage):
        double_reading.answer(by=bert, case=case, comment="I was right.")


# --- amending


def test_amendment_that_makes_two_readers_disagree_opens_the_case_again(case, anna, bert, judge):
    first = final(anna, case)
    final(bert, case)
    reading.amend(
        by=anna, read=first, label="no_tumour", certainty="certain", reason="false_positive", comment="A vessel."
    )
    case.refresh_from_db()
    assert (case.state, case.stage, case.done_at) == (CaseState.OPEN, Stage.ADJUDICATION, None)
    assert not queries.deciding_reads().exists(), "nothing trains while it is unsettled"
    assert worklist.claim_next(by=judge).case == case


def test_amendment_of_what_was_settled_changes_nothing_of_it(case, anna, bert, judge):
    disagreement(case, anna, bert)
    with pytest.raises(WrongStage, match="awaiting adjudication"):
        reading.amend(
            by=anna, read=queries.own_final_read(anna, case), label="glioma", certainty="certain", comment="x"
        )
    word = settle(judge, case, "no_tumour")
    reading.amend(by=anna, read=queries.own_final_read(anna, case), label="glioma", certainty="certain", comment="x")
    case.refresh_from_db()
    assert case.state == CaseState.DONE and queries.deciding_reads().get() == word


# --- what becomes of it


@pytest.mark.parametrize(
    ("first", "second", "trains", "source"),
    [
        ({"may_train": True}, {"may_train": True}, True, "read"),
        ({"may_train": False}, {"may_train": True}, False, ""),
        ({"may_train": True, "blind": "no_tumour"}, {"may_train": True}, True, "read"),
        ({"may_train": True, "blind": "no_tumour"}, {"may_train": True, "blind": "no_tumour"}, True, "adopted"),
    ],
)
def test_label_of_two_readers_trains_where_both_let_it(institution, case, anna, bert, first, second, trains, source):
    final(anna, case, **first)
    manager = person(Role.DATA_MANAGER, institution)
    asked = {"by": manager, "institutions": [institution], "imported": True, "demo": True}
    assert labelled(**asked)[0] == [], "one of two reads is no label"
    final(bert, case, **second)
    found = labelled(**asked)[0]
    assert [each.source for each in found] == ([source] if trains else [])


def test_worklist_tabs_part_the_cases_and_count_them(institution, anna, bert, judge):
    def new():
        return CaseFactory(scan=ScanFactory(institution=institution))

    fresh, mine, second, split, back = new(), new(), new(), new(), new()
    worklist.claim(by=bert, case=mine)
    final(anna, second)
    for case in (split, back):
        final(anna, case, "tumour")
        final(bert, case, "no_tumour", reason="")
    send_back(judge, back, "b")
    expected = {
        anna: {"unclaimed": [fresh], "others": [mine, second, split, back]},
        bert: {"unclaimed": [fresh], "mine": [mine], "second": [second], "others": [split], "returned": [back]},
        judge: {"unclaimed": [fresh], "others": [mine], "second": [second], "adjudicate": [split], "returned": [back]},
    }
    for user, tabs in expected.items():
        counts = worklist.tab_counts(user)
        for name in worklist.TABS:
            for count in (None, counts[name]):
                listed = worklist.listed(user, name, count=count)
                assert list(listed.first(listed.cases, 9)) == tabs.get(name, []), f"{name} of {user}"
            assert list(worklist.tab(user, name)) == tabs.get(name, []), f"{name} of {user}"
            assert counts[name] == len(tabs.get(name, [])), f"{name} of {user}"
        assert counts["all"] == 5


def test_each_act_is_audited_in_words_that_tell_nothing_of_the_ai(case, anna, bert, judge):
    disagreement(case, anna, bert)
    send_back(judge, case, "a")
    double_reading.recall(by=judge, case=case, reason="Urgent.")
    acts = list(AuditEvent.objects.order_by("id").values_list("act", flat=True))
    for act in ("second_read_wanted", "readers_disagree", "case_returned", "case_recalled"):
        assert acts.count(act) == 1
    assert "policy" not in str(list(AuditEvent.objects.values_list("detail", flat=True)))


# --- the database holds it

BROKEN = {
    "a second seat has a reason": lambda: CaseFactory(stage="second"),
    "a known seat": lambda: CaseFactory(stage="third", second_read="policy"),
    "returned to somebody": lambda: CaseFactory(returned_at=CaseFactory().opened_at, second_read="policy"),
    "a done case waits for nobody": lambda: CaseFactory(done=True, assigned_to=CaseFactory().scan.uploaded_by),
    "an adjudicator is blind": lambda: ReadFactory(final=True, stage="adjudication", prediction=PredictionFactory()),
    "an adjudicator gives final reads": lambda: ReadFactory(stage="adjudication"),
    "hidden AI picks nobody": lambda: InstitutionFactory(reading_mode="ai_hidden", second_reader="differs"),
    "a share is in percent": lambda: InstitutionFactory(second_share=101),
    "a known policy": lambda: InstitutionFactory(second_reader="three"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_database_refuses_to_break(what):
    with pytest.raises(IntegrityError), transaction.atomic():
        BROKEN[what]()


def test_database_refuses_two_people_in_one_seat():
    first = ReadFactory(final=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReadFactory(final=True, case=first.case)
    ReadFactory(final=True, case=first.case, stage="second")


@pytest.mark.django_db(transaction=True)
def test_second_readers_pressing_next_at_once_get_different_cases():
    institution = InstitutionFactory(second_reader=SecondReader.ALL)
    anna = person(Role.RADIOLOGIST, institution)
    for _ in range(6):
        final(anna, CaseFactory(scan=ScanFactory(institution=institution)), reason="")
    readers = [anna, *(person(Role.RADIOLOGIST, institution) for _ in range(7))]
    claims, errors = at_once(readers, lambda by: worklist.claim_next(by=by))
    assert errors == []
    held = [claim for claim in claims if claim is not None]
    assert len(held) == len({claim.case_id for claim in held}) == 6
    assert anna.pk not in {claim.holder_id for claim in held}
