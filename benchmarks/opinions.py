"""The worker against the raw loop, the decoder against bare OpenCV."""

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
from django.core.files.storage import default_storage

from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics.predictions import inference
from diagnostics.predictions.models import Prediction, PredictionState
from mlcore.images.decode import decode
from mlcore.preprocessing.preprocess import prepare
from mlcore.serving.predict import Predictor

BATCH = 32


def ratios(world: World) -> Iterator[Ratio]:
    """Ratios 1, 4 and 6."""
    predictor = inference.predictor_for(world.version)
    yield worker(world, predictor)
    yield queued(world)
    yield from decoding(world.images, predictor)


def worker(world: World, predictor: Predictor) -> Ratio:
    keys = [scan.original for scan in world.scans]

    def loop() -> None:
        for start in range(0, len(keys), BATCH):
            tensors = []
            for key in keys[start : start + BATCH]:
                with default_storage.open(key) as file:
                    data = file.read()
                hashlib.sha256(data).hexdigest()
                tensors.append(prepare(decode(data), predictor.spec).tensor)
            predictor.logits(np.stack(tensors))

    return compare(
        "1",
        f"worker, claim to commit with heat map and audit, {len(keys)} scans queued ↔ raw loop of hash, decode, crop, "
        "resize, batched forward",
        at_least=0.70,
        ours=lambda: worked_off(world, BATCH) / len(keys),
        theirs=lambda: seconds(loop) / len(keys),
        unit="ms a scan",
    )


def worked_off(world: World, batch: int) -> float:
    """Seconds for the worker to work off every scan, in batches of so many."""
    rows = Prediction.objects.all()
    rows.delete()
    Prediction.objects.bulk_create(Prediction(scan=scan, model_version=world.version) for scan in world.scans)
    world.settings.INFERENCE_BATCH = batch
    took = seconds(inference.run_waiting)
    assert rows.filter(state=PredictionState.READY).count() == len(world.scans)
    return took


def queued(world: World) -> Ratio:
    return compare(
        "4",
        f"{len(world.scans)} scans queued, claimed together (up to {BATCH}) ↔ claimed one at a time",
        at_least=3.0,
        ours=lambda: worked_off(world, BATCH) / len(world.scans),
        theirs=lambda: worked_off(world, 1) / len(world.scans),
        unit="ms a scan",
        rounds=5,
    )


def decoding(images: list[bytes], predictor: Predictor) -> Iterator[Ratio]:
    size = predictor.spec.size

    def bare() -> None:
        for data in images:
            grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)

    def checked() -> None:
        for data in images:
            cv2.resize(decode(data).pixels, (size, size), interpolation=cv2.INTER_AREA)

    def whole() -> None:
        for data in images:
            prepare(decode(data), predictor.spec)

    for number, what, ours in (
        ("6a", "decode with every check of the file, resize", checked),
        ("6b", "decode, find the head, crop, scale by percentiles, resize", whole),
    ):
        yield compare(
            number,
            f"{what} ↔ bare `cv2.imdecode` and `cv2.resize`",
            at_least=0.9,
            ours=lambda ours=ours: seconds(ours) / len(images),  # type: ignore[misc]
            theirs=lambda: seconds(bare) / len(images),
            unit="ms an image",
        )
