"""The report of a stack: its key images, its annotated images, and the peak of the AI result after the reveal."""

import io
import re

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from pypdf import PdfReader

from diagnostics import closing, pipeline
from diagnostics.models import Case
from diagnostics.reports.images import MOST_IMAGES
from diagnostics.reports.services import export_report
from diagnostics.reviews import reading, worklist
from diagnostics.scans.series import Series
from tests.dicom_images import frames_of, slice_of
from tests.factories import AnnotationFactory, PredictionFactory

pytestmark = pytest.mark.django_db(transaction=True)
PEAK = "Highest probability"


def arrive(north, files):
    for data in files:
        pipeline.submit_scan(by=north.technologist, institution=north.institution, data=data, patient="P-1")
    Series.objects.update(close_at=timezone.now())
    closing.close_due()


def stack_of(north, files):
    arrive(north, files)
    case = Case.objects.get()
    case.scan.predictions.all().delete()
    PredictionFactory(scan=case.scan, p=0.8, label="glioma", peak=2, profile=[0.1] * case.scan.image_count)
    return case


def read(north, case, key_images="", label="glioma"):
    claim = worklist.claim(by=north.radiologist, case=case)
    said = {"label": label, "certainty": "certain", "key_images": key_images}
    reading.record_read(by=north.radiologist, case=case, claim_token=claim.token, kind="blind", **said)
    return claim


def finish(north, case, claim, key_images="", label="glioma"):
    reading.reveal(by=north.radiologist, case=case, claim_token=claim.token)
    said = {"label": label, "certainty": "certain", "key_images": key_images, "agreement": "agree"}
    reading.record_read(by=north.radiologist, case=case, claim_token=claim.token, kind="final", **said)


def told(north, case):
    case.refresh_from_db()
    return PdfReader(io.BytesIO(export_report(by=north.radiologist, case=case)))


def words(document):
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in document.pages))


def pictures(document):
    return sum(len(page.images) for page in document.pages)


def test_stack_that_nobody_read_shows_its_middle_image(north):
    document = told(north, stack_of(north, [slice_of(n) for n in range(5)]))
    assert "Image 3 of 5, at 10.0 mm Middle of the stack" in words(document) and pictures(document) == 1


def test_key_images_and_annotated_images_are_shown_with_their_places(north):
    case = stack_of(north, [slice_of(n) for n in range(6)])
    read(north, case, "2, 5")
    image = case.scan.images.get(index=3)
    AnnotationFactory(case=case, author=north.radiologist, image=image, points=[[10, 10], [40, 50]])
    document = told(north, case)
    said = words(document)
    for expected in ("Image 2 of 6, at 5.0 mm", "Image 4 of 6, at 15.0 mm", "Image 5 of 6, at 20.0 mm"):
        assert expected in said
    assert said.count("Key image, First reader") == 2 and said.count("Annotated") == 1 and pictures(document) == 3


def test_peak_is_shown_after_the_reveal_and_not_before(north):
    case = stack_of(north, [slice_of(n) for n in range(6)])
    claim = read(north, case, "5")
    before = told(north, case)
    assert PEAK not in words(before) and pictures(before) == 1
    reading.reveal(by=north.radiologist, case=case, claim_token=claim.token)
    after = told(north, case)
    assert "Image 3 of 6, at 10.0 mm Highest probability of the AI result" in words(after) and pictures(after) == 2


def test_last_read_of_a_reader_counts(north):
    case = stack_of(north, [slice_of(n) for n in range(6)])
    claim = read(north, case, "5")
    finish(north, case, claim, "2")
    said = words(told(north, case))
    assert "Image 2 of 6" in said and "Image 5 of 6" not in said


def test_number_of_an_earlier_revision_is_the_image_that_its_reader_had(north):
    case = stack_of(north, [slice_of(n) for n in range(1, 6)])
    finish(north, case, read(north, case, "2"), "2")
    arrive(north, [slice_of(0)])
    case.scan.refresh_from_db()
    assert case.scan.image_count == 6
    assert "Image 3 of 6, at 10.0 mm Key image, First reader (image 2 when it was read)" in words(told(north, case))


def test_many_key_images_are_bounded_over_pages(north):
    case = stack_of(north, [frames_of(40)])
    read(north, case, ", ".join(str(number) for number in range(1, 31)))
    document = told(north, case)
    drawn = [image.image.tobytes() for page in document.pages for image in page.images]
    assert len(set(drawn)) == len(drawn) == MOST_IMAGES, "each frame is its own"
    assert 5 <= len(document.pages) <= 7
    assert "not shown here: images 25, 26, 27, 28, 29, 30." in words(document)
    assert all("Not a diagnosis" in page.extract_text() for page in document.pages)


def test_image_whose_file_is_gone_is_told_in_words(north):
    case = stack_of(north, [slice_of(n) for n in range(6)])
    read(north, case, "2, 5")
    default_storage.delete(case.scan.images.get(index=1).original)
    document = told(north, case)
    assert "stored file of this image is missing" in words(document) and "Image 2 of 6" in words(document)
    assert pictures(document) == 1
