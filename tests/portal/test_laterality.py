"""The side on which a tumour lies: stated of tumours only, optional, and no disagreement by itself."""

import pytest
from django.utils import translation

from diagnostics.models import Case, Read
from diagnostics.reviews import reading
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.models import Laterality
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def case(place):
    scan = ScanFactory(institution=place)
    PredictionFactory(scan=scan, p=0.94)
    return CaseFactory(scan=scan)


@pytest.fixture
def desk(case, place):
    desk = Desk(case, person(Role.RADIOLOGIST, place))
    desk.act("claim")
    return desk


@pytest.mark.parametrize(
    ("language", "sides"),
    [
        ("en", ["Not stated", "Left", "Right", "Midline", "Bilateral"]),
        ("de", ["Nicht angegeben", "Links", "Rechts", "Mittellinie", "Beidseitig"]),
        ("es", ["No indicado", "Izquierda", "Derecha", "Línea media", "Bilateral"]),
    ],
)
def test_sides_are_named_as_sides(desk, language, sides):
    """“Right” is a side here, not an answer that was right."""
    with translation.override(language):
        assert [str(side.label) for side in Laterality] == sides
    desk.user.language = language
    desk.user.save()
    page = desk.html()
    assert [side for side in sides if side not in page] == []


@pytest.mark.parametrize("label", ["tumour", "glioma", "meningioma", "pituitary"])
def test_side_of_every_tumour_may_be_stated(desk, label):
    desk.blind(label=label, laterality="midline")
    assert Read.objects.get().laterality == "midline"


def test_side_is_optional_on_the_page_and_over_the_api(desk):
    address = f"{V1}/cases/{desk.case.pk}/reads/"
    said = {"claim_token": desk.token, "label": "tumour", "certainty": "certain"}
    told = bearer(desk.user).post(address, {**said, "stage": "blind", "laterality": None}, format="json")
    assert told.status_code == 201 and told.json()["laterality"] == "not_stated"
    desk.reveal()
    desk.final(choice="keep")
    assert Read.objects.get(kind="final").laterality == "not_stated"


@pytest.mark.parametrize("label", ["no_tumour", "not_assessable", "out_of_scope"])
def test_side_of_what_is_no_tumour_is_left_over_on_a_page_and_refused_of_a_program(desk, label):
    address = f"{V1}/cases/{desk.case.pk}/reads/"
    said = {"claim_token": desk.token, "stage": "blind", "label": label, "certainty": "certain", "laterality": "left"}
    problem = assert_problem(bearer(desk.user).post(address, said, format="json"), 400)
    assert "laterality" in problem["errors"] and problem["accepted"]["laterality"] == ["not_stated"]
    desk.blind(label=label, laterality="left")
    assert Read.objects.get().laterality == "not_stated"


def test_unknown_side_names_those_that_are_known(desk):
    address = f"{V1}/cases/{desk.case.pk}/reads/"
    said = {"claim_token": desk.token, "stage": "blind", "label": "tumour", "certainty": "certain", "laterality": "up"}
    problem = assert_problem(bearer(desk.user).post(address, said, format="json"), 400)
    assert set(problem["accepted"]["laterality"]) == {"left", "right", "midline", "bilateral", "not_stated"}
    with pytest.raises(InvalidRead) as caught:
        said = {"label": "tumour", "certainty": "certain", "laterality": "up"}
        reading.record_read(by=desk.user, case=desk.case, claim_token=desk.token, kind="blind", **said)
    assert caught.value.field == "laterality"


def test_amendment_to_no_tumour_gives_the_side_up(desk):
    desk.lock(label="tumour", laterality="left")
    desk.final(choice="keep", laterality="left")
    read = Read.objects.get(kind="final")
    amended = reading.amend(by=desk.user, read=read, label="no_tumour", reason="false_positive", comment="A vessel.")
    assert (read.laterality, amended.laterality) == ("left", "not_stated")


@pytest.mark.parametrize(("second", "shown"), [("left", False), ("right", True), ("not_stated", False)])
def test_two_readers_who_name_different_sides_agree_and_are_shown_so(place, case, second, shown):
    place.second_reader = SecondReader.ALL
    place.save()
    for side in ("left", second):
        reader = Desk(case, person(Role.RADIOLOGIST, place))
        reader.act("claim")
        reader.lock(label="tumour")
        assert reader.final(choice="keep", laterality=side).status_code == 302
    case = Case.objects.get()
    assert (case.state, case.stage) == ("done", "second")
    assert ("The reads differ in: Side" in reader.html()) is shown
