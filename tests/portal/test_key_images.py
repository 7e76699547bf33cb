"""Key images: the images of a stack that show the tumour, stated with the read."""

import re

import pytest

from diagnostics.reviews.models import Read
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.markup import flat
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


def test_images_that_came_meanwhile_are_shown_before_the_read_is_taken(desk):
    Scan.objects.filter(pk=desk.case.scan_id).update(revision=2, image_count=24)
    refused = desk.blind(label="glioma", key_images="7", scan_revision="1")
    assert refused.status_code == 409
    html = flat(refused.content.decode())
    assert "It has 24 images now." in html and not Read.objects.exists()
    assert 'name="scan_revision" value="2"' in html and re.search('name="key_images"[^>]*value="7"', html)
    assert re.search('value="glioma"[^>]*checked', html)
    desk.blind(label="glioma", key_images="3", scan_revision="2")
    assert Read.objects.get().scan_revision == 2


def test_program_may_say_which_images_it_looked_at(desk):
    client = bearer(desk.user)
    scan = client.get(f"{V1}/scans/{desk.case.scan_id}/").json()
    said = {"claim_token": desk.token, "stage": "blind", "label": "glioma", "certainty": "certain"}
    Scan.objects.filter(pk=desk.case.scan_id).update(revision=2)
    here = f"{V1}/cases/{desk.case.pk}/reads/"
    found = assert_problem(client.post(here, {**said, "scan_revision": scan["revision"]}, format="json"), 409)
    assert found["code"] == "new_images"
    assert client.post(here, {**said, "scan_revision": 2}, format="json").status_code == 201


def test_renewing_the_claim_tells_of_new_images(desk):
    Scan.objects.filter(pk=desk.case.scan_id).update(revision=5)
    assert desk.act("renew", claim_token=desk.token).json()["scan_revision"] == 5
