"""From a claimed row to a stored opinion, with the bundled model."""

import dataclasses
import io
import threading
import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.conf import settings
from django.core.files.storage import default_storage, storages
from django.utils import timezone
from PIL import Image

from diagnostics.predictions import run_state, services
from diagnostics.predictions.models import Prediction
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.models import Scan
from mlcore.images.decoding.process import Ended, Used
from mlcore.networks.engine import checked
from tests.factories import PredictionFactory, ScanFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def inference(monkeypatch):
    """The worker's module; nothing loaded before, nothing kept after."""
    from diagnostics.predictions import inference

    monkeypatch.setattr(inference, "_LOADED", type(inference._LOADED)())
    return inference


@pytest.fixture
def box():
    return registry.install_bundled_model(settings.BUNDLED_MODEL)


def waiting(seed=1, **scan):
    data = phantom.as_png(phantom.draw(seed, phantom.Lesion(0.6, 0.4, 0.08)))
    return PredictionFactory(scan=ScanFactory(data=data, **scan), model_version=registry.live(), queued=True)


def test_waiting_scans_get_opinions_with_heat_map_and_provenance(inference, box):
    rows = [waiting(seed) for seed in range(3)]
    assert inference.run_waiting() == 3
    for row in rows:
        row.refresh_from_db()
        assert row.state == "ready", row.failure
        assert abs(sum(row.probabilities.values()) - 1) < 1e-4
        assert row.label == max(row.probabilities, key=row.probabilities.get)
        assert row.weights_sha256 == box.sha256 and row.preprocess_version
        with default_storage.open(row.heatmap) as file:
            heat = Image.open(io.BytesIO(file.read()))
        assert "transparency" in heat.info
        assert abs(heat.width / heat.height - row.scan.width / row.scan.height) < 0.05, "it covers the whole image"


def test_same_scan_alone_or_in_a_batch_gets_the_same_opinion(inference, box):
    alone = waiting(1)
    inference.run_waiting()
    for seed in (2, 3, 4):
        waiting(seed)
    Prediction.objects.filter(pk=alone.pk).update(heatmap="")
    alone.refresh_from_db()
    before = alone.probabilities
    Prediction.objects.filter(pk=alone.pk).update(
        state="queued", probabilities=None, tumour_probability=None, label="", finding="", attempts=0
    )
    inference.run_waiting()
    alone.refresh_from_db()
    assert alone.probabilities == pytest.approx(before, abs=1e-5)


def test_scan_stored_while_no_model_was_live_is_analysed_when_one_is(inference):
    scan = ScanFactory()
    assert inference.run_waiting() == 0
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    assert inference.run_waiting() == 1
    assert Prediction.objects.get().scan == scan


def test_missing_original_fails_that_scan_and_no_other(inference, box):
    lost, good = waiting(1), waiting(2)
    default_storage.delete(lost.scan.original)
    assert inference.run_waiting() == 2
    lost.refresh_from_db()
    good.refresh_from_db()
    assert (lost.state, lost.failure_code) == ("failed", "file_missing")
    assert good.state == "ready"


def test_scan_whose_decoder_was_ended_by_the_machine_is_tried_again_and_never_rejected(inference, box, monkeypatch):
    struck, good = waiting(1), waiting(2)
    ends = []
    real = inference.decoding.decode

    def decode(data):
        with default_storage.open(struck.scan.original) as file:
            if data == file.read() and len(ends) < strikes:
                ends.append(1)
                raise Ended("memory", Used(None, 0.1, 10.0))
        return real(data)

    monkeypatch.setattr(inference.decoding, "decode", decode)
    strikes = 2
    inference.run_waiting()
    struck.refresh_from_db(), good.refresh_from_db()
    assert (struck.state, good.state, struck.attempts) == ("ready", "ready", 3)
    third = waiting(3)
    struck, strikes = third, 99
    ends.clear()
    inference.run_waiting()
    third.refresh_from_db()
    assert (third.state, third.failure_code, len(ends)) == ("failed", "too_much_memory", 3)
    assert services.status_of(Scan.objects.get(pk=third.scan_id)) == "failed", "it can still be read, without the AI"


def test_blank_image_is_rejected_with_a_sentence(inference, box):
    out = io.BytesIO()
    Image.fromarray(np.full((96, 96), 40, np.uint8)).save(out, format="PNG")
    row = PredictionFactory(scan=ScanFactory(data=out.getvalue()), model_version=box, queued=True)
    inference.run_waiting()
    row.refresh_from_db()
    assert row.state == "failed" and row.probabilities is None
    assert services.status_of(Scan.objects.get(pk=row.scan_id)) == "rejected"
    assert row.failure.endswith(".")


def test_one_flipped_byte_in_the_weights_publishes_nothing(inference, box):
    row = waiting()
    key = f"{box.sha256}/weights.npz"
    artifacts = storages["artifacts"]
    with artifacts.open(key) as file:
        whole = file.read()
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 1
    import shutil

    from django.core.files.base import ContentFile

    artifacts.save(key, ContentFile(bytes(broken)))
    shutil.rmtree(settings.MODEL_CACHE_DIR, ignore_errors=True)
    try:
        inference.run_waiting()
    finally:
        artifacts.save(key, ContentFile(whole))
    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "model_damaged")
    assert row.probabilities is None and "administrator" in row.failure


def test_batch_that_breaks_is_tried_singly_and_ends_failed(inference, box, monkeypatch):
    rows = [waiting(seed) for seed in range(2)]
    sizes = []

    class Breaking:
        sha256, spec = box.sha256, None

        def predict(self, files):
            sizes.append(len(files))
            raise MemoryError("too much")

    monkeypatch.setattr(inference, "predictor_for", lambda version: Breaking())
    inference.run_waiting()
    assert sizes[0] == 2 and set(sizes[1:]) == {1}
    assert run_state.abandon_exhausted() == 2
    assert {Prediction.objects.get(pk=row.pk).failure_code for row in rows} == {"gave_up"}


@pytest.mark.parametrize(
    "numbers",
    [
        {"no_tumour": float("nan"), "tumour": 0.5},
        {"no_tumour": float("inf"), "tumour": 0.0},
        {"no_tumour": 0.9, "tumour": 0.9},
        {"no_tumour": -0.5, "tumour": 1.5},
        {},
    ],
)
def test_numbers_that_are_no_opinion_are_not_published_and_harm_no_other(inference, box, monkeypatch, numbers):
    odd, good = waiting(1), waiting(2)
    predictor = inference.predictor_for(box)

    class Odd:
        sha256, spec = predictor.sha256, predictor.spec

        def predict(self, files):
            opinions = predictor.predict(files)
            return [dataclasses.replace(opinions[0], probabilities=numbers), *opinions[1:]]

    monkeypatch.setattr(inference, "predictor_for", lambda version: Odd())
    assert inference.run_waiting() == 2
    odd.refresh_from_db()
    good.refresh_from_db()
    assert (odd.state, odd.failure_code, odd.probabilities) == ("failed", "not_a_result", None)
    assert "Nothing was published" in odd.failure and not odd.heatmap
    assert good.state == "ready"


def test_network_that_gives_no_numbers_publishes_nothing(inference, box, monkeypatch):
    row = waiting()
    predictor = inference.predictor_for(box)
    monkeypatch.setattr(predictor, "_run", lambda tensors: checked([(np.full((len(tensors), 4), np.nan), None)]))
    inference.run_waiting()
    run_state.abandon_exhausted()
    row.refresh_from_db()
    assert (row.state, row.failure_code, row.probabilities) == ("failed", "gave_up", None)


def test_answers_that_are_too_few_are_given_to_nobody(inference, box, monkeypatch):
    rows = [waiting(seed) for seed in (1, 2, 3)]
    predictor = inference.predictor_for(box)
    whole = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda files: whole(files)[1:])
    inference.run_waiting()
    run_state.abandon_exhausted()
    assert {Prediction.objects.get(pk=row.pk).state for row in rows} == {"failed"}


def test_batch_that_hangs_ends_its_process(inference, box, monkeypatch):
    """Only the watch is looked at here; tests/faults/test_poison.py lets a real worker hang."""
    row, ended = waiting(), threading.Event()
    monkeypatch.setattr(inference.os, "_exit", lambda code: ended.set())
    monkeypatch.setattr(inference.settings, "INFERENCE_LEASE_SECONDS", 0.05)
    predictor = inference.predictor_for(box)

    class Hanging:
        sha256, spec = predictor.sha256, predictor.spec

        def predict(self, files):
            assert ended.wait(20), "nobody ended it"
            return predictor.predict(files)

    monkeypatch.setattr(inference, "predictor_for", lambda version: Hanging())
    inference.run_waiting()
    assert ended.is_set()
    ended.clear()
    with inference._no_longer_than(0.05, run_state.Batch(uuid.uuid4(), box, [row])):
        pass
    assert not ended.wait(0.2), "a batch that ended in time ends nobody"


def test_worker_paused_past_its_lease_changes_nothing(inference, box, monkeypatch):
    row = waiting()
    finish = run_state.finish

    def late(*, batch, outcomes, **more):
        """While this worker slept, another took the row and failed it."""
        Prediction.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        newer = run_state.claim_waiting(limit=1)
        finish(batch=newer, outcomes={row.pk: run_state.Failure("x", "Another's word.")}, provenance={})
        return finish(batch=batch, outcomes=outcomes, **more)

    monkeypatch.setattr(run_state, "finish", late)
    assert inference.run_waiting() == 0
    row.refresh_from_db()
    assert row.failure == "Another's word."


def test_a_heat_map_is_transparent_where_it_says_nothing_and_gets_lighter_with_influence(inference):
    heat = np.zeros((20, 256), np.uint8)
    heat[5:] = np.arange(256)
    shown = np.asarray(Image.open(io.BytesIO(inference.heatmap_png(heat))).convert("RGBA")).astype(float)
    assert np.array_equal(shown[..., 3], heat)
    light = shown[10, :, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -1.0).all(), "the palette is perceptual: lighter means more"
    assert light[255] - light[0] > 200
