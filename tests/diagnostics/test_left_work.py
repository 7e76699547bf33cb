"""Somebody leaves: their claims end at once, their cases go to others, nothing waits for nobody unseen."""

import pytest

from diagnostics import tasks
from diagnostics.audit.models import AuditEvent
from diagnostics.cases.models import CaseState, Stage
from diagnostics.models import Claim, Membership
from diagnostics.notifications.models import Kind, Notification
from diagnostics.reviews import double_reading, worklist
from diagnostics.reviews.errors import InvalidRead, WrongStage
from diagnostics.scans import people
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.filing import InvalidEntry
from diagnostics.scans.models import SecondReader
from portal.accounts.models import User
from tests.diagnostics.test_two_readers import disagreement, final, send_back
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def crew(place):
    """anna, bert (radiologists), judge, boss."""
    roles = {"anna": Role.RADIOLOGIST, "bert": Role.RADIOLOGIST, "judge": Role.ADJUDICATOR, "boss": Role.ADMINISTRATOR}
    return [person(role, place, username=name) for name, role in roles.items()]


def waiting(place):
    case = CaseFactory(scan=ScanFactory(institution=place))
    PredictionFactory(scan=case.scan, p=0.94)
    return case


def fresh(user):
    return User.objects.get(pk=user.pk)


def deactivated(user, boss, **more):
    people.deactivate(by=boss, user=user, **more)


def role_taken(user, boss, **more):
    people.remove_member(by=boss, membership=user.memberships.get(), **more)


LEAVING = [deactivated, role_taken]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_claim_ends_at_once_and_the_case_is_free(place, crew, leave):
    anna, bert, _judge, boss = crew
    case = waiting(place)
    claim = worklist.claim(by=anna, case=case)
    leave(anna, boss)
    claim.refresh_from_db()
    assert claim.release == "left" and claim.released_at is not None
    assert worklist.claim_next(by=bert).case == case
    assert AuditEvent.objects.filter(act="claim_ended").count() == 1


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("named", [False, True])
def test_what_was_assigned_goes_back_to_everybody_or_to_the_named_reader(place, crew, leave, named):
    anna, bert, judge, boss = crew
    assigned, held = waiting(place), waiting(place)
    worklist.assign(by=judge, cases=[assigned], to=anna)
    worklist.claim(by=anna, case=held)
    leave(anna, boss, **({"work_to": bert} if named else {}))
    for case in (assigned, held):
        case.refresh_from_db()
        assert case.assigned_to == (bert if named else None)
    assert worklist.claim_next(by=bert).case == assigned
    told = Notification.objects.filter(recipient=bert, kind=Kind.ASSIGNED)
    assert told.count() == (2 if named else 0)


@pytest.mark.parametrize("leave", LEAVING)
def test_what_was_returned_waits_for_an_adjudicator_again(place, crew, leave):
    anna, bert, judge, boss = crew
    case = waiting(place)
    disagreement(case, anna, bert)
    send_back(judge, case, "b")
    leave(bert, boss, work_to=anna)
    case.refresh_from_db()
    assert (case.stage, case.assigned_to, case.returned_at) == (Stage.ADJUDICATION, None, None)
    assert worklist.claim_next(by=judge).case == case


def test_a_second_read_is_not_handed_to_its_first_reader(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    final(anna, case)
    worklist.assign(by=judge, cases=[case], to=bert)
    carla = person(Role.RADIOLOGIST, place)
    people.deactivate(by=boss, user=bert, work_to=anna)
    case.refresh_from_db()
    assert (case.stage, case.assigned_to) == (Stage.SECOND, None)
    assert worklist.claim_next(by=carla).case == case


def test_an_adjudicators_claim_ends_too(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    disagreement(case, anna, bert)
    worklist.claim(by=judge, case=case)
    other = person(Role.ADJUDICATOR, place)
    people.deactivate(by=boss, user=judge)
    assert worklist.claim_next(by=other).case == case


def test_only_what_one_can_no_longer_do_is_taken(place, crew):
    anna, bert, judge, boss = crew
    elsewhere = InstitutionFactory()
    Membership.objects.create(user=anna, institution=elsewhere, role=Role.RADIOLOGIST)
    there, here = waiting(elsewhere), waiting(place)
    for case in (there, here):
        worklist.claim(by=fresh(anna), case=case)
    people.remove_member(by=boss, membership=anna.memberships.get(institution=place))
    assert {claim.case_id for claim in Claim.objects.filter(released_at=None)} == {there.pk}
    other = person(Role.RADIOLOGIST, place)
    Membership.objects.create(user=other, institution=place, role=Role.ADJUDICATOR)
    held = worklist.claim(by=fresh(other), case=here)
    people.remove_member(by=boss, membership=other.memberships.get(role=Role.ADJUDICATOR))
    held.refresh_from_db()
    assert held.released_at is None, "still a radiologist"


def test_nothing_is_given_to_who_has_left_or_is_leaving(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    stale = fresh(bert)  # as somebody's open page knows them
    people.deactivate(by=boss, user=bert)
    with pytest.raises(InvalidRead):
        worklist.assign(by=judge, cases=[case], to=stale)
    foreign = person(Role.RADIOLOGIST, InstitutionFactory())
    for heir in (anna, bert, judge, foreign):
        with pytest.raises(InvalidEntry):
            people.deactivate(by=boss, user=anna, work_to=heir)
    assert fresh(anna).is_active


def test_a_case_is_not_returned_to_who_has_left(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    disagreement(case, anna, bert)
    people.deactivate(by=boss, user=bert)
    with pytest.raises(WrongStage, match="no longer reads here"):
        send_back(judge, case, "b")


def test_who_may_deactivate_whom(place, crew):
    anna, _bert, judge, boss = crew
    with pytest.raises(NotAllowed):
        people.deactivate(by=judge, user=anna)
    with pytest.raises(NotAllowed):
        people.deactivate(by=person(Role.ADMINISTRATOR, InstitutionFactory()), user=anna)
    with pytest.raises(InvalidEntry):
        people.deactivate(by=boss, user=boss)
    people.deactivate(by=boss, user=anna)
    people.deactivate(by=boss, user=anna)  # twice is once
    assert AuditEvent.objects.filter(act="person_deactivated").count() == 1


def test_reconcile_frees_what_was_stuck_from_before(place, crew, monkeypatch):
    """As an installation of before has it: the account was closed and its cases stayed behind."""
    anna, bert, judge, _boss = crew
    returned, assigned, held, fine = (waiting(place) for _ in range(4))
    disagreement(returned, anna, bert)
    send_back(judge, returned, "b")
    worklist.assign(by=judge, cases=[assigned], to=bert)
    worklist.claim(by=bert, case=held)
    worklist.assign(by=judge, cases=[fine], to=anna)
    User.objects.filter(pk=bert.pk).update(is_active=False)
    for task in (tasks.infer, tasks.send_mails):
        monkeypatch.setattr(task, "delay", lambda: None)
    tasks.reconcile()
    for case in (returned, assigned, held, fine):
        case.refresh_from_db()
    assert (returned.stage, returned.assigned_to) == (Stage.ADJUDICATION, None)
    assert assigned.assigned_to is None and fine.assigned_to == anna
    assert not held.claims.filter(released_at=None).exists()
    assert worklist.free_left_work() == 0


def test_reconcile_frees_the_work_of_who_is_no_member_any_more(place, crew):
    anna, bert, judge, _boss = crew
    case = waiting(place)
    worklist.assign(by=judge, cases=[case], to=bert)
    bert.memberships.all().delete()
    assert worklist.free_left_work() == 1
    case.refresh_from_db()
    assert case.assigned_to is None


# --- what waits for nobody


def why_of(user):
    return {each.case.pk: each.why for each in double_reading.waits_for_nobody(user).cases}


def test_what_waits_for_nobody_is_named_to_adjudicators_and_administrators(place, crew):
    anna, bert, judge, boss = crew
    second, settled, stuck, fine = (waiting(place) for _ in range(4))
    disagreement(settled, anna, bert)
    final(anna, second)
    worklist.assign(by=judge, cases=[stuck], to=bert)
    assert why_of(judge) == why_of(boss) == {}
    User.objects.filter(pk__in=[bert.pk, judge.pk]).update(is_active=False)
    expected = {second.pk: "no_second_reader", settled.pk: "no_adjudicator", stuck.pk: "left"}
    assert why_of(boss) == expected and double_reading.count_for(boss) == 3
    assert why_of(person(Role.ADJUDICATOR, InstitutionFactory())) == {}
    for user in (anna, person(Role.DATA_MANAGER, place)):
        assert double_reading.count_for(fresh(user)) == 0
    # A new adjudicator can settle what was waiting, and sees the rest.
    assert why_of(person(Role.ADJUDICATOR, place)) == {second.pk: "no_second_reader", stuck.pk: "left"}


def test_an_institution_without_any_reader_is_one_line(place, crew):
    anna, bert, _judge, boss = crew
    for _ in range(3):
        waiting(place)
    User.objects.filter(pk__in=[anna.pk, bert.pk]).update(is_active=False)
    found = double_reading.waits_for_nobody(boss)
    assert found.cases == [] and [(each.institution, each.count) for each in found.without_reader] == [(place, 3)]
    assert double_reading.count_for(boss) == 3


def test_a_case_is_freed_by_an_adjudicator(place, crew):
    anna, bert, judge, _boss = crew
    case = waiting(place)
    worklist.assign(by=judge, cases=[case], to=bert)
    with pytest.raises(WrongStage):
        worklist.free_case(by=judge, case=case)  # bert can still read it
    User.objects.filter(pk=bert.pk).update(is_active=False)
    with pytest.raises(NotAllowed):
        worklist.free_case(by=anna, case=case)
    worklist.free_case(by=judge, case=case)
    assert worklist.claim_next(by=anna).case == case


def test_a_second_reader_that_cannot_come_is_waived_with_a_reason(place, crew):
    anna, bert, judge, boss = crew
    case = waiting(place)
    final(anna, case)
    with pytest.raises(WrongStage, match="can still be read"):
        double_reading.waive_second_reader(by=judge, case=case, reason="Nobody is left.")
    people.deactivate(by=boss, user=bert)
    with pytest.raises(InvalidRead):
        double_reading.waive_second_reader(by=judge, case=case, reason="  ")
    with pytest.raises(NotAllowed):
        double_reading.waive_second_reader(by=anna, case=case, reason="It is mine.")
    done = double_reading.waive_second_reader(by=boss, case=case, reason="Nobody is left.")
    assert (done.state, done.stage, done.second_read) == (CaseState.DONE, Stage.FIRST, "")
    assert AuditEvent.objects.get(act="second_read_waived").detail["reason"] == "Nobody is left."
