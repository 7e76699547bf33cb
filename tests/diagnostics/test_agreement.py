"""Agreement of readers: which cases count, what each number says, and that its cases are the ones behind it."""

import pytest

from diagnostics.reviews import double_reading
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_two_readers import disagreement, final, send_back, settle
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory(second_reader=SecondReader.ALL)


@pytest.fixture
def people(institution):
    named = [
        (Role.RADIOLOGIST, "anna"),
        (Role.RADIOLOGIST, "bert"),
        (Role.RADIOLOGIST, "cleo"),
        (Role.ADJUDICATOR, "judge"),
    ]
    return [person(role, institution, username=name) for role, name in named]


@pytest.fixture
def manager(institution):
    return person(Role.DATA_MANAGER, institution)


@pytest.fixture
def new(institution):
    def make(**scan):
        case = CaseFactory(scan=ScanFactory(institution=institution, **scan))
        PredictionFactory(scan=case.scan, p=0.94)
        return case

    return make


def test_nothing_to_count_is_said_so(manager):
    report = double_reading.report(manager)
    assert report.overall is None and report.classes == report.pairs == []
    assert report.flips.right_share.value is None


def test_numbers_and_the_cases_behind_them(new, people, manager):
    anna, bert, cleo, judge = people
    same = [new() for _ in range(3)]
    for case in same[:2]:
        final(anna, case)
        final(bert, case)
    final(bert, same[2])
    final(cleo, same[2])
    split = disagreement(new(), bert, anna)
    assert double_reading.report(manager).unsettled == 1
    settle(judge, split)
    report = double_reading.report(manager)
    assert (report.overall.n, report.overall.disagreed, report.overall.percent.value) == (4, 1, 0.75)
    assert report.overall.few and report.unsettled == 0
    assert [(row.name, row.n, row.disagreed) for row in report.pairs] == [("anna · bert", 3, 1), ("bert · cleo", 1, 0)]
    assert {row.key: (row.n, row.disagreed) for row in report.classes} == {"tumour": (4, 1), "no_tumour": (1, 1)}
    for row in (report.overall, *report.pairs, *report.classes):
        assert len(double_reading.cases_behind(manager, key=row.key)) == row.n
        assert len(double_reading.cases_behind(manager, key=row.key, disagreed=True)) == row.disagreed
    assert double_reading.cases_behind(manager, disagreed=True) == [(split.pk, "no_tumour", "tumour")]


def test_case_that_was_returned_counts_as_it_was_first_read(new, people, manager):
    anna, bert, _cleo, judge = people
    case = disagreement(new(), anna, bert)
    send_back(judge, case, "b")
    final(bert, case, "tumour")
    assert case.state == "done"
    assert double_reading.report(manager).overall.disagreed == 1


def test_cases_that_somebody_picked_count_only_if_wanted(institution, new, people, manager):
    institution.second_reader = SecondReader.DIFFERS
    institution.save()
    case = new()
    final(people[0], case, "no_tumour")
    final(people[1], case, "no_tumour")
    assert case.state == "done"
    assert double_reading.report(manager).overall is None and double_reading.report(manager).chosen == 1
    assert double_reading.report(manager, all_cases=True).overall.n == 1


def test_blind_reads_are_measured_apart(new, people, manager):
    case = new()
    final(people[0], case, "tumour", blind="no_tumour")
    final(people[1], case, "tumour")
    assert double_reading.report(manager).overall.disagreed == 0
    assert double_reading.report(manager, kind="blind").overall.disagreed == 1


def test_flips_are_held_against_what_no_ai_has_touched(institution, new, people, manager):
    institution.second_reader = SecondReader.NONE
    institution.save()
    for before, after, right in (
        ("no_tumour", "tumour", "tumour"),
        ("tumour", "no_tumour", "glioma"),
        ("glioma", "tumour", "glioma"),
        ("no_tumour", "tumour", ""),
    ):
        case = new(reference_label=right)
        final(people[0], case, after, blind=before)
    flips = double_reading.report(manager).flips
    assert (flips.wrong_before, flips.right_flips) == (1, 1)
    assert (flips.right_before, flips.wrong_flips, flips.unknown) == (2, 1, 1)
    assert [rest for _case, *rest in double_reading.cases_behind(manager, flip="right")] == [["no_tumour", "tumour"]]
    assert [rest for _case, *rest in double_reading.cases_behind(manager, flip="wrong")] == [["tumour", "no_tumour"]]


def test_adjudicators_word_tells_what_was_right(new, people, manager):
    anna, bert, _cleo, judge = people
    case = new()
    final(anna, case, "tumour", blind="no_tumour")
    final(bert, case, "no_tumour")
    settle(judge, case, "tumour")
    flips = double_reading.report(manager).flips
    assert (flips.wrong_before, flips.right_flips, flips.right_before) == (2, 1, 0)


def test_other_institutions_are_in_no_number(new, people):
    case = disagreement(new(), *people[:2])
    settle(people[3], case)
    stranger = person(Role.DATA_MANAGER, InstitutionFactory())
    report = double_reading.report(stranger)
    assert report.overall is None and not report.unsettled and not double_reading.cases_behind(stranger)
    assert double_reading.report(people[0]).overall is None, "a reader has no business with a colleague's kappa"
    assert double_reading.report(people[3]).overall.n == 1
