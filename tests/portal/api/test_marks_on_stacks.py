"""Annotations on a stack: each on one image, by its index."""

import io

import pytest
from django.utils import timezone
from pypdf import PdfReader

from diagnostics import closing, pipeline
from diagnostics.annotations.models import Annotation
from diagnostics.models import Case, Prediction
from diagnostics.reports import services as reports
from diagnostics.scans.series import Series
from tests.dicom_images import frames_of, slice_of
from tests.factories import CaseFactory, ClaimFactory, PredictionFactory, ReadFactory, ScanFactory

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


def shown_in_report(north, case):
    """The words of the report, and the pictures of its images."""
    document = PdfReader(io.BytesIO(reports.export_report(by=north.radiologist, case=case)))
    words = " ".join(" ".join(page.extract_text().split()) for page in document.pages)
    return words, [image.image for page in document.pages for image in page.images]


def test_report_of_a_stack_of_which_nothing_was_named_shows_its_middle_image(north):
    case = stack_of(north, [frames_of(7, blank=2)])
    words, pictures = shown_in_report(north, case)
    assert "Image 4 of 7" in words and "middle image" in words and len(pictures) == 1


def test_report_shows_key_images_and_marked_ones_each_with_its_marks(north):
    case = stack_of(north, [frames_of(7, blank=2)])
    assert mark(north, case, image=5).status_code == 201
    ReadFactory(case=case, reader=north.radiologist, key_images="4, 5", claim=case.claims.get())
    words, pictures = shown_in_report(north, case)
    assert "Image 4 of 7" in words and "Image 5 of 7" in words and "Image 6 of 7" in words
    assert words.count("key image") >= 2 and "annotated" in words and "middle image" not in words
    assert len(pictures) == 3
    assert len({picture.tobytes() for picture in pictures}) == 3, "each frame is its own"


def test_report_keeps_the_peak_of_the_ai_from_a_blind_reader(north):
    case = stack_of(north, [frames_of(7, blank=2)])
    Prediction.objects.filter(scan=case.scan).delete()
    PredictionFactory(scan=case.scan, peak=2)
    words, _pictures = shown_in_report(north, case)
    assert "most suspicious" not in words and "Image 3 of 7" not in words
    Case.objects.filter(pk=case.pk).update(state="done", done_at=timezone.now())
    words, _pictures = shown_in_report(north, case)
    assert "Image 3 of 7" in words and "most suspicious image for the AI" in words


def test_report_bounds_its_images_and_says_how_many_are_left_out(north):
    case = stack_of(north, [frames_of(14, blank=2)])
    ReadFactory(
        case=case, reader=north.radiologist, claim=case.claims.get(), key_images=", ".join(map(str, range(3, 15)))
    )
    words, pictures = shown_in_report(north, case)
    assert len(pictures) == 8 and "4 more images were named or annotated." in words
