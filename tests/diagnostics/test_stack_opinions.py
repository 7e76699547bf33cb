"""From a closed series to the opinion of its stack, with the bundled model."""

import io

import numpy as np
import pydicom
import pytest
from django.conf import settings
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.predictions import run_state, stacks
from diagnostics.predictions.models import Prediction
from diagnostics.registry import services as registry
from diagnostics.scans import phantom
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Series
from mlcore.images.decoding.process import Ended, Used
from tests.dicom_images import frames_of, mosaic, slice_of
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db(transaction=True)
SIDE = 128


@pytest.fixture
def inference(monkeypatch):
    from diagnostics.predictions import inference

    monkeypatch.setattr(inference, "_LOADED", type(inference._LOADED)())
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    registry.install_bundled_model(settings.BUNDLED_MODEL)
    return inference


@pytest.fixture
def send():
    place = InstitutionFactory()
    by = person(Role.TECHNOLOGIST, place)
    return lambda data: pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")


def head(n, blank=False):
    """The n-th image of a series: a phantom with a lesion, or air."""
    made = pydicom.dcmread(io.BytesIO(slice_of(n, side=SIDE)))
    drawn = phantom.draw(n, phantom.Lesion(0.6, 0.4, 0.08), side=SIDE) if not blank else np.zeros((SIDE, SIDE))
    made.PixelData = (np.asarray(drawn, dtype=np.float32) * (1 if np.max(drawn) > 2 else 900)).astype("<u2").tobytes()
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def close_all():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    return closing.close_due()


def test_every_image_is_looked_at_and_the_stack_gets_one_opinion(inference, send, settings):
    settings.INFERENCE_BATCH = 4
    for n in range(10):
        send(head(n, blank=n < 3))
    close_all()
    inference.run_waiting()
    row = Prediction.objects.get()
    assert row.state == "ready", row.failure
    assert len(row.profile) == 10 and row.profile[:3] == [None] * 3
    assert row.profile[row.peak] is not None and row.heatmap
    assert "not_measured_on_stacks" in row.warnings
    assert abs(sum(row.probabilities.values()) - 1) < 1e-4
    assert Scan.objects.get().rejected_code == ""


def test_image_of_a_stack_gets_the_number_that_it_gets_alone(inference, send):
    files = [head(n) for n in range(4)]
    for data in files:
        send(data)
    close_all()
    inference.run_waiting()
    predictor = inference.predictor_for(registry.live())
    alone = [predictor.predict([data])[0].tumour_probability for data in files]
    told = [p for p in Prediction.objects.get().profile if p is not None]
    assert told == pytest.approx([p for p in alone if any(abs(p - q) < 1e-4 for q in told)], abs=1e-4)
    assert told


def test_stack_of_air_is_rejected_with_its_reason(inference, send):
    for n in range(4):
        send(head(n, blank=True))
    close_all()
    inference.run_waiting()
    scan = Scan.objects.get()
    assert (scan.analysis, Prediction.objects.get().state) == ("rejected", "failed") and scan.rejected_code


def test_frames_of_one_file_are_looked_at_each(inference, send):
    send(frames_of(6))
    close_all()
    shown = stacks.images_of(Scan.objects.get(), 1)
    assert [image.frame for image in shown] == [5, 4, 3, 2, 1, 0]
    inference.run_waiting()
    row = Prediction.objects.get()
    assert row.state in ("ready", "failed") and row.attempts == 1


def test_claim_of_a_long_stack_is_kept_while_it_is_looked_at(inference, send, settings, monkeypatch):
    settings.INFERENCE_BATCH = 2
    for n in range(6):
        send(head(n))
    close_all()
    kept = []
    really = run_state.renew
    monkeypatch.setattr(run_state, "renew", lambda batch: kept.append(really(batch)) or kept[-1])
    inference.run_waiting()
    assert kept == [True] * 4  # three parts and the heat map of the peak
    assert Prediction.objects.get().state == "ready"


def test_stack_whose_decoder_was_ended_is_tried_again_and_at_last_goes_without_it(inference, send, monkeypatch):
    for n in range(4):
        send(head(n))
    close_all()
    really = stacks.decoding.decode
    bad = next(iter(stacks.images_of(Scan.objects.get(), 1))).original

    def ended(data, index=None):
        with stacks.default_storage.open(bad) as file:
            if data == file.read():
                raise Ended("memory", Used())
        return really(data, index)

    monkeypatch.setattr(stacks.decoding, "decode", ended)
    inference.run_waiting()
    row = Prediction.objects.get()
    assert row.state == "ready", row.failure
    assert row.attempts == settings.INFERENCE_ATTEMPTS and row.profile[0] is None
    assert sum(p is not None for p in row.profile) >= 1


def test_second_revision_is_looked_at_whole_and_the_first_opinion_stands(inference, send):
    for n in (0, 1, 3):
        send(head(n))
    close_all()
    inference.run_waiting()
    send(head(2))
    close_all()
    inference.run_waiting()
    first, second = Prediction.objects.order_by("scan_revision")
    assert (len(first.profile), len(second.profile)) == (3, 4)
    assert (first.state, second.state) == ("ready", "ready")


@pytest.mark.parametrize("per_side", [2, 4, 5, 6, 7, 8])
def test_mosaic_that_its_header_does_not_part_is_rejected_as_several_heads(inference, send, per_side):
    send(mosaic(per_side, per_side**2, header=False))
    close_all()
    inference.run_waiting()
    scan = Scan.objects.get()
    assert (scan.analysis, scan.rejected_code) == ("rejected", "several_heads")
