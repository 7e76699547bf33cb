"""Key images: the images of a stack that show the tumour, stated with the read."""

import pytest

from diagnostics.reviews.models import Read
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db


def desk_with(images):
    place = InstitutionFactory()
    scan = ScanFactory(institution=place, image_count=images)
    PredictionFactory(scan=scan, p=0.94)
    desk = Desk(CaseFactory(scan=scan), person(Role.RADIOLOGIST, place))
    desk.act("claim")
    return desk


@pytest.fixture
def desk():
    return desk_with(20)


@pytest.mark.parametrize(
    ("entered", "stored"),
    [("12", "12"), ("14, 12", "12, 14"), (" 3;3 ,, 20 ", "3, 20"), ("", "")],
)
def test_numbers_are_stored_in_their_order_and_each_once(desk, entered, stored):
    desk.blind(label="glioma", key_images=entered)
    read = Read.objects.get()
    assert (read.key_images, read.scan_revision) == (stored, 1)


@pytest.mark.parametrize(
    ("entered", "sentence"),
    [
        ("0", "numbers of images"),
        ("x", "numbers of images"),
        ("-3", "numbers of images"),
        ("21", "20 images"),
        ("²", "numbers"),
    ],
)
def test_what_is_no_image_of_the_scan_is_refused_and_stays_entered(desk, entered, sentence):
    answer = desk.blind(label="glioma", key_images=entered)
    assert answer.status_code == 400 and not Read.objects.exists()
    page = answer.content.decode()
    assert sentence in page and f'value="{entered}"' in page
    said = {"claim_token": desk.token, "stage": "blind", "label": "glioma", "certainty": "certain"}
    address = f"{V1}/cases/{desk.case.pk}/reads/"
    problem = assert_problem(bearer(desk.user).post(address, {**said, "key_images": entered}, format="json"), 400)
    assert list(problem["errors"]) == ["key_images"]


def test_read_without_a_tumour_has_none(desk):
    said = {
        "claim_token": desk.token,
        "stage": "blind",
        "label": "no_tumour",
        "certainty": "certain",
        "key_images": "3",
    }
    assert_problem(bearer(desk.user).post(f"{V1}/cases/{desk.case.pk}/reads/", said, format="json"), 400)
    desk.blind(label="no_tumour", key_images="3")
    assert Read.objects.get().key_images == ""


def test_scan_of_one_image_is_not_asked_for_them():
    desk = desk_with(1)
    assert 'name="key_images"' not in desk.html()
    said = {"claim_token": desk.token, "stage": "blind", "label": "glioma", "certainty": "certain", "key_images": "1"}
    problem = assert_problem(bearer(desk.user).post(f"{V1}/cases/{desk.case.pk}/reads/", said, format="json"), 400)
    assert "only one image" in problem["errors"]["key_images"][0]


def test_read_names_the_revision_that_its_reader_had(desk):
    Scan.objects.filter(pk=desk.case.scan_id).update(revision=2)
    desk.blind(label="glioma", key_images="3")
    assert Read.objects.get().scan_revision == 2
