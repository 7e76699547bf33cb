"""A study is one row of the worklist and one claim; its stacks are read blind before any AI result is shown."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnostics.cases.models import Case, CaseState, Stage
from diagnostics.reviews import reading, worklist
from diagnostics.reviews.errors import BlindReadsFirst, StaleClaim
from diagnostics.reviews.models import Claim, Read, ReadKind
from diagnostics.scans.access import Role
from diagnostics.scans.models import Priority, WorklistOrder
from portal.ui.paging import page_of
from tests.diagnostics.test_reviews import at_once
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ScanFactory,
    cases_of_study,
    person,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def reader(place):
    return person(Role.RADIOLOGIST, place)


def rows_of(user, tab, size=3, **narrowed):
    """The rows of a tab, page by page."""
    found, after = worklist.listed(user, tab, **narrowed), ""
    rows = []
    while True:
        page = page_of(found.cases, order=found.order, after=after, size=size, first=found.first)
        rows += page.rows
        after = page.after
        if not after:
            return rows


def live(user):
    return set(Claim.objects.filter(holder=user, released_at__isnull=True).values_list("case", flat=True))


def state(user, case, kind, label="tumour", **more):
    claim = Claim.objects.get(case=case, holder=user, released_at__isnull=True)
    return reading.record_read(
        by=user, case=case, claim_token=claim.token, kind=kind, label=label, certainty="certain", **more
    )


def test_study_is_one_row_that_opens_into_its_series(place, reader):
    single = CaseFactory(scan=ScanFactory(institution=place))
    stacks = cases_of_study(place, 4)
    rows = rows_of(reader, "unclaimed")
    assert {row.pk for row in rows} == {single.pk, stacks[0].pk}
    members = worklist.members_of_studies(worklist.listed(reader, "unclaimed"), rows)
    assert {study: [case.pk for case in cases] for study, cases in members.items()} == {
        stacks[0].study_id: [case.pk for case in stacks]
    }


@pytest.mark.parametrize("order", WorklistOrder.values)
@pytest.mark.parametrize("seed", range(4))
def test_each_study_stands_once_where_its_first_case_would(place, reader, order, seed):
    place.worklist_order, place.reading_mode = order, "concurrent"
    place.save()
    rng = random.Random(seed)
    for _number in range(rng.randint(2, 5)):
        cases_of_study(place, rng.randint(1, 4), priority=rng.choice(Priority.values))
    for _number in range(3):
        CaseFactory(scan=ScanFactory(institution=place, priority=rng.choice(Priority.values)))
    for case in Case.objects.all():
        Case.objects.filter(pk=case.pk).update(lane=rng.randint(0, 3), turn=rng.choice([0, 3, 7]))
    every = list(worklist.tab(reader, "unclaimed"))
    expected, seen = [], set()
    for case in every:
        if case.study_id is None or case.study_id not in seen:
            expected.append(case.pk)
            seen.add(case.study_id)
    assert [row.pk for row in rows_of(reader, "unclaimed", size=rng.randint(1, 3))] == expected
    assert len(expected) < len(every) or all(case.study_id is None for case in every)


def test_row_stands_for_what_is_left_when_a_part_of_the_study_is_elsewhere(place, reader):
    first, second, third = cases_of_study(place, 3)
    other = person(Role.RADIOLOGIST, place)
    worklist.claim(by=other, case=first)
    Case.objects.filter(pk=second.pk).update(state=CaseState.DONE, done_at=timezone.now())
    assert [row.pk for row in rows_of(reader, "unclaimed")] == [third.pk]
    assert [row.pk for row in rows_of(reader, "others")] == [first.pk]
    assert [row.pk for row in rows_of(reader, "done")] == [second.pk]
    assert [row.pk for row in rows_of(other, "mine")] == [first.pk]


def test_narrowed_list_has_a_row_for_what_meets_the_filter(place, reader):
    stacks = cases_of_study(place, 3)
    Case.objects.filter(pk=stacks[2].pk).update(analysis="failed")
    assert [row.pk for row in rows_of(reader, "unclaimed", analysis="failed")] == [stacks[2].pk]


def test_page_of_studies_asks_as_often_whatever_they_hold(place, reader):
    def asked():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = worklist.listed(reader, "unclaimed")
            page = page_of(found.cases, order=found.order, size=25, first=found.first)
            worklist.members_of_studies(found, page.rows)
        return len(queries)

    cases_of_study(place, 2)
    asked()  # whose places are looked up once
    few = asked()
    for _number in range(6):
        cases_of_study(place, 6)
    assert asked() == few


def test_one_claim_takes_what_waits_of_the_study_and_renewing_keeps_it(place, reader):
    stacks, alone = cases_of_study(place, 4), CaseFactory(scan=ScanFactory(institution=place))
    taken = person(Role.RADIOLOGIST, place)
    worklist.claim(by=taken, case=stacks[3])
    claim = worklist.claim_study(by=reader, case=stacks[1])
    assert claim.case == stacks[1]
    assert live(reader) == {case.pk for case in stacks[:3]} and live(taken) == {stacks[3].pk}
    Claim.objects.filter(holder=reader).update(expires_at=timezone.now() + timedelta(minutes=1))
    worklist.renew(by=reader, case=stacks[1], claim_token=claim.token)
    soon = timezone.now() + timedelta(minutes=5)
    assert Claim.objects.filter(holder=reader, expires_at__gt=soon).count() == 3
    assert alone.pk not in live(reader)


def test_read_next_goes_on_within_the_study(place, reader):
    place.reading_mode = "ai_hidden"
    place.save()
    stacks = cases_of_study(place, 3)
    urgent = CaseFactory(scan=ScanFactory(institution=place, priority=Priority.ROUTINE))
    order = []
    for _number in range(4):
        claim = worklist.claim_next_study(by=reader)
        order.append(claim.case_id)
        state(reader, claim.case, ReadKind.FINAL)
    assert set(order[:3]) == {case.pk for case in stacks} and order[3] == urgent.pk
    assert worklist.claim_next_study(by=reader) is None


def test_releasing_gives_back_what_is_unread_of_the_study(place, reader):
    stacks = cases_of_study(place, 3)
    claim = worklist.claim_study(by=reader, case=stacks[0])
    state(reader, stacks[2], ReadKind.BLIND)
    worklist.release_study(by=reader, case=stacks[0], claim_token=claim.token)
    assert live(reader) == {stacks[2].pk}
    with pytest.raises(StaleClaim):
        worklist.release_study(by=reader, case=stacks[0], claim_token=claim.token)


def test_taking_over_takes_the_study(place, reader):
    stacks = cases_of_study(place, 3)
    other = person(Role.RADIOLOGIST, place)
    worklist.claim_study(by=other, case=stacks[0])
    worklist.take_over_study(by=reader, case=stacks[1], reason="On leave.")
    assert live(reader) == {case.pk for case in stacks} and live(other) == set()


def test_readers_at_one_instant_share_no_case_and_miss_none(place):
    stacks = cases_of_study(place, 5)
    readers = [person(Role.RADIOLOGIST, place) for _number in range(5)]
    _claims, errors = at_once(readers, lambda by: worklist.claim_next_study(by=by))
    assert not errors
    held = [live(each) for each in readers]
    assert sum(map(len, held)) == 5 and set().union(*held) == {case.pk for case in stacks}


def test_two_claims_on_one_study_at_one_instant_end_without_a_deadlock(place):
    stacks = cases_of_study(place, 6)
    readers = [person(Role.RADIOLOGIST, place) for _number in range(6)]
    pairs = list(zip(readers, stacks, strict=True))
    at_once(pairs, lambda pair: worklist.claim_study(by=pair[0], case=pair[1]))
    held = [live(each) for each in readers]
    assert sum(map(len, held)) == 6 and set().union(*held) == {case.pk for case in stacks}


def test_no_ai_result_is_shown_before_all_held_series_are_read_blind(place, reader):
    stacks = cases_of_study(place, 3)
    for case in stacks:
        PredictionFactory(scan=case.scan)
    tokens = {}
    worklist.claim_study(by=reader, case=stacks[0])
    for claim in Claim.objects.filter(holder=reader):
        tokens[claim.case_id] = claim.token
    state(reader, stacks[0], ReadKind.BLIND)
    with pytest.raises(BlindReadsFirst) as refused:
        reading.reveal(by=reader, case=stacks[0], claim_token=tokens[stacks[0].pk])
    assert refused.value.sentence.startswith("First read the other series of this study blind: 2 are left.")
    assert reading.reveal_scans(by=reader, scans=[case.scan_id for case in stacks]) == set()
    with pytest.raises(BlindReadsFirst):
        reading.reveal_before_final(by=reader, case=stacks[0], claim_token=tokens[stacks[0].pk])
    state(reader, stacks[1], ReadKind.BLIND)
    state(reader, stacks[2], ReadKind.BLIND)
    assert not Read.objects.filter(revealed_at__isnull=False).exists()
    reading.reveal(by=reader, case=stacks[0], claim_token=tokens[stacks[0].pk])
    assert reading.reveal_scans(by=reader, scans=[stacks[1].scan_id]) == {stacks[1].scan_id}


def test_series_that_somebody_else_holds_keeps_no_result_back(place, reader):
    first, second = cases_of_study(place, 2)
    PredictionFactory(scan=first.scan)
    worklist.claim(by=person(Role.RADIOLOGIST, place), case=second)
    claim = worklist.claim_study(by=reader, case=first)
    state(reader, first, ReadKind.BLIND)
    assert reading.reveal(by=reader, case=first, claim_token=claim.token).revealed_at


def test_second_reader_claims_what_waits_for_a_second_read(place, reader):
    place.second_reader, place.reading_mode = "all", "ai_hidden"
    place.save()
    stacks = cases_of_study(place, 3)
    worklist.claim_study(by=reader, case=stacks[0])
    for case in stacks[:2]:
        state(reader, case, ReadKind.FINAL)
    second = person(Role.RADIOLOGIST, place)
    assert [row.pk for row in rows_of(second, "second")] == [stacks[0].pk]
    worklist.claim_study(by=second, case=Case.objects.get(pk=stacks[0].pk))
    assert live(second) == {stacks[0].pk, stacks[1].pk} and live(reader) == {stacks[2].pk}
    assert set(Claim.objects.filter(holder=second).values_list("stage", flat=True)) == {Stage.SECOND}


def test_dealing_out_a_row_deals_out_the_study(place, reader):
    stacks = cases_of_study(place, 3)
    worklist.claim(by=person(Role.RADIOLOGIST, place), case=stacks[2])
    judge = person(Role.ADJUDICATOR, place)
    dealt = worklist.assign(by=judge, cases=worklist.with_their_studies([stacks[0]]), to=reader)
    assert {case.pk for case in dealt} == {stacks[0].pk, stacks[1].pk}


def test_what_is_unfinished_is_named_once_a_study(place, reader):
    stacks, alone = cases_of_study(place, 3), CaseFactory(scan=ScanFactory(institution=place))
    worklist.claim_study(by=reader, case=stacks[0])
    worklist.claim_study(by=reader, case=alone)
    named = worklist.one_a_study(worklist.unfinished(reader))
    assert sorted(number for _claim, number in named) == [1, 3]
