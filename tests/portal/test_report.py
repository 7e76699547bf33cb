"""The report as a download, from the page and through the API."""

import io

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from pypdf import PdfReader

from diagnostics.audit.models import AuditEvent
from diagnostics.scans.access import Role
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ReadFactory, ScanFactory, person
from tests.portal.api.api_client import V1, assert_problem, bearer

pytestmark = pytest.mark.django_db


@pytest.fixture
def case():
    scan = ScanFactory(patient__pseudonym="P-7001")
    PredictionFactory(scan=scan, p=0.8123)
    return CaseFactory(scan=scan)


def words(answer):
    data = b"".join(answer.streaming_content)
    return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def test_report_is_a_download_whose_name_tells_nothing(case):
    reader = person(Role.RADIOLOGIST, case.institution)
    page = Client()
    page.force_login(reader)
    for answer in (page.get(f"/cases/{case.pk}/report.pdf"), bearer(reader).get(f"{V1}/cases/{case.pk}/report/")):
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
        assert answer["Content-Disposition"] == f'attachment; filename="report-{case.pk}.pdf"'
        assert answer["Cache-Control"] == "private, no-store" and "sandbox" in answer["Content-Security-Policy"]
        said = words(answer)
        assert "P-7001" in said and "81 %" not in said
    assert AuditEvent.objects.filter(act="report_exported", actor=reader).count() == 2


def test_report_of_a_done_case_is_offered_and_has_the_opinion(case):
    ReadFactory(case=case, final=True)
    type(case).objects.filter(pk=case.pk).update(state="done", done_at=case.opened_at)
    page = Client()
    page.force_login(person(Role.RADIOLOGIST, case.institution))
    assert f"/cases/{case.pk}/report.pdf" in page.get(f"/cases/{case.pk}/").content.decode()
    assert "81 %" in words(page.get(f"/cases/{case.pk}/report.pdf"))


def test_stranger_finds_no_report(case):
    stranger = person(Role.ADMINISTRATOR, InstitutionFactory())
    page = Client()
    page.force_login(stranger)
    assert page.get(f"/cases/{case.pk}/report.pdf").status_code == 404
    assert_problem(bearer(stranger).get(f"{V1}/cases/{case.pk}/report/"), 404)
    assert not AuditEvent.objects.filter(act="report_exported").exists()


def test_report_of_a_scan_whose_file_is_missing_is_not_found(case):
    default_storage.delete(case.scan.original)
    reader = person(Role.RADIOLOGIST, case.institution)
    assert_problem(bearer(reader).get(f"{V1}/cases/{case.pk}/report/"), 404)
    assert not AuditEvent.objects.filter(act="report_exported").exists()
