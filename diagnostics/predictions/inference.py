"""Run the model over what waits. Worker only: imported inside a task body, never by the web process."""

import contextlib
import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import cv2
import numpy as np
import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext_noop

from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelState, ModelVersion
from diagnostics.scans import decoding
from mlcore.images.decoded import Refused
from mlcore.images.decoding.process import Ended
from mlcore.networks.artifact import ArtifactDamaged
from mlcore.serving.predict import Opinion, Predictor
from mlcore.serving.stack_rule import StackOpinion

from . import run_state, services, stacks
from .models import Prediction

log = structlog.get_logger(__name__)

# The live model and the one before it, so that a promotion or rollback under way loads nothing twice.
_LOADED: "OrderedDict[str, Predictor]" = OrderedDict()
_KEEP = 2
# Versions of which this process knows that no alarm of theirs stands.
_WHOLE: set[str] = set()


def run_waiting() -> int:
    """Work until nothing waits; how many rows were finished or failed."""
    live = registry.live()
    if live is not None and live.sha256 not in _LOADED:
        # Scans that came while no model was in use; looking for them costs the more the more scans there are.
        services.queue_missing(live)
        _warm(live)
    done = 0
    while (batch := _next_batch()) is not None:
        done += _run(batch)
    return done


def _next_batch() -> run_state.Batch | None:
    """Claim what waits. The model in use is asked for anew each time: a roll-back holds from the next batch on."""
    live = registry.live()
    if live is not None:
        run_state.follow(live)
    return run_state.claim_waiting(limit=settings.INFERENCE_BATCH)


def _warm(version: ModelVersion) -> None:
    """Load before claiming, so that no lease runs while TensorFlow starts."""
    with contextlib.suppress(ArtifactDamaged):
        serving(version)


def serving(version: ModelVersion) -> tuple[ModelVersion, Predictor]:
    """The model that serves for ``version``, loaded: itself, or the former one where its files are damaged.

    A stand-in raises an alarm that stays until the files load again; every row says which version really spoke.

    Raises
    ------
    ArtifactDamaged
        There is no former model, or its files are damaged too.
    """
    try:
        predictor = predictor_for(version)
    except ArtifactDamaged as error:
        log.error("model_damaged", model_version=version.number, error=str(error))
        former = registry.previous() if version.state == ModelState.LIVE else None
        if former is None:
            registry.raise_alarm(version=version, stand_in=None)
            raise
        try:
            predictor = predictor_for(former)
        except ArtifactDamaged:
            log.error("former_model_damaged", model_version=former.number)
            registry.raise_alarm(version=version, stand_in=None)
            raise error from None
        registry.raise_alarm(version=version, stand_in=former)
        return former, predictor
    if version.sha256 not in _WHOLE:
        registry.end_alarm(version)
        _WHOLE.add(version.sha256)
    return version, predictor


def predictor_for(version: ModelVersion) -> Predictor:
    """The loaded model, verified by hash when it is loaded.

    Raises
    ------
    ArtifactDamaged
    """
    predictor = _LOADED.get(version.sha256)
    if predictor is None:
        _WHOLE.discard(version.sha256)
        folder = registry.fetch(version)
        predictor = Predictor.load(folder, expected_sha256=version.sha256, threads=settings.INFERENCE_THREADS)
        # Not in this process: an image that brings its decoder down takes no other scan with it.
        predictor.decode = decoding.decode
        _LOADED[version.sha256] = predictor
        while len(_LOADED) > _KEEP:
            _LOADED.popitem(last=False)
        log.info("model_loaded", model_version=version.number)
    _LOADED.move_to_end(version.sha256)
    return predictor


def _run(batch: run_state.Batch) -> int:
    """One batch from claim to commit."""
    try:
        speaker, predictor = serving(batch.model_version)
    except ArtifactDamaged:
        failure = run_state.Failure(
            "model_damaged",
            gettext_noop(
                "The model's files are damaged, so nothing was analysed. An administrator must roll back or "
                "reinstall the model. Then retry."
            ),
        )
        return run_state.finish(
            batch=batch, outcomes={prediction.pk: failure for prediction in batch.predictions}, provenance={}
        )
    written = 0
    try:
        for part, look in _parts(batch):
            outcomes = look(part, predictor, batch)
            written += run_state.finish(
                batch=batch, outcomes=outcomes, speaker=speaker, provenance=_provenance(predictor)
            )
    except Exception:
        # The edge of the task: whatever broke, the rows go back and are tried one at a time, three times at most.
        log.exception("batch_failed", size=len(batch.predictions), model_version=batch.model_version.number)
        run_state.give_back(batch=batch)
        return written
    if written < len(batch.predictions):
        # The machine may have ended the decoder, not the file: those are tried again, one at a time.
        run_state.give_back(batch=batch)
    return written


def _provenance(predictor: Predictor) -> dict[str, str]:
    return {
        "weights_sha256": predictor.sha256,
        "preprocess_version": predictor.spec.preprocess_version,
        "code_revision": settings.CODE_REVISION,
    }


Outcomes = dict[UUID, run_state.Result | run_state.Failure]
Look = Callable[[list[Prediction], Predictor, run_state.Batch], Outcomes]


def _parts(batch: run_state.Batch) -> Iterator[tuple[list[Prediction], Look]]:
    """The rows that are looked at together: all scans of one image, then each stack by itself."""
    single = [prediction for prediction in batch.predictions if prediction.scan.image_count == 1]
    if single:
        yield single, _look_at_images
    for prediction in batch.predictions:
        if prediction.scan.image_count > 1:
            yield [prediction], _look_at_stack


def _look_at_images(predictions: list[Prediction], predictor: Predictor, batch: run_state.Batch) -> Outcomes:
    """Scans of one image each, all of them in one go."""
    outcomes: Outcomes = {}
    files: list[tuple[Prediction, bytes]] = []
    for prediction in predictions:
        try:
            with default_storage.open(prediction.scan.original) as file:
                files.append((prediction, file.read()))
        except FileNotFoundError:
            outcomes[prediction.pk] = _file_missing(prediction)
    with _no_longer_than(settings.INFERENCE_LEASE_SECONDS, batch):
        opinions = predictor.predict([data for _, data in files])
    for (prediction, _), opinion in zip(files, opinions, strict=True):
        if _may_end(prediction, opinion):
            outcomes[prediction.pk] = _outcome(prediction, opinion)
    return outcomes


def _look_at_stack(predictions: list[Prediction], predictor: Predictor, batch: run_state.Batch) -> Outcomes:
    """One stack, image by image; the claim is kept while it takes longer than a lease."""
    (prediction,) = predictions

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        run_state.renew(batch)
        with _no_longer_than(settings.INFERENCE_LEASE_SECONDS, batch):
            yield

    try:
        last_try = prediction.attempts >= settings.INFERENCE_ATTEMPTS
        found = stacks.look_at(predictor, prediction.scan, prediction.scan_revision, watched, last_try=last_try)
    except FileNotFoundError:
        return {prediction.pk: _file_missing(prediction)}
    if isinstance(found, Refused):
        return {prediction.pk: _outcome(prediction, found)} if _may_end(prediction, found) else {}
    opinion, heatmap = found
    result = _result(prediction, opinion, profile=opinion.profile, peak=opinion.peak)
    return {prediction.pk: _published(result, heatmap)}


def _may_end(prediction: Prediction, opinion: object) -> bool:
    """Whether this answer is the last word: where a limit ended the decoder, the scan is tried again."""
    return not isinstance(opinion, Ended) or prediction.attempts >= settings.INFERENCE_ATTEMPTS


def _file_missing(prediction: Prediction) -> run_state.Failure:
    log.error("original_missing", scan=str(prediction.scan_id))
    return run_state.Failure(
        "file_missing",
        gettext_noop("The stored image is missing. Tell your administrator and upload the file again."),
    )


@contextlib.contextmanager
def _no_longer_than(seconds: float, batch: run_state.Batch) -> Iterator[None]:
    """End this process where a batch hangs: a worker that waits for ever would keep every other scan waiting.

    The pool starts another child at once; the rows are free by then, for their lease is over, and are tried singly.
    """

    def end() -> None:
        log.critical("batch_hangs", seconds=seconds, scans=[str(row.scan_id) for row in batch.predictions])
        os._exit(1)

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _outcome(prediction: Prediction, opinion: Opinion | Refused) -> run_state.Result | run_state.Failure:
    """Translate the model's answer, and store its heat map beside."""
    if isinstance(opinion, Ended):
        # It was decoded when it was uploaded, so it is no bad file: the scan stays readable, without an AI result.
        return run_state.Failure(opinion.code, opinion.sentence)
    if isinstance(opinion, Refused):
        return run_state.Failure(opinion.code, opinion.sentence, rejects=True)
    return _published(_result(prediction, opinion), opinion.heatmap)


def _result(
    prediction: Prediction,
    opinion: Opinion | StackOpinion,
    *,
    profile: Sequence[float | None] | None = None,
    peak: int | None = None,
) -> run_state.Result:
    return run_state.Result(
        label=opinion.label,
        finding=opinion.finding,
        probabilities=opinion.probabilities,
        tumour_probability=opinion.tumour_probability,
        warnings=opinion.warnings,
        heatmap=f"heatmaps/{prediction.pk}.png",
        profile=profile,
        peak=peak,
    )


def _published(result: run_state.Result, heatmap: np.ndarray) -> run_state.Result | run_state.Failure:
    """The result with its heat map stored, or why it is none."""
    try:
        result.check()
    except run_state.NotAResult as error:
        return run_state.Failure("not_a_result", f"{error} Nothing was published. Tell your administrator.")
    default_storage.save(result.heatmap, ContentFile(heatmap_png(heatmap)))
    return result


def heatmap_png(heat: np.ndarray) -> bytes:
    """A heat map as a transparent PNG.

    Parameters
    ----------
    heat
        (height, width) uint8, aligned with the whole original image; 0 says nothing.

    Returns
    -------
    bytes
        PNG of 256 colours: a perceptual palette (inferno), opaque in proportion to the influence.
    """
    height, width = heat.shape
    rows = np.empty((height, 1 + width), np.uint8)
    # Filter 2: each row is stored as what it differs from the one above by, which packs smooth maps best.
    rows[:, 0] = 2
    rows[0, 1:] = heat[0]
    np.subtract(heat[1:], heat[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", _PALETTE), (b"tRNS", bytes(range(256)))]
    parts += [(b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in parts)


_PALETTE = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1].tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
