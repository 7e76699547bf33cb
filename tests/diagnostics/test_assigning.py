"""An adjudicator deals cases out: to whom, which, and that it is all of them or none."""

import pytest

from diagnostics.audit.models import AuditEvent
from diagnostics.reviews import worklist
from diagnostics.reviews.errors import InvalidRead, WrongStage
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_two_readers import disagreement, final
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def people(institution):
    named = [(Role.RADIOLOGIST, "anna"), (Role.RADIOLOGIST, "bert"), (Role.ADJUDICATOR, "judge")]
    return [person(role, institution, username=name) for role, name in named]


@pytest.fixture
def cases(institution):
    made = [CaseFactory(scan=ScanFactory(institution=institution)) for _ in range(3)]
    for case in made:
        PredictionFactory(scan=case.scan, p=0.94)
    return made


def test_assigned_case_is_kept_for_its_reader(people, cases):
    anna, bert, judge = people
    worklist.assign(by=judge, cases=cases[:2], to=bert)
    assert worklist.claim_next(by=anna).case == cases[2]
    assert worklist.claim_next(by=person(Role.RADIOLOGIST, cases[0].institution)) is None
    with pytest.raises(WrongStage, match="reserved for one reader"):
        worklist.take_over(by=anna, case=cases[0], reason="I am quick.")
    assert set(worklist.tab(bert, "mine")) == set(cases[:2]) and worklist.tab_counts(bert)["mine"] == 2
    assert worklist.claim_next(by=bert).case == cases[0]
    assert AuditEvent.objects.filter(act="case_assigned").count() == 2


def test_assignment_is_taken_back(people, cases):
    anna, bert, judge = people
    worklist.assign(by=judge, cases=cases, to=bert)
    worklist.assign(by=judge, cases=cases, to=None)
    assert worklist.claim_next(by=anna).case == cases[0]


def test_one_case_that_cannot_be_assigned_keeps_all_where_they_are(people, cases):
    anna, bert, judge = people
    worklist.claim(by=anna, case=cases[1])
    with pytest.raises(WrongStage, match="is being read"):
        worklist.assign(by=judge, cases=cases, to=bert)
    for case in cases:
        case.refresh_from_db()
        assert case.assigned_to is None


def test_second_read_is_not_assigned_to_its_first_reader(people, cases):
    anna, bert, judge = people
    final(anna, cases[0])
    with pytest.raises(InvalidRead):
        worklist.assign(by=judge, cases=cases[:1], to=anna)
    worklist.assign(by=judge, cases=cases[:1], to=bert)
    assert worklist.claim_next(by=bert).stage == "second"


def test_assignment_is_refused_where_it_makes_no_sense(people, cases):
    anna, bert, judge = people
    for to in (judge, person(Role.RADIOLOGIST, InstitutionFactory())):
        with pytest.raises(InvalidRead):
            worklist.assign(by=judge, cases=cases, to=to)
    with pytest.raises(InvalidRead):
        worklist.assign(by=judge, cases=[], to=bert)
    with pytest.raises(NotAllowed):
        worklist.assign(by=anna, cases=cases, to=bert)
    disagreement(cases[0], anna, bert)
    with pytest.raises(WrongStage, match="adjudicator"):
        worklist.assign(by=judge, cases=cases[:1], to=bert)


def test_assignment_over_the_api(people, cases):
    body = {"cases": [str(case.pk) for case in cases], "to": "bert"}
    anna, _bert, judge = (bearer(each) for each in people)
    assert_problem(anna.post(f"{V1}/cases/assign/", body, format="json"), 403)
    assert_problem(judge.post(f"{V1}/cases/assign/", {**body, "to": "nobody"}, format="json"), 400)
    strange = [*body["cases"], str(CaseFactory().pk)]
    assert_problem(judge.post(f"{V1}/cases/assign/", {**body, "cases": strange}, format="json"), 404)
    assert len(judge.post(f"{V1}/cases/assign/", body, format="json").json()) == 3
    assert worklist.tab_counts(people[1])["mine"] == 3
