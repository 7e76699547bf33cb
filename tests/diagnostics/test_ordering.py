"""In which order cases wait: the policies, what is overdue, and that nobody blind learns anything from it."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from diagnostics.cases.models import Case, Lane
from diagnostics.reviews import opening, worklist
from diagnostics.reviews.worklist import drawn, policies_of
from diagnostics.reviews.worklist import refresh_order as refresh
from diagnostics.reviews.worklist.ordering import MOST_TURNS, NOT_YET
from diagnostics.scans.access import Role
from diagnostics.scans.institutions import change_institution
from diagnostics.scans.models import Institution, Patient, Priority, ReadingMode, Scan, Study
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    MembershipFactory,
    PatientFactory,
    PredictionFactory,
    ScanFactory,
    StudyFactory,
    person,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def scan(place):
    """One scan that the others are copies of, for none of these tests looks at an image."""
    return ScanFactory(institution=place)


def case(scan, *, hours=0, priority=Priority.ROUTINE, p=None, pk=None, institution=None):
    """An open case that has waited so long, and of which the AI is so sure."""
    institution = institution or scan.institution
    fields = {field.attname: getattr(scan, field.attname) for field in Scan._meta.fields}
    copy = Scan.objects.create(
        **{**fields, "id": uuid.uuid4(), "sha256": uuid.uuid4().hex * 2, "institution_id": institution.pk}
    )
    made = CaseFactory(scan=copy, priority=priority, **({"pk": pk} if pk else {}))
    before = timedelta(hours=hours)
    Case.objects.filter(pk=made.pk).update(opened_at=made.opened_at - before, due_at=made.due_at - before)
    if p is not None:
        PredictionFactory(scan=copy, p=p)
    return made


def order_of(user) -> list:
    return list(worklist.tab(user, "unclaimed").values_list("pk", flat=True))


def not_drawn() -> uuid.UUID:
    return next(each for each in iter(uuid.uuid4, None) if not drawn(each))


def test_overdue_comes_after_stat_and_before_urgent(place, scan):
    reader = person(Role.RADIOLOGIST, place)
    fresh = case(scan)
    urgent = case(scan, priority=Priority.URGENT)
    late, later = case(scan, hours=49), case(scan, hours=60)
    stat = case(scan, priority=Priority.STAT)
    late_urgent = case(scan, priority=Priority.URGENT, hours=5)
    assert refresh() == 3
    # Of what is overdue, what was due first.
    assert order_of(reader) == [case.pk for case in (stat, later, late, late_urgent, urgent, fresh)]
    assert worklist.claim_next(by=reader).case_id == stat.pk
    assert worklist.claim_next(by=person(Role.RADIOLOGIST, place)).case_id == later.pk
    assert refresh() == 0


def test_by_priority_nothing_is_overdue(place, scan):
    change_institution(
        by=person(Role.ADMINISTRATOR, place),
        institution=place,
        name=place.name,
        reading_mode=place.reading_mode,
        worklist_order="priority",
    )
    late, urgent = case(scan, hours=49), case(scan, priority=Priority.URGENT)
    refresh()
    reader = person(Role.RADIOLOGIST, place)
    assert order_of(reader) == [urgent.pk, late.pk]
    assert "then urgent, then the longest waiting" in policies_of(reader).sentence


def test_time_to_read_is_the_institutions(place, scan):
    Institution.objects.filter(pk=place.pk).update(due_stat=5, due_urgent=30, due_routine=90)
    scan.institution.refresh_from_db()
    for priority, minutes in ((Priority.STAT, 5), (Priority.URGENT, 30), (Priority.ROUTINE, 90)):
        scan.priority = priority
        opened = opening.open_case.__wrapped__ if hasattr(opening.open_case, "__wrapped__") else opening.open_case
        with transaction.atomic():
            made = opened(by=None, scan=case_free(scan))
        assert round((made.due_at - made.opened_at).total_seconds() / 60) == minutes


def case_free(scan):
    """A copy of the scan without a case."""
    fields = {field.attname: getattr(scan, field.attname) for field in Scan._meta.fields}
    return Scan.objects.create(**{**fields, "id": uuid.uuid4(), "sha256": uuid.uuid4().hex * 2})


def test_the_ai_may_not_order_a_list_that_is_read_blind(place):
    for mode in (ReadingMode.BLIND_FIRST, ReadingMode.AI_HIDDEN):
        with pytest.raises(IntegrityError), transaction.atomic():
            Institution.objects.filter(pk=place.pk).update(worklist_order="uncertain", reading_mode=mode)
    Institution.objects.filter(pk=place.pk).update(worklist_order="uncertain", reading_mode=ReadingMode.CONCURRENT)


@pytest.fixture
def unsure_first(place):
    Institution.objects.filter(pk=place.pk).update(worklist_order="uncertain", reading_mode=ReadingMode.CONCURRENT)
    place.refresh_from_db()
    return place


def test_what_the_ai_is_least_sure_of_comes_first_but_stat_and_overdue_before(unsure_first, scan):
    scan.institution.refresh_from_db()
    sure, unsure = case(scan, p=0.99, pk=not_drawn()), case(scan, p=0.55, pk=not_drawn())
    unknown, middling = case(scan, pk=not_drawn()), case(scan, p=0.2, pk=not_drawn())
    late, stat = case(scan, p=0.9, hours=50), case(scan, p=0.999, priority=Priority.STAT)
    assert set(Case.objects.exclude(lane=Lane.STAT).values_list("turn", flat=True)) == {NOT_YET}
    refresh()
    reader = person(Role.RADIOLOGIST, unsure_first)
    assert order_of(reader) == [each.pk for each in (stat, late, unsure, middling, sure, unknown)]
    assert "least sure" in policies_of(reader).sentence
    PredictionFactory(scan=unknown.scan, p=0.5)
    refresh()
    assert order_of(reader)[2] == unknown.pk


def test_whoever_settles_disagreements_is_told_nothing_by_the_order(unsure_first, scan):
    scan.institution.refresh_from_db()
    older, newer = case(scan, p=0.99, hours=2), case(scan, p=0.5, hours=1)
    refresh()
    judge = person(Role.ADJUDICATOR, unsure_first)
    assert order_of(judge) == [older.pk, newer.pk]
    both = person(Role.RADIOLOGIST, unsure_first)
    MembershipFactory(user=both, institution=unsure_first, role=Role.ADJUDICATOR)
    assert order_of(both) == [older.pk, newer.pk]


def test_one_case_in_ten_keeps_a_random_place_whatever_the_ai_says(unsure_first, scan):
    scan.institution.refresh_from_db()
    ids = [uuid.uuid4() for _ in range(4000)]
    assert 0.07 < sum(map(drawn, ids)) / len(ids) < 0.13
    chosen = [each for each in ids if drawn(each)][:2]
    made = [case(scan, p=0.97, pk=pk) for pk in chosen]
    refresh()
    places = [Case.objects.get(pk=each.pk).turn for each in made]
    assert places == [1 + (pk.int >> 80) % MOST_TURNS for pk in chosen]
    Case.objects.update(turn=NOT_YET)
    refresh()
    assert [Case.objects.get(pk=each.pk).turn for each in made] == places, "the same place each time"


def test_a_policy_that_is_changed_back_forgets_what_the_ai_said(unsure_first, scan):
    scan.institution.refresh_from_db()
    older, _newer = case(scan, p=0.99, hours=2, pk=not_drawn()), case(scan, p=0.5, hours=1, pk=not_drawn())
    refresh()
    change_institution(
        by=person(Role.ADMINISTRATOR, unsure_first),
        institution=unsure_first,
        name="x",
        reading_mode=ReadingMode.BLIND_FIRST,
        worklist_order="overdue",
    )
    refresh()
    assert set(Case.objects.values_list("turn", flat=True)) == {0}
    assert order_of(person(Role.RADIOLOGIST, unsure_first))[0] == older.pk


def test_institutions_that_order_differently_are_listed_by_priority(place, scan):
    other = InstitutionFactory(worklist_order="priority")
    reader = person(Role.RADIOLOGIST, place)
    MembershipFactory(user=reader, institution=other)
    late, urgent = case(scan, hours=49), case(scan, priority=Priority.URGENT)
    refresh()
    assert order_of(reader) == [urgent.pk, late.pk]


def test_refresh_with_nothing_to_do_writes_nothing(scan):
    case(scan)
    with CaptureQueriesContext(connection) as caught:
        refresh()
    assert [query["sql"] for query in caught if query["sql"].startswith("UPDATE")] == []


@pytest.mark.parametrize("begins", ["kim", "KIM-", "acc-x"])
def test_search_finds_by_patient_and_by_accession_in_capitals_or_not(place, scan, begins):
    patient = PatientFactory(institution=place, pseudonym="Kim-1" if begins != "acc-x" else "P-9")
    study = StudyFactory(patient=patient, accession="Acc-X1")
    wanted = CaseFactory(scan=ScanFactory(institution=place, patient=patient, study=study))
    case(scan)
    foreign = PatientFactory(pseudonym="Kim-1")
    CaseFactory(scan=ScanFactory(institution=foreign.institution, patient=foreign))
    reader = person(Role.RADIOLOGIST, place)
    found = worklist.listed(reader, "unclaimed", patient=begins).cases
    assert [each.pk for each in found] == [wanted.pk]


def test_search_of_very_many_stays_in_the_lists_order(place, scan, monkeypatch):
    monkeypatch.setattr("diagnostics.reviews.worklist.listing.MOST_BY_ID", 2)
    reader = person(Role.RADIOLOGIST, place)
    made = [case(scan, hours=hours) for hours in (1, 3, 2, 4)]
    found = worklist.listed(reader, "unclaimed", patient=scan.patient.pseudonym[:2].lower()).cases
    assert [each.pk for each in found] == [made[at].pk for at in (3, 1, 2, 0)]


@pytest.mark.parametrize(
    ("model", "field", "index"), [(Patient, "pseudonym", "patient_begins"), (Study, "accession", "study_begins")]
)
def test_search_for_a_beginning_is_served_by_an_index(db, model, field, index):
    from diagnostics.scans.querysets import beginning_with

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")  # of a handful of rows it would read all
        plan = beginning_with(model.objects.order_by(), field, "KIM").explain()
    assert index in plan, plan


def test_case_that_somebody_holds_keeps_its_place(place, scan):
    held = case(scan, hours=49)
    ClaimFactory(case=held)
    assert refresh() == 1
    assert Case.objects.get(pk=held.pk).lane == Lane.OVERDUE
