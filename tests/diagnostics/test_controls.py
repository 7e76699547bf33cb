"""Control cases: made like any other, told to nobody before the final read, counted as nobody's work."""

import io
import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics import pipeline
from diagnostics.models import Case, Control, Institution, Patient, Prediction, Read, Scan
from diagnostics.monitoring import numbers as monitor
from diagnostics.reviews import controls, double_reading, errors, reading, worklist
from diagnostics.reviews.queries import deciding_reads, own_statements, reads_for
from diagnostics.reviews.worklist import progress_for
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.scans.likeness import like, under_another_hash
from mlcore.images.decode import decode
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    StudyFactory,
    live_model,
    person,
)
from tests.factories import phantom as picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return InstitutionFactory(control_share=20)


@pytest.fixture
def known(place):
    """A labelled scan that nobody reads."""
    return ScanFactory(institution=place, reference_label="glioma", study__accession="TRAIN-7")


@pytest.fixture
def beside(place):
    study = StudyFactory(patient__institution=place, patient__pseudonym="P-9042", accession="ACC-77")
    return CaseFactory(scan=ScanFactory(institution=place, patient=study.patient, study=study))


@pytest.fixture
def control(place, known, beside):
    """A control that waits to be read."""
    Control.objects.create(institution=place, beside=beside)
    assert controls.mix_in() == 1
    return Case.objects.get(control=True)


def read(by, case, label="glioma"):
    claim = worklist.claim(by=by, case=case)
    for kind in ("blind", "final"):
        given = reading.record_read(
            by=by, case=case, claim_token=claim.token, kind=kind, label=label, certainty="certain"
        )
    case.refresh_from_db()
    return given


def test_control_is_made_like_a_scan_that_has_just_come(place, known, beside, control):
    live_model()
    scan = control.scan
    assert (scan.institution, scan.source, scan.uploaded_by) == (place, beside.scan.source, beside.scan.uploaded_by)
    assert scan.created_at > known.created_at and control.opened_at >= beside.opened_at
    assert scan.reference_label == "" and scan.sha256 != known.sha256
    assert (scan.width, scan.height, scan.format) == (known.width, known.height, known.format)
    # A patient of the usual shape whom nobody else is.
    assert scan.patient.is_synthetic and scan.patient.pseudonym != "P-9042"
    assert len(scan.patient.pseudonym) == len("P-9042") and scan.patient.pseudonym.startswith("P-")
    assert scan.study.accession.startswith("ACC-") and scan.study.date == beside.scan.study.date
    row = Control.objects.get()
    assert (row.case, row.source, row.truth) == (control, known, "glioma")
    assert controls.mix_in() == 0, "twice is once"
    # Its analysis is asked for like everybody's.
    Control.objects.create(institution=place, beside=control)
    assert controls.mix_in() == 1
    assert Prediction.objects.filter(scan=Control.objects.latest("created_at").case.scan, state="queued").exists()


def test_draw_asks_for_a_control_beside_as_many_cases_as_the_share_says(place, known):
    with transaction.atomic():
        drawn, other = uuid.UUID(int=119 << 64), uuid.UUID(int=120 << 64)
        for pk in (drawn, other):
            controls.want_one(CaseFactory(pk=pk, scan=ScanFactory(institution=place)))
    assert list(Control.objects.values_list("beside", flat=True)) == [drawn]
    Institution.objects.update(control_share=0)
    Control.objects.all().delete()
    case = Case.objects.get(pk=drawn)
    controls.want_one(case)
    assert not Control.objects.exists()


def test_new_scan_brings_its_control_with_it(place, known, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    Institution.objects.update(control_share=50)
    by = person(Role.TECHNOLOGIST, place)
    place.refresh_from_db()
    for seed in range(20):
        pipeline.submit_scan(by=by, institution=place, data=picture(seed + 500), patient="P-1")
    wanted = Control.objects.count()
    assert 1 <= wanted <= 19
    assert controls.mix_in() == wanted == Case.objects.filter(control=True).count()


@pytest.mark.parametrize("file_format", ["png", "jpeg", "dicom"])
def test_picture_under_another_hash_is_the_same_picture(file_format):
    data = {
        "png": lambda: picture(3),
        "jpeg": lambda: picture(3, file_format="JPEG"),
        "dicom": lambda: phantom.as_dicom(phantom.draw(3, side=64), 3),
    }[file_format]()
    first, second = under_another_hash(data, file_format), under_another_hash(data, file_format)
    assert len({data, first, second}) == 3
    was, now = decode(data), decode(first)
    assert (was.format, now.format) == (file_format, file_format)
    assert np.array_equal(was.pixels, now.pixels)
    if file_format == "dicom":
        import pydicom

        assert "PatientID" not in pydicom.dcmread(io.BytesIO(first))


def test_reader_is_told_after_the_final_read_and_not_before(place, control):
    reader, colleague = (person(Role.RADIOLOGIST, place) for _ in range(2))
    claim = worklist.claim(by=reader, case=control)
    assert controls.feedback_for(reader, control) is None
    told = {"case": control, "claim_token": claim.token, "label": "meningioma", "certainty": "certain"}
    reading.record_read(by=reader, kind="blind", **told)
    assert controls.feedback_for(reader, control) is None and controls.answers_for(reader) == []
    final = reading.record_read(by=reader, kind="final", **told)
    control.refresh_from_db()
    assert (control.state, control.stage, control.second_read) == ("done", "first", "")
    feedback = controls.feedback_for(reader, control)
    assert (feedback.truth, feedback.said, feedback.right) == ("glioma", "meningioma", False)
    assert "Reference: Glioma. Your answer: Meningioma" in feedback.sentence
    assert controls.feedback_for(colleague, control) is None
    # Whoever knows the answer cannot give another one.
    assert reading.undoable_read(reader) is None
    for act in (
        lambda: pipeline.undo_read(by=reader, read=final),
        lambda: reading.amend(by=reader, read=final, label="glioma", certainty="certain", comment="I know now."),
    ):
        with pytest.raises(errors.WrongStage, match="control case"):
            act()


@pytest.mark.parametrize("then", ["next", "stay"])
def test_reader_is_told_once_on_the_page_that_follows(client, place, control, then):
    CaseFactory(scan=ScanFactory(institution=place))
    reader = person(Role.RADIOLOGIST, place)
    token = worklist.claim(by=reader, case=control).token
    told = {"case": control, "claim_token": token, "label": "meningioma", "certainty": "certain"}
    reading.record_read(by=reader, kind="blind", **told)
    reading.reveal(by=reader, case=control, claim_token=token)
    client.force_login(reader)
    said = {
        "claim_token": token,
        "opinion": "",
        "choice": "keep",
        "certainty": "certain",
        "without_ai": "1",
        "then": then,
    }
    answer = client.post(f"/cases/{control.pk}/final/", said, follow=True)
    page = answer.content.decode()
    assert (str(control.pk) in answer.redirect_chain[-1][0]) == (then == "stay")
    assert page.count("Reference: Glioma. Your answer: Meningioma") == 1


def test_control_is_read_by_one_reader_whatever_the_policy(place, control):
    Institution.objects.filter(pk=place.pk).update(second_reader="all")
    reader = person(Role.RADIOLOGIST, place)
    person(Role.RADIOLOGIST, place)
    control = Case.objects.get(pk=control.pk)
    claim = worklist.claim(by=reader, case=control)
    # Asking is answered as anywhere else.
    double_reading.ask_second_opinion(by=reader, case=control, claim_token=claim.token, comment="A cyst?")
    read(reader, control)
    assert (control.state, control.stage) == ("done", "first")


def numbers(reader, manager) -> dict:
    return {
        "counts": {**worklist.tab_counts(reader)},
        "done": set(worklist.tab(reader, "done").values_list("pk", flat=True)),
        "progress": progress_for(reader),
        "mine": own_statements(reader).count(),
        "reads": set(reads_for(manager).values_list("pk", flat=True)),
        "deciding": deciding_reads().count(),
        "agreement": double_reading.report(manager),
        "monitor": (
            monitor.analyses([reader.memberships.get().institution_id], live_model(), 7),
            monitor.reads([reader.memberships.get().institution_id], live_model(), 7),
        ),
    }


def test_control_that_was_read_counts_in_no_number_of_work(place, known, beside):
    reader, manager = person(Role.RADIOLOGIST, place), person(Role.DATA_MANAGER, place)
    seen = PredictionFactory(scan=ScanFactory(institution=place), label="glioma").scan
    read(reader, CaseFactory(scan=seen))
    before = numbers(reader, manager)
    Control.objects.create(institution=place, beside=beside)
    controls.mix_in()
    control = Case.objects.get(control=True)
    assert worklist.tab_counts(reader)["unclaimed"] == before["counts"]["unclaimed"] + 1, "it waits like the others"
    worklist.claim(by=reader, case=control)
    assert worklist.tab_counts(reader)["mine"] == 1
    Prediction.objects.filter(scan=control.scan).delete()
    PredictionFactory(scan=control.scan, label="glioma")
    read(reader, control)
    assert Read.objects.filter(case=control, may_train=False).count() == 2
    assert numbers(reader, manager) == before


def test_results_show_each_readers_share_to_those_who_may_see_it(place, known, beside):
    ada, bob = person(Role.RADIOLOGIST, place, first_name="Ada"), person(Role.RADIOLOGIST, place, first_name="Bob")
    for by, label in ((ada, "glioma"), (ada, "tumour"), (ada, "no_tumour"), (bob, "glioma")):
        case = CaseFactory(scan=ScanFactory(institution=place))
        Control.objects.create(institution=place, beside=case)
        controls.mix_in()
        read(by, Case.objects.get(control=True, state="open"), label)
    for overseer in (person(Role.DATA_MANAGER, place), person(Role.ADJUDICATOR, place)):
        rows = controls.results_of(controls.answers_for(overseer))
        assert [(row.name, row.n, row.right, row.wrong) for row in rows] == [("Ada", 3, 2, 1), ("Bob", 1, 1, 0)]
        assert 0.2 < rows[0].share.low < 2 / 3 < rows[0].share.high < 0.95
    assert {row.name for row in controls.results_of(controls.answers_for(bob))} == {"Bob"}, "one's own"
    assert controls.answers_for(person(Role.DATA_MANAGER, InstitutionFactory())) == []


def test_known_are_labelled_scans_and_what_an_adjudicator_settled_a_month_ago(place, beside):
    Control.objects.create(institution=place, beside=beside)
    ScanFactory(reference_label="glioma")  # another institution's
    ScanFactory(institution=place, reference_label="out_of_scope")
    waiting = CaseFactory(scan=ScanFactory(institution=place, reference_label="glioma"))
    settled = CaseFactory(scan=ScanFactory(institution=place), done=True, stage="adjudication", second_read="policy")
    judge = person(Role.ADJUDICATOR, place)
    claim = ClaimFactory(case=settled, holder=judge, stage="adjudication", ended=True)
    ReadFactory(case=settled, reader=judge, claim=claim, kind="final", stage="adjudication", label="pituitary")
    assert controls.mix_in() == 0 and Control.objects.get().abandoned
    Case.objects.filter(pk=settled.pk).update(done_at=timezone.now() - timedelta(days=31))
    Control.objects.create(institution=place, beside=waiting)
    assert controls.mix_in() == 1
    row = Control.objects.get(case__isnull=False)
    assert (row.source, row.truth) == (settled.scan, "pituitary")


def test_known_scan_whose_file_is_gone_holds_nothing_up(place, known, beside):
    Scan.objects.filter(pk=known.pk).update(original="nowhere")
    Control.objects.create(institution=place, beside=beside)
    assert controls.mix_in() == 0 and Control.objects.get().abandoned


def test_real_patient_takes_a_made_up_ones_pseudonym(place, control, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    synthetic = control.scan.patient
    real = pipeline.submit_scan(
        by=person(Role.TECHNOLOGIST, place), institution=place, data=picture(900), patient=synthetic.pseudonym
    ).scan
    assert real.patient != synthetic and not real.patient.is_synthetic
    assert Patient.objects.get(pk=synthetic.pk).pseudonym != synthetic.pseudonym
    assert control.scan.patient_id == synthetic.pk


def test_text_of_the_same_shape():
    assert len(like("ACC-00123")) == 9 and like("ACC-00123").startswith("ACC-") and like("") == ""
    assert like("KIM") != "KIM"


@pytest.mark.parametrize(
    "broken",
    [
        lambda case: Institution.objects.update(control_share=51),
        lambda case: Case.objects.filter(pk=case.pk).update(stage="second", second_read="policy"),
        lambda case: Control.objects.update(truth=""),
        lambda case: Control.objects.update(abandoned=True),
        lambda case: Control.objects.update(beside=case),
    ],
)
def test_database_refuses_a_control_that_cannot_be(control, broken):
    with pytest.raises(IntegrityError), transaction.atomic():
        broken(control)
