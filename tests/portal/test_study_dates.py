"""A study's date, at every door: the day has begun somewhere on earth, or it is none."""

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics.models import Study
from diagnostics.scans.access import Role
from portal.accounts.models import Scope
from portal.accounts.services import issue_token
from tests.factories import InstitutionFactory, person, phantom, volume

pytestmark = pytest.mark.django_db
# Noon in London: it is the next day already in Kiribati (UTC+14) and the same day on Baker Island (UTC-12).
NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
TOMORROW = date(2026, 6, 16)
ZONES = ("UTC", "Pacific/Honolulu", "Etc/GMT+12", "Pacific/Kiritimati")


@pytest.fixture(params=ZONES)
def clock(request, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The server stands in this zone, and it is noon in London."""
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    with timezone.override(request.param):
        yield


def dicom(day: str) -> bytes:
    made = pydicom.dcmread(io.BytesIO(volume(1)))
    made.StudyDate = day
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def by_page(day: str) -> int:
    client = Client()
    client.force_login(person(Role.TECHNOLOGIST, InstitutionFactory()))
    page = client.get(reverse("uploads:hand-in")).content.decode()
    assert f'max="{TOMORROW}"' in page
    sent = {"patient": "P-1", "priority": "2", "study_date": day, "files": SimpleUploadedFile("a.png", phantom(1))}
    return client.post(reverse("uploads:hand-in"), sent).status_code


def by_api(day: str) -> int:
    user = person(Role.TECHNOLOGIST, InstitutionFactory())
    token = issue_token(user=user, name="t", scopes=list(Scope.values), expires_at=NOON + timedelta(days=1))[1]
    sent = {"patient": "P-1", "study_date": day, "file": SimpleUploadedFile("a.png", phantom(1))}
    return Client().post("/api/v1/scans/", sent, headers={"Authorization": f"Bearer {token}"}).status_code


def test_day_that_has_begun_somewhere_is_taken_by_the_page_and_the_api(clock) -> None:  # type: ignore[no-untyped-def]
    assert (by_page(str(TOMORROW)), by_api(str(TOMORROW))) == (200, 201)
    assert list(Study.objects.values_list("date", flat=True)) == [TOMORROW, TOMORROW]


def test_day_that_has_begun_nowhere_is_refused_with_the_last_one_that_has(clock) -> None:  # type: ignore[no-untyped-def]
    assert (by_page("2026-06-17"), by_api("2026-06-17")) == (400, 400)
    assert not Study.objects.exists()


@pytest.mark.parametrize(("day", "kept"), [("20260616", TOMORROW), ("20260617", None), ("20260101", date(2026, 1, 1))])
def test_date_of_a_file_is_kept_where_it_can_be_true(clock, day: str, kept: date | None, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    InstitutionFactory(code="north")
    (tmp_path / "a.dcm").write_bytes(dicom(day))
    call_command("import_folder", str(tmp_path), institution="north")
    assert Study.objects.get().date == kept
