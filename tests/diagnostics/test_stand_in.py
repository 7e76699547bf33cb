"""A damaged model: the former one stands in by name, the alarm stands until the files are whole; and a roll-back holds
for what still waits."""

import contextlib
import json
import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.urls import reverse

from diagnostics.models import AuditEvent, ModelAlarm, ModelVersion, Prediction
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from tests.diagnostics.model_fixtures import put_into_use
from tests.factories import PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def inference(monkeypatch):
    from diagnostics.predictions import inference

    monkeypatch.setattr(inference, "_LOADED", type(inference._LOADED)())
    monkeypatch.setattr(inference, "_WHOLE", set())
    return inference


def another(tmp_path, name: str) -> ModelVersion:
    """The bundled network under another name: another model, as far as anybody can tell."""
    folder = tmp_path / name
    shutil.copytree(settings.BUNDLED_MODEL, folder)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | {"name": name}))
    return registry.register(by=None, folder=folder)


@pytest.fixture
def boss():
    return person(Role.ADMINISTRATOR, ScanFactory().institution)


@pytest.fixture
def pair(tmp_path, boss):
    """The former model and the one in use."""
    former = registry.install_bundled_model(settings.BUNDLED_MODEL)
    newer = another(tmp_path, "newer")
    put_into_use(boss, newer)
    former.refresh_from_db()
    return former, newer


def waiting(version: ModelVersion, seed: int = 1) -> Prediction:
    data = phantom.as_png(phantom.draw(seed, phantom.Lesion(0.6, 0.4, 0.08)))
    return PredictionFactory(scan=ScanFactory(data=data), model_version=version, queued=True)


@contextlib.contextmanager
def damaged(version: ModelVersion) -> Iterator[None]:
    """One flipped byte in the stored weights, and no local copy."""
    key = f"{version.sha256}/weights.npz"
    with storages["artifacts"].open(key) as file:
        whole = file.read()
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 1
    storages["artifacts"].save(key, ContentFile(bytes(broken)))
    shutil.rmtree(settings.MODEL_CACHE_DIR, ignore_errors=True)
    try:
        yield
    finally:
        storages["artifacts"].save(key, ContentFile(whole))


def test_damaged_live_model_is_stood_in_for_by_name_until_it_is_whole(inference, pair, client, boss):
    former, newer = pair
    row = waiting(newer)
    with damaged(newer):
        inference.run_waiting()
        row.refresh_from_db()
        assert (row.state, row.model_version, row.weights_sha256) == ("ready", former, former.sha256)
        alarm = ModelAlarm.objects.get(ended_at=None)
        assert (alarm.version, alarm.stand_in) == (newer, former)
        waiting(newer, 2)
        inference.run_waiting()
        assert ModelAlarm.objects.count() == 1, "one damage, one alarm"
        told = AuditEvent.objects.get(act="model_damaged")
        assert (told.target_id, told.detail["stand_in"]) == (str(newer.pk), former.number)
        ready = client.get("/readyz")
        assert ready.status_code == 503 and f"v{newer.number}" in ready.json()["model"]
        client.force_login(boss)
        for page in (reverse("lab:overview"), reverse("uploads:list")):
            assert "standing in" in client.get(page).content.decode()
    last = waiting(newer, 3)
    inference.run_waiting()
    last.refresh_from_db()
    assert last.model_version == newer
    assert not ModelAlarm.objects.filter(ended_at=None).exists()
    assert AuditEvent.objects.filter(act="model_whole_again").count() == 1


def test_damaged_model_never_speaks_twice_for_one_scan(inference, pair):
    former, newer = pair
    row = waiting(newer)
    before = PredictionFactory(scan=row.scan, model_version=former)
    with damaged(newer):
        inference.run_waiting()
    row.refresh_from_db()
    assert (row.state, row.failure_code, row.model_version) == ("failed", "model_damaged", newer)
    assert Prediction.objects.get(pk=before.pk).state == "ready"


def test_both_models_damaged_publish_nothing_and_raise_the_alarm(inference, pair):
    former, newer = pair
    row = waiting(newer)
    with damaged(former), damaged(newer):
        inference.run_waiting()
    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "model_damaged")
    assert ModelAlarm.objects.get(ended_at=None).stand_in is None


def test_roll_back_holds_for_scans_that_still_wait(inference, pair, boss):
    former, newer = pair
    rows = [waiting(newer, seed) for seed in range(2)]
    begun = PredictionFactory(scan=ScanFactory(), model_version=newer, running=True)
    registry.roll_back(by=boss, reason="worse")
    inference.run_waiting()
    for row in rows:
        row.refresh_from_db()
        assert (row.state, row.model_version, row.weights_sha256) == ("ready", former, former.sha256)
    begun.refresh_from_db()
    assert begun.model_version == newer, "what a worker has begun it ends under the same name"
