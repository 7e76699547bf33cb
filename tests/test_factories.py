"""The factories make rows that the database's constraints accept."""

import pytest
from django.core.files.storage import default_storage

from diagnostics.predictions.services import status_of
from diagnostics.scans.access import Role, may
from tests import factories as made

pytestmark = pytest.mark.django_db


def test_scan_factory_stores_its_files() -> None:
    scan = made.ScanFactory()
    with default_storage.open(scan.original) as file:
        assert file.read().startswith(b"\x89PNG")
    assert default_storage.exists(scan.preview)
    assert default_storage.exists(scan.pixels)
    assert scan.patient.institution_id == scan.institution_id == scan.study.patient.institution_id


@pytest.mark.parametrize(
    ("trait", "status"), [(None, "ready"), ("queued", "queued"), ("running", "analysing"), ("failed", "failed")]
)
def test_prediction_factory_makes_every_state(trait: str | None, status: str) -> None:
    prediction = made.PredictionFactory(**({trait: True} if trait else {}))
    assert status_of(prediction.scan) == status


def test_final_read_factory_ends_case_and_claim() -> None:
    read = made.ReadFactory(final=True)
    assert read.case.state == "done"
    assert read.claim.release == "done"
    assert may(read.reader, "read_case", read.case.institution)


def test_blind_and_final_read_share_a_case() -> None:
    case = made.CaseFactory(done=True)
    reader = made.person(Role.RADIOLOGIST, case.institution)
    claim = made.ClaimFactory(case=case, holder=reader, ended=True)
    made.ReadFactory(case=case, reader=reader, claim=claim)
    made.ReadFactory(case=case, reader=reader, claim=claim, kind="final")
    assert list(case.reads.values_list("kind", flat=True)) == ["blind", "final"]


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed", "cancelled"])
def test_training_run_factory_makes_every_state(state: str) -> None:
    run = made.TrainingRunFactory(state=state)
    assert run.dataset.institutions.count() == 1
