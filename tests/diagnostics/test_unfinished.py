"""What a reader has begun comes before what is new: *Read next* gives it back, and the lists name it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from diagnostics.cases.models import Stage
from diagnostics.models import Claim
from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority, SecondReader
from tests.diagnostics.test_reviews import at_once
from tests.diagnostics.test_two_readers import disagreement, final, send_back
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def reader(place):
    return person(Role.RADIOLOGIST, place)


def waiting(place, priority=Priority.ROUTINE):
    return CaseFactory(scan=ScanFactory(institution=place, priority=priority))


def test_a_stat_case_that_was_claimed_and_left_comes_again(place, reader):
    stat, routine = waiting(place, Priority.STAT), waiting(place)
    left = worklist.claim_next(by=reader)
    assert left.case == stat
    for _ in range(2):
        again = worklist.claim_next(by=reader)
        assert (again.pk, again.case) == (left.pk, stat), "not the next one while this one is unread"
    assert not routine.claims.exists()
    assert worklist.claim_next(by=person(Role.RADIOLOGIST, place)).case == routine


def test_read_next_renews_the_claim_that_it_gives_back(place, reader):
    claim = ClaimFactory(case=waiting(place), holder=reader, expires_at=timezone.now() + timedelta(seconds=5))
    assert worklist.claim_next(by=reader).expires_at > timezone.now() + timedelta(minutes=20)
    claim.refresh_from_db()
    assert claim.expires_at > timezone.now() + timedelta(minutes=20)


def test_of_several_unfinished_cases_the_list_decides_which_is_first(place, reader):
    judge = person(Role.ADJUDICATOR, place)
    routine, stat, urgent = (waiting(place, each) for each in (Priority.ROUTINE, Priority.STAT, Priority.URGENT))
    new = waiting(place, Priority.STAT)
    ClaimFactory(case=routine, holder=reader)
    worklist.assign(by=judge, cases=[urgent], to=reader)
    ClaimFactory(case=stat, holder=reader)
    given = []
    for _ in range(4):
        claim = worklist.claim_next(by=reader)
        given.append(claim.case)
        for kind in ("blind", "final"):
            reading.record_read(
                by=reader, case=claim.case, claim_token=claim.token, kind=kind, label="tumour", certainty="certain"
            )
    assert given == [stat, urgent, routine, new]


def test_what_was_returned_comes_before_what_is_new(place):
    place.second_reader = SecondReader.ALL
    place.save()
    anna, bert, judge = (person(role, place) for role in (Role.RADIOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR))
    returned = waiting(place)
    PredictionFactory(scan=returned.scan, p=0.94)
    disagreement(returned, anna, bert)
    new = waiting(place, Priority.STAT)
    send_back(judge, returned, "b")
    assert worklist.claim_next(by=bert).case == returned
    assert worklist.claim_next(by=anna).case == new


def test_a_lease_that_ran_out_is_nobodys_again(place, reader):
    stat, routine = waiting(place, Priority.STAT), waiting(place)
    ClaimFactory(case=routine, holder=reader, expires_at=timezone.now() - timedelta(seconds=1))
    assert worklist.claim_next(by=reader).case == stat


def test_a_claim_of_a_seat_that_is_over_does_not_come_again(place, reader):
    """The first reader amended while the second held the case: it waits for an adjudicator now."""
    case, new = waiting(place), waiting(place)
    ClaimFactory(case=case, holder=reader, stage=Stage.SECOND)
    type(case).objects.filter(pk=case.pk).update(stage=Stage.ADJUDICATION, second_read="policy")
    assert worklist.claim_next(by=reader).case == new


def test_another_adjudicators_case_is_not_given_again(place):
    place.second_reader = SecondReader.ALL
    place.save()
    anna, bert = (person(Role.RADIOLOGIST, place) for _ in range(2))
    cases = [waiting(place) for _ in range(2)]
    for case in cases:
        PredictionFactory(scan=case.scan, p=0.94)
        disagreement(case, anna, bert)
    one, other = (person(Role.ADJUDICATOR, place) for _ in range(2))
    held = worklist.claim_next(by=one)
    assert worklist.claim_next(by=one).pk == held.pk
    assert worklist.claim_next(by=other).case != held.case


def test_unfinished_names_what_one_holds_and_nothing_else(place, reader):
    stat, routine = waiting(place, Priority.STAT), waiting(place)
    for case in (routine, stat):
        ClaimFactory(case=case, holder=reader)
    ClaimFactory(case=waiting(place))
    ClaimFactory(case=waiting(place), holder=reader, expires_at=timezone.now() - timedelta(seconds=1))
    ClaimFactory(case=CaseFactory(scan=ScanFactory(institution=place), done=True), holder=reader, ended=True)
    assert [claim.case for claim in worklist.unfinished(reader)] == [stat, routine]
    first = worklist.unfinished(reader)[0]
    worklist.release(by=reader, case=first.case, claim_token=first.token)
    assert [claim.case for claim in worklist.unfinished(reader)] == [routine]


def test_unfinished_ends_with_the_role(place, reader):
    ClaimFactory(case=waiting(place), holder=reader)
    reader.memberships.all().delete()
    assert worklist.unfinished(type(reader).objects.get(pk=reader.pk)) == []


def test_the_second_reader_is_given_their_case_again(place):
    place.second_reader = SecondReader.ALL
    place.save()
    anna, bert = (person(Role.RADIOLOGIST, place) for _ in range(2))
    case = waiting(place)
    PredictionFactory(scan=case.scan, p=0.94)
    final(anna, case)
    held = worklist.claim_next(by=bert)
    waiting(place, Priority.STAT)
    assert worklist.claim_next(by=bert).pk == held.pk


@pytest.mark.django_db(transaction=True)
def test_one_reader_pressing_many_times_at_once_gets_one_case():
    place = InstitutionFactory()
    for _ in range(8):
        waiting(place)
    reader = person(Role.RADIOLOGIST, place)
    claims, errors = at_once([reader] * 8, lambda by: worklist.claim_next(by=by))
    assert errors == []
    assert len({claim.pk for claim in claims}) == 1
    assert Claim.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_readers_with_unfinished_cases_pressing_at_once_keep_theirs_and_share_the_others():
    place = InstitutionFactory()
    readers = [person(Role.RADIOLOGIST, place) for _ in range(8)]
    own = {reader.pk: ClaimFactory(case=waiting(place), holder=reader).case_id for reader in readers[:4]}
    for _ in range(4):
        waiting(place)
    for _ in range(2):
        claims, errors = at_once(readers, lambda by: worklist.claim_next(by=by))
        assert errors == []
        assert len({claim.case_id for claim in claims}) == 8
        assert {claim.holder_id: claim.case_id for claim in claims if claim.holder_id in own} == own
    assert Claim.objects.filter(released_at__isnull=True).count() == 8
