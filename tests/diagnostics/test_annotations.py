"""Marks on an image: kept revision by revision, seen by whom their author's reads are seen, audited in one go."""

import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone
from pydicom.data import get_testdata_file

from diagnostics.annotations import services
from diagnostics.annotations.measure import measured
from diagnostics.annotations.models import Annotation
from diagnostics.annotations.queries import annotations_for, may_annotate, standing, timeline_of
from diagnostics.annotations.services import Change, InvalidMark, StaleMark, annotate
from diagnostics.models import AuditEvent, Claim
from diagnostics.reviews.errors import StaleClaim
from diagnostics.reviews.reading import record_read
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.reviews.worklist import claim, release
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.models import SecondReader
from tests.factories import AnnotationFactory, CaseFactory, ClaimFactory, InstitutionFactory, ScanFactory, person
from tests.mlcore.test_decode import dicom

pytestmark = pytest.mark.django_db

LINE = [[1.0, 2.0], [30.5, 40.25]]


def history(user, case):
    return timeline_of(user, scans_for(user).filter(pk=case.scan_id).visible())


@pytest.fixture
def institution():
    return InstitutionFactory()


@pytest.fixture
def reader(institution):
    return person(Role.RADIOLOGIST, institution)


@pytest.fixture
def case(institution, reader):
    case = CaseFactory(scan=ScanFactory(institution=institution))
    ClaimFactory(case=case, holder=reader)
    return case


def line(mark=None, base=0, points=LINE, **more):
    return Change(mark=mark or uuid.uuid4(), base=base, kind=more.pop("kind", "length"), points=points, **more)


def speak(by, case, kind):
    held = claim(by=by, case=case)
    return record_read(by=by, case=case, claim_token=held.token, kind=kind, label="tumour", certainty="certain")


def test_mark_is_kept_in_pixels_with_spacing_and_author(case, reader):
    (kept,) = annotate(by=reader, case=case, changes=[line(points=[[1.004, 2], [30.5, 40.251]], text=" Rim ")])
    assert (kept.revision, kept.author, kept.kind, kept.text) == (1, reader, "length", "Rim")
    assert Annotation.objects.get().points == [[1.0, 2.0], [30.5, 40.25]]
    assert kept.unit == "px"  # a PNG says nothing of millimetres


def test_spacing_of_the_file_stands_beside_the_points(institution, reader):
    data = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    case = CaseFactory(scan=ScanFactory(institution=institution, data=data))
    ClaimFactory(case=case, holder=reader)
    (kept,) = annotate(by=reader, case=case, changes=[line()])
    assert (kept.unit, kept.row_spacing, kept.column_spacing) == ("mm", 0.3125, 0.3125)


@pytest.mark.parametrize("name", ["PixelAspectRatio", "ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_a_shape_without_millimetres_makes_angles_right_and_no_millimetres(institution, reader, name):
    data = dicom(np.arange(64 * 64, dtype="<u2").reshape(64, 64), **{name: [2, 1]})
    case = CaseFactory(scan=ScanFactory(institution=institution, data=data))
    ClaimFactory(case=case, holder=reader)
    changes = [line(points=[[0, 0], [30, 20]]), line(kind="angle", points=[[20, 0], [0, 0], [20, 10]])]
    length, angle = annotate(by=reader, case=case, changes=changes)
    assert (length.unit, length.row_spacing, length.column_spacing) == ("px", None, None)
    assert measured(length) == "50.0 px (uncalibrated)"
    assert measured(angle) == "45.0°"


def test_change_stands_beside_the_former_revision(case, reader):
    (first,) = annotate(by=reader, case=case, changes=[line()])
    (second,) = annotate(by=reader, case=case, changes=[line(first.mark, 1, [[5, 5], [9, 9]])])
    (third,) = annotate(by=reader, case=case, changes=[Change(first.mark, 2, withdrawn=True)])
    assert [row.revision for row in (first, second, third)] == [1, 2, 3]
    first.refresh_from_db()
    assert (first.points, first.withdrawn) == (LINE, False)
    assert (third.points, third.kind) == ([[5.0, 5.0], [9.0, 9.0]], "length")
    assert [row.superseded for row in annotations_for(reader)] == [True, True, False]
    assert not standing(annotations_for(reader)).exists()
    (again,) = annotate(by=reader, case=case, changes=[line(first.mark, 3)])
    assert standing(annotations_for(reader)).get() == again


def test_sending_the_same_again_stores_it_once(case, reader):
    change = line()
    assert annotate(by=reader, case=case, changes=[change]) == annotate(by=reader, case=case, changes=[change])
    assert Annotation.objects.count() == 1
    assert AuditEvent.objects.filter(act="image_marked").count() == 1


def test_revision_that_was_not_seen_is_refused(case, reader):
    (kept,) = annotate(by=reader, case=case, changes=[line()])
    with pytest.raises(StaleMark):
        annotate(by=reader, case=case, changes=[line(kept.mark, 0, [[5, 5], [9, 9]])])
    with pytest.raises(StaleMark):
        annotate(by=reader, case=case, changes=[line(base=3)])
    with pytest.raises(StaleMark):
        annotate(by=reader, case=case, changes=[Change(uuid.uuid4(), 0, withdrawn=True)])


def test_mark_of_another_reader_cannot_be_changed(institution, case, reader):
    foreign = AnnotationFactory(case=case, author=person(Role.RADIOLOGIST, institution))
    with pytest.raises(StaleMark):
        annotate(by=reader, case=case, changes=[line(foreign.mark, 1, [[5, 5], [9, 9]])])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"points": [[1, 1]]}, "points"),
        ({"points": [[1, 1], [2, 2], [3, 3]]}, "points"),
        ({"points": [[1, 1], [9999, 2]]}, "points"),
        ({"points": [[-1, 1], [2, 2]]}, "points"),
        ({"points": [[float("nan"), 1], [2, 2]]}, "points"),
        ({"points": [[float("inf"), 1], [2, 2]]}, "points"),
        ({"kind": "freehand", "points": [[1, 1], [2, 2]]}, "points"),
        ({"kind": "freehand", "points": [[1, 1]] * 2001}, "points"),
        ({"kind": "circle"}, "kind"),
        ({"text": "x" * 201}, "text"),
    ],
)
def test_mark_that_is_none_is_refused_and_nothing_is_stored(case, reader, change, field):
    with pytest.raises(InvalidMark) as refused:
        annotate(by=reader, case=case, changes=[line(), line(**change)])
    assert refused.value.field == field
    assert not Annotation.objects.exists()
    assert not AuditEvent.objects.filter(act="image_marked").exists()


def test_mark_keeps_its_kind(case, reader):
    (kept,) = annotate(by=reader, case=case, changes=[line()])
    with pytest.raises(InvalidMark) as refused:
        annotate(by=reader, case=case, changes=[line(kept.mark, 1, kind="arrow")])
    assert refused.value.field == "kind"


def test_marks_are_limited(case, reader, monkeypatch):
    monkeypatch.setattr(services, "MOST_MARKS", 2)
    annotate(by=reader, case=case, changes=[line(), line()])
    with pytest.raises(InvalidMark):
        annotate(by=reader, case=case, changes=[line()])


def test_only_who_holds_the_case_or_has_read_it_marks_it(institution, case, reader):
    with pytest.raises(StaleClaim):
        annotate(by=person(Role.RADIOLOGIST, institution), case=case, changes=[line()])
    with pytest.raises(NotAllowed):
        annotate(by=person(Role.DATA_MANAGER, institution), case=case, changes=[line()])
    held = Claim.objects.get()
    Claim.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(StaleClaim):
        annotate(by=reader, case=case, changes=[line()])
    Claim.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    release(by=reader, case=case, claim_token=held.token)
    with pytest.raises(StaleClaim):
        annotate(by=reader, case=case, changes=[line()])
    speak(reader, case, "blind")
    speak(reader, case, "final")
    assert may_annotate(reader, case)
    annotate(by=reader, case=case, changes=[line()])


def test_change_and_its_audit_event_are_one(case, reader, monkeypatch):
    def broken(**_):
        raise RuntimeError("no audit")

    monkeypatch.setattr(services, "record", broken)
    with pytest.raises(RuntimeError, match="no audit"):
        annotate(by=reader, case=case, changes=[line()])
    assert not Annotation.objects.exists()


def test_audit_event_names_the_case_and_how_many(case, reader):
    annotate(by=reader, case=case, changes=[line(), line()])
    event = AuditEvent.objects.get(act="image_marked")
    assert (event.actor, event.target_id, event.detail["marks"]) == (reader, str(case.pk), 2)


def sees(user):
    return annotations_for(user).count()


def test_marks_are_seen_by_whom_the_read_is_seen(institution, case, reader):
    annotate(by=reader, case=case, changes=[line()])
    other, adjudicator = person(Role.RADIOLOGIST, institution), person(Role.ADJUDICATOR, institution)
    technologist, manager = person(Role.TECHNOLOGIST, institution), person(Role.DATA_MANAGER, institution)
    both = person(Role.DATA_MANAGER, institution)
    both.memberships.create(institution=institution, role=Role.RADIOLOGIST)
    stranger = person(Role.ADMINISTRATOR, InstitutionFactory())
    blind = (other, adjudicator, technologist, both, stranger)
    assert sees(reader) == 1
    assert [sees(user) for user in (*blind, manager)] == [0] * 6
    speak(reader, case, "blind")
    assert [sees(user) for user in blind] == [0] * 5
    assert sees(manager) == 1
    for user in blind:
        assert not any(moment.kind == "marks" for moment in history(user, case))
    speak(reader, case, "final")
    assert [sees(user) for user in (other, adjudicator, technologist, both, manager)] == [1] * 5
    assert sees(stranger) == 0


def test_marks_of_a_case_given_back_stay_with_their_author(institution, case, reader):
    annotate(by=reader, case=case, changes=[line()])
    release(by=reader, case=case, claim_token=Claim.objects.get().token)
    other = person(Role.RADIOLOGIST, institution)
    speak(other, case, "blind")
    speak(other, case, "final")
    assert (sees(reader), sees(other)) == (1, 0)


def test_history_tells_of_an_authors_marks_once(case, reader):
    annotate(by=reader, case=case, changes=[line(), line(kind="point", points=[[3, 3]])])
    annotate(by=reader, case=case, changes=[line()])
    (moment,) = [moment for moment in history(reader, case) if moment.kind == "marks"]
    assert moment.sentence == "Annotated the image: 3 annotations (length, point)"
    assert moment.who == str(reader)


@pytest.mark.parametrize(
    "broken",
    [
        {"revision": 0},
        {"kind": "circle"},
        {"row_spacing": 0.5, "column_spacing": None},
        {"row_spacing": 0.0, "column_spacing": 0.5},
    ],
)
def test_database_refuses(case, broken):
    with pytest.raises(IntegrityError), transaction.atomic():
        AnnotationFactory(case=case, **broken)


def test_database_refuses_a_revision_twice(case):
    first = AnnotationFactory(case=case)
    with pytest.raises(IntegrityError), transaction.atomic():
        AnnotationFactory(case=case, mark=first.mark, revision=first.revision)


def test_missing_pixels_are_no_reason_to_invent_a_unit(case, reader):
    default_storage.delete(case.scan.pixels)
    with pytest.raises(FileNotFoundError):
        annotate(by=reader, case=case, changes=[line()])
    assert not Annotation.objects.exists()


def test_second_reader_and_adjudicator_do_not_see_the_first_reader_s_marks(institution, case, reader):
    institution.second_reader = SecondReader.ALL
    institution.save()
    second, judge = person(Role.RADIOLOGIST, institution), person(Role.ADJUDICATOR, institution)
    annotate(by=reader, case=case, changes=[line()])
    speak(reader, case, "blind")
    speak(reader, case, "final")
    annotate(by=reader, case=case, changes=[line()])  # theirs to add to, though another must still read it
    claim(by=second, case=case)
    annotate(by=second, case=case, changes=[line()])
    assert [sees(user) for user in (reader, second, judge)] == [2, 1, 0]
    speak(second, case, "blind")
    assert [sees(user) for user in (reader, second, judge)] == [2, 1, 0]
    speak(second, case, "final")
    case.refresh_from_db()
    assert case.state == "done"
    assert [sees(user) for user in (reader, second, judge)] == [3, 3, 3]


def test_adjudicator_at_work_does_not_see_whose_marks_are_whose(institution, case, reader):
    institution.second_reader = SecondReader.ALL
    institution.save()
    second, judge = person(Role.RADIOLOGIST, institution), person(Role.ADJUDICATOR, institution)
    annotate(by=reader, case=case, changes=[line()])
    speak(reader, case, "blind")
    speak(reader, case, "final")
    speak(second, case, "blind")
    held = claim(by=second, case=case)
    record_read(by=second, case=case, claim_token=held.token, kind="final", label="no_tumour", certainty="certain")
    case.refresh_from_db()
    claim(by=judge, case=case)
    annotate(by=judge, case=case, changes=[line()])
    assert sees(judge) == 1
