"""Annotations on a stack: each on one image, by its index."""

import pytest
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.annotations.models import Annotation
from diagnostics.models import Case
from diagnostics.scans.series import Series
from tests.dicom_images import slice_of
from tests.factories import CaseFactory, ClaimFactory, ScanFactory

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db(transaction=True)
LENGTH = {"kind": "length", "points": [[10, 10], [20, 10]]}


def stack_of(north, files):
    for data in files:
        pipeline.submit_scan(by=north.technologist, institution=north.institution, data=data, patient="P-1")
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    case = Case.objects.get()
    ClaimFactory(case=case, holder=north.radiologist)
    return case


@pytest.fixture
def case(north):
    return stack_of(north, [slice_of(n) for n in range(5)])


def mark(north, case, **more):
    return bearer(north.radiologist).post(f"{V1}/cases/{case.pk}/annotations/", {**LENGTH, **more}, format="json")


def test_mark_lies_on_its_image_and_stays_there(north, case):
    made = mark(north, case, image=3)
    assert made.status_code == 201 and made.json()["image"] == 3 and made.json()["unit"] == "mm"
    assert Annotation.objects.get().image.position == 15.0
    moved = mark(north, case, mark=made.json()["mark"], revision=1, points=[[1, 1], [2, 2]])
    assert (moved.status_code, moved.json()["image"]) == (201, 3)
    told = results(bearer(north.radiologist), f"cases/{case.pk}/annotations/")
    assert [each["image"] for each in told] == [3, 3]


@pytest.mark.parametrize("image", [None, 5, 99])
def test_new_mark_names_an_image_that_is_there(north, case, image):
    problem = assert_problem(mark(north, case, image=image), 400)
    assert list(problem["errors"]) == ["image"] and "0 to 4" in problem["errors"]["image"][0]
    assert not Annotation.objects.exists()


def test_mark_keeps_its_image_when_others_come_between(north, case):
    mark(north, case, image=4)
    before = Annotation.objects.get().image_id
    before_all = slice_of(9, ImagePositionPatient=[0, 0, -5])
    pipeline.submit_scan(by=north.technologist, institution=north.institution, data=before_all, patient="P-1")
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    row = Annotation.objects.select_related("image").get()
    assert (row.image_id, row.index) == (before, 5)


def test_single_image_takes_no_other_index(north):
    case = CaseFactory(scan=ScanFactory(institution=north.institution))
    ClaimFactory(case=case, holder=north.radiologist)
    assert mark(north, case).json()["image"] == 0
    assert_problem(mark(north, case, image=1), 400)
