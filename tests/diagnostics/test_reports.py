"""What a case's report says to whom, read back from the PDF itself."""

import io
import re

import numpy as np
import pytest
from django.utils import translation
from pypdf import PdfReader

from diagnostics.annotations.measure import angle, area, length
from diagnostics.audit.models import AuditEvent
from diagnostics.reports.figures import MarkedImage
from diagnostics.reports.pdf import ROOM
from diagnostics.reports.services import export_report
from diagnostics.reviews import reading, worklist
from diagnostics.scans.access import NotAllowed, Role
from diagnostics.scans.intake import displayed
from diagnostics.scans.models import SecondReader
from tests.browser.test_viewer import dicom
from tests.diagnostics.test_two_readers import final, settle
from tests.factories import (
    AnnotationFactory,
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ScanFactory,
    person,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution():
    return InstitutionFactory(name="North Clinic")


@pytest.fixture
def anna(institution):
    return person(Role.RADIOLOGIST, institution, username="anna-canary", first_name="Anna", last_name="Canary")


@pytest.fixture
def bert(institution):
    return person(Role.RADIOLOGIST, institution, username="bert-canary")


@pytest.fixture
def judge(institution):
    return person(Role.ADJUDICATOR, institution, username="judge-canary")


@pytest.fixture
def case(institution):
    scan = ScanFactory(institution=institution, patient__pseudonym="P-7001", study__accession="ACC-7001")
    PredictionFactory(
        scan=scan,
        p=0.8123,
        label="meningioma",
        probabilities={"meningioma": 0.8123, "no_tumour": 0.1877},
        warnings=["low_quality"],
        weights_sha256="ab" * 32,
    )
    return CaseFactory(scan=scan)


def pdf(by, case) -> PdfReader:
    case.refresh_from_db()
    return PdfReader(io.BytesIO(export_report(by=by, case=case)))


def text(by, case) -> str:
    """The words of the report, line breaks as blanks."""
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pdf(by, case).pages))


def blind(by, case, label="tumour"):
    claim = worklist.claim(by=by, case=case)
    reading.record_read(by=by, case=case, claim_token=claim.token, kind="blind", label=label, certainty="probable")


OPINION = ("Meningioma", "81 %", "toy", "ab" * 32, "quality is low")


def test_report_of_a_done_case_has_everything_and_names_no_reader(case, anna, judge):
    blind(anna, case, "no_tumour")
    AnnotationFactory(case=case, author=anna, points=[[10, 10], [40, 50]], text="Falx")
    final(anna, case, "no_tumour", comment="A vessel & <no> tumour.")
    said = text(judge, case)
    for words in (
        "Report of a case", "North Clinic", "P-7001", "ACC-7001", "Label No tumour", "By: First reader",
        "Blind read", "No tumour, probable", "Final read", "No tumour, certain",
        "The AI saw a lesion where there is none", "A vessel & <no> tumour.", "Length", "50.0 px (uncalibrated)",
        "Falx",
        "Decision support for research. Not a diagnosis.", "Page 1",
    ):  # fmt: skip
        assert words in said, words
    for words in OPINION:
        assert words in said, words
    assert "Preliminary" not in said and "canary" not in said.lower() and "Anna" not in said
    assert len(pdf(judge, case).pages[0].images) == 1


def test_blinded_reader_gets_it_without_the_ai(case, anna, bert, judge, institution):
    for who in (anna, judge, person(Role.TECHNOLOGIST, institution)):
        said = text(who, case)
        assert "Preliminary" in said and "hidden from you" in said and "P-7001" in said
        assert [words for words in (*OPINION, "0.81", "tumour %") if words in said] == []
    blind(anna, case)
    assert "hidden from you" in text(anna, case), "locked, but not revealed"
    reading.reveal(by=anna, case=case, claim_token=case.claims.get().token)
    assert all(words in text(anna, case) for words in OPINION)
    assert "Meningioma" not in text(bert, case) and "Blind read" not in text(bert, case)


def test_blinded_report_is_the_same_with_and_without_an_opinion(case, anna):
    with_opinion = text(anna, case)
    case.scan.predictions.all().delete()
    cut = lambda said: re.sub(r"\d\d:\d\d", "", said)  # noqa: E731
    assert cut(text(anna, case)) == cut(with_opinion)


def test_second_reader_and_adjudicator_learn_nothing_of_the_others(case, anna, bert, judge, institution):
    institution.second_reader = SecondReader.ALL
    institution.save()
    blind(anna, case, "glioma")
    AnnotationFactory(case=case, author=anna, text="left temporal")
    final(anna, case, "glioma", reason="wrong_type", comment="ring enhancement")
    for who in (bert, judge):
        said = text(who, case)
        assert [each for each in ("Glioma", "ring", "temporal", "Wrong") if each.lower() in said.lower()] == []
    final(bert, case, "no_tumour")
    worklist.claim(by=judge, case=case)
    assert "Glioma" not in text(judge, case) and "Meningioma" not in text(judge, case)
    settle(judge, case, "glioma")
    said = text(bert, case)
    assert "Label Glioma By: Adjudicator" in said and "Second reader" in said and "temporal" in said


def test_scan_without_an_opinion_says_so(institution, anna):
    case = CaseFactory(scan=ScanFactory(institution=institution))
    final(anna, case, "no_tumour", reason="")
    assert "This scan has none" in text(anna, case)


def test_many_comments_go_on_to_the_next_page_with_the_disclaimer(case, anna):
    final(anna, case, comment="A long story. " * 250)
    pages = pdf(anna, case).pages
    assert len(pages) > 1
    assert all("Not a diagnosis" in page.extract_text() for page in pages)


def test_words_that_the_fonts_lack_break_nothing(case, anna):
    final(anna, case, comment="größer, más pequeño, 腫瘍 <b>&")
    assert "größer, más pequeño, ?? <b>&" in text(anna, case)


def test_document_tells_nothing_of_the_patient_beside_its_pages(case, anna):
    told = pdf(anna, case)
    assert "P-7001" not in str(told.metadata) and told.metadata.title == "Report of a case"


def test_report_speaks_the_language_of_the_moment(case, anna, monkeypatch):
    with translation.override("de"):
        german = text(anna, case)
    assert german != text(anna, case) and "Report of a case" not in german


def test_taking_a_report_is_kept(case, anna):
    export_report(by=anna, case=case)
    event = AuditEvent.objects.get(act="report_exported")
    assert (event.actor, event.target_id, event.detail) == (anna, str(case.pk), {"with_opinion": False})


def test_stranger_gets_none(case):
    with pytest.raises(NotAllowed):
        export_report(by=person(Role.ADMINISTRATOR, InstitutionFactory()), case=case)
    assert not AuditEvent.objects.filter(act="report_exported").exists()


def test_each_kind_of_mark_is_drawn_and_measured(case, anna):
    shapes = {
        "length": [[1, 1], [4, 5]],
        "angle": [[10, 0], [0, 0], [0, 10]],
        "ellipse": [[10, 10], [30, 20]],
        "rectangle": [[10, 10], [30, 20]],
        "freehand": [[0, 0], [10, 0], [10, 10], [0, 10]],
        "point": [[63, 1]],
        "arrow": [[1, 1], [30, 30]],
    }
    for kind, points in shapes.items():
        AnnotationFactory(case=case, author=anna, kind=kind, points=points, row_spacing=0.5, column_spacing=0.5)
    said = text(anna, case)
    for measure in ("2.5 mm", "90.0°", "39.3 mm²", "50.0 mm²", "25.0 mm²"):
        assert measure in said, measure


def test_measures_are_those_of_geometry():
    assert length([[0, 0], [3, 4]], 2.0, 0.5) == pytest.approx((36 + 4) ** 0.5)
    assert angle([[1, 0], [0, 0], [1, 1]]) == pytest.approx(45)
    assert angle([[1, 0], [0, 0], [-1, 0]]) == pytest.approx(180)
    assert area("ellipse", [[4, 4], [0, 0]]) == pytest.approx(12.566, abs=1e-3)
    assert area("freehand", [[0, 0], [0, 4], [4, 0]], 0.5, 0.5) == pytest.approx(2)


@pytest.mark.parametrize(
    ("spacing", "shape"), [([0.9, 0.45], (120, 60)), ([0.45, 0.9], (30, 60)), ([8.0, 1.0], (200, 25))]
)
def test_picture_of_pixels_that_are_no_squares_has_its_true_shape(spacing, shape):
    data = dicom(np.full((60, 60), 7, "<u2"), bits=12, PixelSpacing=spacing)
    assert displayed(data, 200).shape == shape
    assert displayed(dicom(np.full((60, 60), 7, "<u2"), bits=12), 200).shape == (60, 60)


def test_marks_lie_on_the_picture_in_its_true_shape(case):
    image = MarkedImage(np.zeros((120, 60), np.uint8), (case.scan.width, case.scan.height), [], ROOM)
    assert image.height == pytest.approx(2 * image.width)
    assert image.scale == pytest.approx((image.width / case.scan.width, image.height / case.scan.height))
