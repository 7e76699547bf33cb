"""The web process decodes nothing itself: it asks, refuses with a sentence, or says that it cannot at the moment."""

import subprocess
import sys

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from diagnostics.models import AuditEvent, Scan
from diagnostics.scans import decoding
from diagnostics.scans.access import Role
from mlcore.images.decoding.pool import DecodingPool
from mlcore.images.decoding.process import Limits
from tests import processes
from tests.factories import CaseFactory, InstitutionFactory, ScanFactory, person, phantom
from tests.hostile import bombs

HAND_IN = "/scans/hand-in/"


@pytest.fixture
def institution(db):
    return InstitutionFactory(code="north")


@pytest.fixture
def client(client, institution):
    client.force_login(person(Role.TECHNOLOGIST, institution))
    return client


@pytest.fixture
def no_process(monkeypatch):
    """No process can be started to decode in, and whoever decodes all the same is found out."""
    pool = DecodingPool()
    monkeypatch.setattr(decoding, "pool", lambda: pool)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    for name in (
        "mlcore.images.decode.decode",
        "mlcore.images.dicom.decode.decode_dicom",
        "mlcore.images.raster.decode_raster",
    ):
        monkeypatch.setattr(name, lambda *_: pytest.fail("decoded in the web process"))
    yield pool
    pool.close()


@pytest.fixture
def strict(monkeypatch):
    pool = DecodingPool(Limits(cpu_seconds=0.3))
    monkeypatch.setattr(decoding, "pool", lambda: pool)
    yield pool
    pool.close()


def handed_in(data: bytes, name: str = "scan.png") -> dict[str, object]:
    return {"files": SimpleUploadedFile(name, data), "patient": "P-0001", "priority": 0}


def test_upload_without_a_process_to_decode_in_is_503_and_stores_nothing(client, no_process, caplog):
    answer = client.post("/api/v1/scans/", {"file": SimpleUploadedFile("a.png", phantom()), "patient": "P-0001"},
                         format="multipart")  # fmt: skip
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    told = answer.json()
    assert told["code"] == "decoding_unavailable" and "Nothing was stored" in told["detail"]
    assert Scan.objects.count() == 0
    assert "decoding_unavailable" in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_page_without_a_process_to_decode_in_says_so(client, no_process, accept):
    answer = client.post(HAND_IN, handed_in(phantom()), headers={"Accept": accept})
    assert answer.status_code == 503 and "Nothing was stored" in answer.content.decode()
    assert Scan.objects.count() == 0


def test_report_without_a_process_to_decode_in_says_so(client, institution, monkeypatch):
    case = CaseFactory(scan=ScanFactory(institution=institution))
    pool = DecodingPool()
    monkeypatch.setattr(decoding, "pool", lambda: pool)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    client.force_login(person(Role.DATA_MANAGER, institution))
    answer = client.get(f"/cases/{case.pk}/report.pdf")
    assert answer.status_code == 503 and answer["Retry-After"] == "30"
    assert "cannot be read at the moment" in answer.content.decode()


def test_import_without_a_process_to_decode_in_stops(no_process, institution, tmp_path):
    (tmp_path / "a.png").write_bytes(phantom())
    with pytest.raises(CommandError, match="Run it again"):
        call_command("import_folder", tmp_path, institution="north")


def test_file_that_was_ended_is_refused_with_an_event_and_a_line_in_the_log(client, strict, caplog):
    data = bombs.dicom_of_a_million_elements()
    answer = client.post("/api/v1/scans/", {"file": SimpleUploadedFile("Mustermann.dcm", data), "patient": "P-SECRET"},
                         format="multipart")  # fmt: skip
    assert answer.status_code == 400 and answer.json()["code"] == "too_slow"
    assert answer.json()["detail"].startswith("The image takes too long to decode.")
    assert Scan.objects.count() == 0
    (event,) = AuditEvent.objects.filter(act="file_ended")
    assert event.actor is not None and set(event.detail) == {"code", "sha256", "size_bytes"}
    line = next(record for record in caplog.records if "decoding_ended" in record.getMessage())
    told = line.getMessage() + caplog.text
    assert "time" in told and "Traceback" not in told and "Mustermann" not in told and "P-SECRET" not in told


def test_stored_scan_that_is_too_large_today_still_has_a_report(institution, monkeypatch):
    from diagnostics.reports.services import export_report

    case = CaseFactory(scan=ScanFactory(institution=institution))
    with_small_limit = DecodingPool(Limits(memory_mb=0.1))
    monkeypatch.setattr(decoding, "pool", lambda: with_small_limit)
    try:
        assert export_report(by=person(Role.DATA_MANAGER, institution), case=case).startswith(b"%PDF")
    finally:
        with_small_limit.close()


def test_web_process_takes_files_and_loads_nothing_that_decodes():
    """In a process of its own, as nothing has been loaded there yet: an upload of each kind through the intake."""
    code = """
import sys
from portal.wsgi import application
from diagnostics.scans import intake
from tests.hostile import bombs
import mlcore.images.decode, mlcore.images.dicom.decode, mlcore.images.raster
def found_out(*_): raise SystemExit("decoded here")
mlcore.images.decode.decode = mlcore.images.dicom.decode.decode_dicom = mlcore.images.raster.decode_raster = found_out
mlcore.images.decode.decode_dicom = mlcore.images.decode.decode_raster = found_out
for data in (bombs.small_png(), bombs.jpeg(), bombs.dicom()):
    assert intake.ingest(data).width == 128
    assert intake.displayed(data, 64).shape == (64, 64)
print([m for m in ("cv2", "tensorflow", "keras", "gdcm", "openjpeg", "mlcore.images.decoding.jobs",
                   "mlcore.images.viewer_file", "mlcore.preprocessing.preprocess") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=processes.ROOT, text=True, timeout=120,
                          env=processes.environment(), capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.strip().splitlines()[-1]
    assert "cv2" not in loaded and "tensorflow" not in loaded and "decoding_jobs" not in loaded
    assert "viewer_file" not in loaded and "preprocess" not in loaded
