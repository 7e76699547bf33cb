"""What of a stack goes into a dataset: a key image of a tumour, the middle image where there is none."""

import json

import pytest
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.datasets import planning
from diagnostics.models import Case
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Series
from tests.dicom_images import frames_of, slice_of
from tests.factories import AnnotationFactory, InstitutionFactory, ReadFactory, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def stack(place, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    sender = person(Role.TECHNOLOGIST, place)

    def made(patient, files):
        for data in files:
            pipeline.submit_scan(by=sender, institution=place, data=data, patient=patient)
        Series.objects.update(close_at=timezone.now())
        closing.close_due()
        return Case.objects.get(scan__patient__pseudonym=patient)

    return made


def slices(patient, count=9):
    return [slice_of(n, study=patient, seed=100 * len(patient) + n) for n in range(count)]


def read(case, label, **said):
    Case.objects.filter(pk=case.pk).update(state="done", done_at=timezone.now())
    return ReadFactory(final=True, case=case, label=label, may_train=True, **said)


def planned(place):
    found = planning.plan(by=person(Role.DATA_MANAGER, place), institutions=[place], seed=0, lineage="main")
    rows = [json.loads(line) for line in found.manifest.decode().splitlines()]
    return found, {row["scan"]: row for row in rows}


def test_tumour_trains_by_its_key_image_and_no_tumour_by_its_middle(place, stack):
    ill, well = stack("P-1", slices("ill")), stack("P-2", slices("well"))
    read(ill, "glioma", key_images="3, 7, 8")
    read(well, "no_tumour")
    _found, rows = planned(place)
    for case, number in ((ill, 7), (well, 5)):
        row, image = rows[str(case.scan_id)], case.scan.images.get(index=number - 1)
        assert (row["path"], row["sha256"], row["image"]) == (image.original, image.sha256, number)


def test_tumour_without_key_images_trains_nothing_and_the_plan_says_so(place, stack):
    read(stack("P-1", slices("ill")), "glioma")
    found, rows = planned(place)
    assert rows == {} and found.counts["left_out"]["no_key_images"] == 1


def test_numbers_count_in_the_revision_that_the_reader_had(place, stack):
    files = slices("ill")
    case = stack("P-1", [*files[:4], *files[5:]])
    read(case, "glioma", key_images="5", scan_revision=1)
    stack_again = pipeline.submit_scan(
        by=person(Role.TECHNOLOGIST, place), institution=place, data=files[4], patient="P-1"
    )
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    assert Scan.objects.get(pk=stack_again.scan.pk).revision == 2
    _found, rows = planned(place)
    # The fifth of the eight that the reader had lies at 25 mm; it is the sixth of nine now.
    assert rows[str(case.scan_id)]["path"] == case.scan.images.get(position=25.0).original


def test_frames_of_one_file_wait(place, stack):
    read(stack("P-1", [frames_of(6)]), "no_tumour")
    found, rows = planned(place)
    assert rows == {} and found.counts["left_out"]["frames_of_one_file"] == 1


def test_regions_are_those_of_the_image_that_trains(place, stack):
    case = stack("P-1", slices("ill"))
    given = read(case, "glioma", key_images="4")
    on, beside = case.scan.images.get(index=3), case.scan.images.get(index=6)
    outline = {"kind": "rectangle", "points": [[1, 1], [9, 9]]}
    AnnotationFactory(case=case, author=given.reader, image=on, **outline)
    AnnotationFactory(case=case, author=given.reader, image=beside, **outline)
    _found, rows = planned(place)
    assert len(rows[str(case.scan_id)]["regions"]) == 1
