"""The way of a study by strangers' programs alone: storescu sends it, a webhook tells of it, storescp gets it back."""

import subprocess
import sys

import pydicom
import pytest
from django.db import close_old_connections

from diagnostics import tasks
from diagnostics.models import Case, Image, Prediction, Study
from diagnostics.peers import outbox
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from tests import processes
from tests.diagnostics.test_dicom_sending import listens
from tests.dicom_network import dcmtk, free_port, needs, peer_of
from tests.factories import InstitutionFactory, person
from tests.faults.test_dicom_listener import Listening
from tests.webhook_receiver import HERE, receiver, webhook_at

pytestmark = pytest.mark.django_db(transaction=True)
SLICES = 12


def uids(folder):
    return {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in folder.rglob("*") if path.is_file()
    }


@needs("storescu", "storescp")
def test_study_comes_by_storescu_is_told_of_and_goes_back_to_storescp(broker, settings, tmp_path, inference_worker):
    settings.WEBHOOK_NETWORKS = HERE
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    place = InstitutionFactory()
    study, back = tmp_path / "study", tmp_path / "back"
    back.mkdir()
    made = [sys.executable, "-m", "mlcore", "synthetic-study", study, "--seed", "7", "--series", "1"]
    subprocess.run([*made, "--slices", str(SLICES)], cwd=processes.ROOT, check=True, capture_output=True)
    sent = uids(study)
    assert len(sent) == SLICES
    scanner, archive = free_port(), free_port()
    peer_of(place)
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=archive)
    getting = subprocess.Popen(["storescp", "-aet", "ARCHIVE", "-od", str(back), str(archive)])
    try:
        with (
            receiver() as there,
            processes.Worker("delivery", OVERREAD_WEBHOOK_NETWORKS="127.0.0.0/8"),
            Listening(scanner, OVERREAD_DICOM_LINGER_SECONDS="0"),
        ):
            webhook_at(there.url, there, institution=place, events=["scan.ready", "prediction.failed"])
            answer = dcmtk("storescu", scanner, "+sd", "+r", study)
            assert answer.returncode == 0, answer.stdout
            processes.wait(lambda: tasks.reconcile.delay() and there.got(), 90, "the webhook was told nothing")
            (told,) = there.got()
            close_old_connections()
            assert told["type"] == "scan.ready" and told["data"]["scan"] == str(Prediction.objects.get().scan_id)
            assert Case.objects.get().scan.image_count == Image.objects.count() == SLICES
            processes.wait(lambda: listens(archive), 20, "storescp did not start")
            boss = person(Role.ADMINISTRATOR, place)
            assert outbox.send_study(by=boss, study=Study.objects.get(), peer=peer) == SLICES
            tasks.send_to_peers.delay()
            processes.wait(lambda: len(list(back.iterdir())) >= SLICES, 60, "storescp did not get the study")
    finally:
        getting.terminate()
        getting.wait(20)
    assert uids(back) == sent
