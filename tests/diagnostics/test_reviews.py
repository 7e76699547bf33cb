"""Claim, blind read, reveal, final read, amend: what may happen in which order, and by whom."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import Case, CaseState
from diagnostics.reviews import labels, queries, reading, worklist
from diagnostics.reviews.errors import AlreadyClaimed, AlreadyDone, InvalidRead, StaleClaim, WrongStage
from diagnostics.reviews.models import Claim, Read
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import Priority, ReadingMode
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory()


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def case(institution):
    """An open case whose AI says "tumour"."""
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


def read(by, claim, kind, label="tumour", **more):
    return reading.record_read(
        by=by, case=claim.case, claim_token=claim.token, kind=kind, label=label, certainty="certain", **more
    )


def expire(claim):
    Claim.objects.filter(pk=claim.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_read_from_claim_to_done(reader, case):
    claim = worklist.claim_next(by=reader)
    assert claim.case == case and queries.step_of(reader, case) == "blind"
    blind = read(reader, claim, "blind", "no_tumour")
    assert queries.step_of(reader, case) == "reveal"
    reading.reveal(by=reader, case=case, claim_token=claim.token)
    assert queries.step_of(reader, case) == "final"
    final = read(reader, claim, "final", "tumour", may_train=True, heatmap_seen=True)
    case.refresh_from_db()
    assert case.state == CaseState.DONE and case.done_at is not None
    assert (blind.prediction, final.prediction.tumour_probability) == (None, 0.94)
    assert final.adopted and final.heatmap_seen and final.may_train
    assert Claim.objects.get().release == "done"
    assert queries.step_of(reader, case) == "done"
    assert list(AuditEvent.objects.order_by("id").values_list("act", flat=True)) == [
        "case_claimed",
        "read_recorded",
        "opinion_revealed",
        "read_recorded",
    ]


def test_final_before_blind_is_refused(reader, case):
    claim = worklist.claim(by=reader, case=case)
    with pytest.raises(WrongStage, match="Submit your blind read before"):
        read(reader, claim, "final")
    assert not Read.objects.exists()


def test_blind_twice_is_refused(reader, case):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind")
    with pytest.raises(WrongStage, match="already submitted"):
        read(reader, claim, "blind", "no_tumour")
    assert Read.objects.get().label == "tumour"


def test_final_that_differs_needs_a_reason(reader, case):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind", "no_tumour")
    with pytest.raises(InvalidRead) as caught:
        read(reader, claim, "final", "no_tumour")
    assert caught.value.field == "reason"
    with pytest.raises(InvalidRead) as caught:
        read(reader, claim, "final", "no_tumour", reason="other")
    assert caught.value.field == "comment"
    final = read(reader, claim, "final", "no_tumour", reason="false_positive")
    assert final.reason == "false_positive" and not final.adopted


@pytest.mark.parametrize(
    ("said", "ai", "expected"),
    [
        ("tumour", "glioma", False),
        ("glioma", "tumour", False),
        ("glioma", "glioma", False),
        ("glioma", "meningioma", True),
        ("no_tumour", "no_tumour", False),
        ("no_tumour", "glioma", True),
        ("tumour", "no_tumour", True),
        ("pituitary", "no_tumour", True),
        ("not_assessable", "no_tumour", True),
        ("out_of_scope", "glioma", True),
    ],
)
def test_differs_follows_the_label_tree(said, ai, expected):
    class Opinion:
        label = ai

    assert labels.differs(said, Opinion()) is expected
    assert labels.differs(said, None) is False


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"label": "lemon"}, "label"),
        ({"label": ""}, "label"),
        ({"certainty": "very"}, "certainty"),
        ({"kind": "second"}, "stage"),
        ({"reason": "because"}, "reason"),
        ({"reason": "artefact"}, "reason"),  # a blind read cannot differ from what it has not seen
        ({"comment": "x" * 4001}, "comment"),
    ],
)
def test_read_with_an_unknown_word_names_the_field(reader, case, words, field):
    claim = worklist.claim(by=reader, case=case)
    asked = {"kind": "blind", "label": "tumour", "certainty": "certain", **words}
    with pytest.raises(InvalidRead) as caught:
        reading.record_read(by=reader, case=case, claim_token=claim.token, **asked)
    assert caught.value.field == field and not Read.objects.exists()


def test_read_with_a_stale_or_foreign_claim_is_refused(reader, case, institution):
    claim = worklist.claim(by=reader, case=case)
    colleague = person(Role.RADIOLOGIST, institution)
    for by, token in ((colleague, claim.token), (reader, "no-token"), (reader, case.pk)):
        with pytest.raises(StaleClaim):
            reading.record_read(by=by, case=case, claim_token=token, kind="blind", label="tumour", certainty="certain")
    expire(claim)
    with pytest.raises(StaleClaim):
        read(reader, claim, "blind")
    assert not Read.objects.exists()


def test_read_of_a_done_case_is_refused(reader, case):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind")
    read(reader, claim, "final")
    with pytest.raises(AlreadyDone):
        read(reader, claim, "final")
    with pytest.raises(AlreadyDone):
        worklist.claim(by=reader, case=case)
    assert Read.objects.count() == 2


def test_claim_held_by_another_says_who_and_until_when(reader, case, institution):
    held = worklist.claim(by=reader, case=case)
    with pytest.raises(AlreadyClaimed) as caught:
        worklist.claim(by=person(Role.RADIOLOGIST, institution), case=case)
    assert caught.value.holder == reader and caught.value.until == held.expires_at
    assert reader.username in str(caught.value)


def test_claim_again_renews_ones_own(reader, case):
    first = worklist.claim(by=reader, case=case)
    again = worklist.claim(by=reader, case=case)
    assert again.pk == first.pk and again.expires_at >= first.expires_at


def test_expired_claim_frees_the_case(reader, case, institution):
    old = worklist.claim_next(by=reader)
    expire(old)
    colleague = person(Role.RADIOLOGIST, institution)
    assert worklist.claim_next(by=colleague).case == case
    old.refresh_from_db()
    assert old.release == "expired"
    with pytest.raises(StaleClaim):
        worklist.release(by=reader, case=case, claim_token=old.token)


def test_blind_read_outlives_an_expired_claim(reader, case):
    old = worklist.claim(by=reader, case=case)
    read(reader, old, "blind", "glioma")
    expire(old)
    again = worklist.claim(by=reader, case=case)
    assert queries.step_of(reader, case) == "reveal"
    assert read(reader, again, "final", "glioma").case.reads.count() == 2


def test_release_gives_the_case_back(reader, case):
    claim = worklist.claim(by=reader, case=case)
    worklist.release(by=reader, case=case, claim_token=claim.token)
    assert queries.step_of(reader, case) == "claim"
    assert worklist.claim_next(by=reader).case == case


def test_renew_extends_the_lease(reader, case):
    claim = worklist.claim(by=reader, case=case)
    Claim.objects.filter(pk=claim.pk).update(expires_at=timezone.now() + timedelta(seconds=5))
    assert worklist.renew(by=reader, case=case, claim_token=claim.token).expires_at > timezone.now() + timedelta(
        minutes=20
    )


def test_take_over_needs_a_reason_and_ends_the_others_claim(reader, case, institution):
    old = worklist.claim(by=reader, case=case)
    colleague = person(Role.RADIOLOGIST, institution)
    with pytest.raises(InvalidRead):
        worklist.take_over(by=colleague, case=case, reason="  ")
    new = worklist.take_over(by=colleague, case=case, reason="The holder is ill.")
    assert new.holder == colleague
    with pytest.raises(StaleClaim):
        read(reader, old, "blind")
    event = AuditEvent.objects.get(act="case_taken_over")
    assert event.detail["former_holder"] == reader.pk


def test_next_case_is_stat_first_then_the_oldest(reader, institution):
    made = [
        CaseFactory(scan=ScanFactory(institution=institution, priority=priority))
        for priority in (Priority.ROUTINE, Priority.URGENT, Priority.STAT, Priority.ROUTINE)
    ]
    readers = [reader, *(person(Role.RADIOLOGIST, institution) for _ in range(4))]
    order = [worklist.claim_next(by=by).case_id for by in readers[:4]]
    assert order == [made[2].pk, made[1].pk, made[0].pk, made[3].pk]
    assert worklist.claim_next(by=readers[4]) is None


def test_next_case_is_never_of_another_institution_nor_rejected(reader, institution):
    CaseFactory()
    CaseFactory(scan=ScanFactory(institution=institution, rejected_code="blank", rejected_reason="It is blank."))
    assert worklist.claim_next(by=reader) is None


@pytest.mark.parametrize("role", [role for role in Role if role != Role.RADIOLOGIST])
def test_claim_by_another_role_is_refused(role, case, institution):
    by = person(role, institution)
    for act in (lambda: worklist.claim_next(by=by), lambda: worklist.claim(by=by, case=case)):
        with pytest.raises(NotAllowed):
            act()


def test_claim_by_a_foreign_reader_is_refused(case):
    with pytest.raises(NotAllowed):
        worklist.claim(by=person(Role.RADIOLOGIST, InstitutionFactory()), case=case)


def test_amend_supersedes_and_keeps_the_former(reader, case):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind")
    final = read(reader, claim, "final", may_train=True)
    with pytest.raises(InvalidRead) as caught:
        reading.amend(by=reader, read=final, label="tumour", certainty="unsure")
    assert caught.value.field == "comment"
    amended = reading.amend(
        by=reader, read=final, label="no_tumour", certainty="probable", reason="false_positive", comment="Vessel."
    )
    assert (amended.revision, amended.label, amended.may_train) == (2, "no_tumour", True)
    final.refresh_from_db()
    assert final.label == "tumour"
    assert list(queries.latest(Read.objects.filter(kind="final"))) == [amended]
    with pytest.raises(WrongStage, match="newer revision"):
        reading.amend(by=reader, read=final, label="tumour", certainty="unsure", comment="Again.")


def test_amend_keeps_what_it_leaves_out_and_drops_a_reason_that_fits_no_more(reader, case):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind")
    final = read(reader, claim, "final", "no_tumour", reason="false_positive", may_train=True)
    kept = reading.amend(by=reader, read=final, comment="A vessel, on second thoughts.")
    assert (kept.label, kept.certainty, kept.reason, kept.may_train) == (
        final.label,
        final.certainty,
        "false_positive",
        True,
    )
    changed = reading.amend(by=reader, read=kept, label="tumour", comment="No vessel.", may_train=False)
    assert (changed.label, changed.reason, changed.may_train, changed.revision) == ("tumour", "", False, 3)


def test_amend_of_anothers_read_is_refused(reader, case, institution):
    claim = worklist.claim(by=reader, case=case)
    read(reader, claim, "blind")
    final = read(reader, claim, "final")
    with pytest.raises(WrongStage, match="own final read"):
        reading.amend(
            by=person(Role.RADIOLOGIST, institution), read=final, label="tumour", certainty="unsure", comment="x"
        )


def test_case_without_an_ai_result_is_read_all_the_same(reader, institution):
    scan = ScanFactory(institution=institution)
    PredictionFactory(scan=scan, failed=True)
    CaseFactory(scan=scan)
    claim = worklist.claim_next(by=reader)
    read(reader, claim, "blind", "glioma")
    final = read(reader, claim, "final", "glioma")
    assert final.prediction is None and not final.adopted


def test_opinion_that_landed_after_the_page_was_opened_is_not_stored_as_seen(reader, institution):
    scan = ScanFactory(institution=institution)
    CaseFactory(scan=scan)
    claim = worklist.claim_next(by=reader)
    read(reader, claim, "blind", "no_tumour")
    reading.reveal(by=reader, case=claim.case, claim_token=claim.token)
    opinion = PredictionFactory(scan=scan, p=0.94)
    with pytest.raises(WrongStage, match="arrived after you opened"):
        read(reader, claim, "final", "no_tumour", seen=None)
    final = read(reader, claim, "final", "tumour", seen=opinion.pk)
    assert final.prediction == opinion and final.adopted


@pytest.mark.parametrize("mode", [ReadingMode.CONCURRENT, ReadingMode.AI_HIDDEN])
def test_modes_without_a_blind_read_go_straight_to_the_final_one(reader, case, institution, mode):
    institution.reading_mode = mode
    institution.save()
    claim = worklist.claim_next(by=reader)
    with pytest.raises(WrongStage):
        read(reader, claim, "blind")
    final = read(reader, claim, "final", "tumour")
    assert final.mode == mode
    assert (final.prediction is None) == (mode == ReadingMode.AI_HIDDEN)


def test_expire_claims_ends_them_once(reader, case):
    expire(worklist.claim(by=reader, case=case))
    assert worklist.expire_claims() == 1
    assert worklist.expire_claims() == 0
    assert AuditEvent.objects.filter(act="claim_expired").count() == 1


def at_once(people, act):
    """Run ``act(person)`` for each in a thread of its own, all from the same instant; (results, errors)."""
    start = threading.Barrier(len(people))
    results, errors = [], []

    def run(by):
        try:
            start.wait(20)
            results.append(act(by))
        except Exception as error:  # noqa: BLE001 - the caller looks at them
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(by,)) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results, errors


@pytest.mark.django_db(transaction=True)
def test_readers_pressing_next_at_once_get_different_cases():
    institution = InstitutionFactory()
    scan = ScanFactory(institution=institution)
    for number in range(12):
        CaseFactory(scan=scan if number == 0 else ScanFactory(institution=institution))
    readers = [person(Role.RADIOLOGIST, institution) for _ in range(12)]
    claims, errors = at_once(readers, lambda by: worklist.claim_next(by=by))
    assert errors == []
    assert len({claim.case_id for claim in claims}) == 12
    assert Claim.objects.filter(released_at__isnull=True).count() == 12


@pytest.mark.django_db(transaction=True)
def test_submitting_one_read_many_times_at_once_records_one():
    institution = InstitutionFactory()
    reader = person(Role.RADIOLOGIST, institution)
    CaseFactory(scan=ScanFactory(institution=institution))
    claim = worklist.claim_next(by=reader)
    done, errors = at_once([reader] * 8, lambda by: read(by, claim, "blind"))
    assert len(done) == 1 and {type(error) for error in errors} == {WrongStage} and len(errors) == 7
    done, errors = at_once([reader] * 8, lambda by: read(by, claim, "final"))
    assert len(done) == 1 and len(errors) == 7
    assert {type(error) for error in errors} <= {AlreadyDone, StaleClaim}
    assert Case.objects.get().state == CaseState.DONE and Read.objects.count() == 2
