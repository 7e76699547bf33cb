"""From files to opinions, many at once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.images.decode import decode
from mlcore.images.decoded import Decoded, Refused
from mlcore.measure.calibrate import softmax, tumour_probability
from mlcore.measure.conformal import label_sets
from mlcore.measure.metrics import opinions
from mlcore.model.spec import ModelSpec
from mlcore.networks import artifact
from mlcore.networks.engine import EngineFailed, Forward, NotFinite, started
from mlcore.networks.ood import Detector, describe
from mlcore.preprocessing.preprocess import Prepared, prepare, square_to_frame
from mlcore.preprocessing.quality import OUT_OF_DISTRIBUTION, assess
from mlcore.serving.explain import evidence_weights, tumour_map

if TYPE_CHECKING:
    # LiteRT serves without TensorFlow, whose import alone takes seconds and half a gigabyte.
    from tensorflow import keras

__all__ = ["HEATMAP_SIDE", "NotFinite", "Opinion", "Predictor", "Refused"]

HEATMAP_SIDE = 256
UNCERTAIN = "uncertain"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opinion:
    """What a model says of one scan.

    Attributes
    ----------
    label : str
        The likeliest leaf that agrees with the finding.
    finding : str
        `tumour` or `no_tumour`, by the model's threshold.
    probabilities : dict of str to float
        By leaf, calibrated, summing to 1.
    tumour_probability : float
        1 - p(no_tumour).
    warnings : tuple of str
        Of `out_of_distribution`, `low_quality`, `first_frame`, `several_heads`, `uncertain`.
    heatmap : numpy.ndarray, shape (h, w), dtype uint8
        Over the whole original image in its proportions, longest side at most 256, 0 outside the crop: where the
        image speaks for a tumour, as strongly as the probability.
    box : (int, int, int, int)
        The crop (x0, y0, x1, y1) in pixels of the original.
    label_set : tuple of str
        The leaves that cannot be ruled out at the model's error rate, `label` among them (see
        `mlcore.measure.conformal`); empty where the model gives no sets.
    """

    label: str
    finding: str
    probabilities: dict[str, float]
    tumour_probability: float
    warnings: tuple[str, ...]
    heatmap: np.ndarray
    box: tuple[int, int, int, int]
    label_set: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Ready:
    """A file that passed decoder and quality check."""

    decoded: Decoded
    prepared: Prepared
    warnings: tuple[str, ...]


class Predictor:
    """A loaded model.

    Parameters
    ----------
    run : callable
        The network: float32 (N, size, size, channels) to logits (N, leaves) and maps (N, h, w, c).
    spec : ModelSpec
        Its description.
    evidence : numpy.ndarray, shape (leaves, c)
        As `mlcore.serving.explain.evidence_weights` gives it.
    detector : Detector or None
        What its training features look like.
    sha256 : str
        Its identity.
    threads : int
        With how many threads it runs; 0 where TensorFlow chose.
    engine : str
        What runs it: `litert` or `tensorflow`.

    Notes
    -----
    Its attribute `decode` is what decodes a file: `mlcore.images.decode.decode`, or one that does so elsewhere.
    """

    def __init__(
        self,
        run: Forward,
        spec: ModelSpec,
        evidence: np.ndarray,
        detector: Detector | None,
        sha256: str,
        threads: int,
        engine: str,
    ) -> None:
        self.spec, self.sha256, self.threads, self.engine = spec, sha256, threads, engine
        self.decode: Callable[[bytes], Decoded] = decode
        self._run, self._evidence, self._detector = run, evidence, detector

    @classmethod
    def load(
        cls, folder: Path, *, expected_sha256: str | None = None, threads: int = 1, engine: str = "litert"
    ) -> Predictor:
        """Load a model folder and run it once, so that the first scan need not wait.

        Parameters
        ----------
        folder : Path
            As `mlcore.networks.artifact.save` wrote it.
        expected_sha256 : str, optional
            The identity that the model must have.
        threads : int
            For the network and OpenCV.
        engine : str
            `litert`, where TensorFlow takes over if the folder holds no engine or it fails on this machine, or
            `tensorflow`.

        Raises
        ------
        ArtifactDamaged
            Where the folder is not what it should be.
        NotFinite
            Where the network gives something that is no number.
        """
        if engine not in ("litert", "tensorflow"):
            raise ValueError(f"The engine {engine!r} is unknown; known are litert and tensorflow.")
        folder = Path(folder)
        served = artifact.load_servable(folder, expected_sha256=expected_sha256) if engine == "litert" else None
        if served is not None:
            try:
                return cls._with_litert(served, artifact.sha256_of(folder), threads)
            except EngineFailed as failed:
                _log.warning("%s TensorFlow runs the model %s instead.", failed, served.spec.name)
        model, spec, detector = artifact.load_all(folder, expected_sha256=expected_sha256)
        return cls.of_network(model, spec, detector, artifact.sha256_of(folder), threads)

    @classmethod
    def _with_litert(cls, served: artifact.Servable, sha256: str, threads: int) -> Predictor:
        cv2.setNumThreads(threads)
        spec = served.spec
        run = started(served.engine, spec.size, spec.channels, threads)
        try:
            evidence = evidence_weights(served.kernel, run.maps_shape, spec.leaves)
        except ValueError as error:
            raise artifact.ArtifactDamaged(f"The engine is of another network: {error}") from error
        return cls(run, spec, evidence, served.detector(run.maps_shape[2]), sha256, threads, "litert")

    @classmethod
    def of_network(
        cls, model: keras.Model, spec: ModelSpec, detector: Detector | None, sha256: str, threads: int
    ) -> Predictor:
        """Serve a network by TensorFlow; parameters as of the class. Raises `NotFinite`."""
        from mlcore.networks.runtime import forward, limit_threads

        held = limit_threads(threads)
        run = forward(model, spec)
        kernel = np.asarray(model.get_layer("head").kernel.numpy())
        shape = tuple(int(side) for side in model.get_layer("maps").output.shape[1:])
        evidence = evidence_weights(kernel, (shape[0], shape[1], shape[2]), spec.leaves)
        run(np.zeros((1, spec.size, spec.size, spec.channels), np.float32))
        return cls(run, spec, evidence, detector, sha256, held, "tensorflow")

    def logits(self, tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run the network: logits (N, leaves) and maps (N, h, w, c) for prepared tensors (N, size, size, channels)."""
        return self._run(tensors)

    def predict(self, files: Sequence[bytes]) -> list[Opinion | Refused]:
        """Give an opinion on each file.

        Parameters
        ----------
        files : sequence of bytes
            Whole files; one that is refused harms no other.

        Returns
        -------
        list of Opinion or Refused
            In the order of the files.

        Raises
        ------
        NotFinite
            Where the network gave something that is no number.
        """
        return self.predict_decoded([functools.partial(self.decode, data) for data in files])

    def predict_decoded(self, sources: Sequence[Callable[[], Decoded]]) -> list[Opinion | Refused]:
        """Give an opinion on each image that a source decodes; answers and errors as of `predict`.

        Parameters
        ----------
        sources : sequence of callable
            Each decodes one image, or raises `Refused`.
        """
        readied = [self._ready(source) for source in sources]
        good = [each for each in readied if isinstance(each, _Ready)]
        said = iter(self._opinions(good))
        return [next(said) if isinstance(each, _Ready) else each for each in readied]

    def _ready(self, source: Callable[[], Decoded]) -> _Ready | Refused:
        try:
            decoded = source()
        except Refused as refused:
            return refused
        prepared = prepare(decoded, self.spec)
        quality = assess(decoded, prepared)
        return quality.refusal or _Ready(decoded, prepared, quality.warnings)

    def _opinions(self, good: Sequence[_Ready]) -> list[Opinion]:
        if not good:
            return []
        tensors = np.stack([each.prepared.tensor for each in good])
        logits, maps = self._run(tensors)
        probabilities = softmax(logits, self.spec.temperature)
        if not np.isfinite(probabilities).all():
            raise NotFinite("The calibrated probabilities are no numbers.")
        scores = tumour_probability(probabilities, self.spec.leaves)
        labels = opinions(probabilities, self.spec.leaves, self.spec.threshold)
        inside = np.zeros(probabilities.shape, dtype=bool)
        if self.spec.cuts:
            inside = label_sets(probabilities, self.spec.cuts, self.spec.leaves, labels)
        far = np.zeros(len(good), dtype=bool)
        if self._detector is not None:
            far = self._detector.score(describe(tensors, maps)) > self.spec.novelty_threshold
        low, high = self.spec.uncertain
        made = []
        for i, each in enumerate(good):
            warnings = [*each.warnings]
            warnings += [OUT_OF_DISTRIBUTION] if far[i] and OUT_OF_DISTRIBUTION not in warnings else []
            warnings += [UNCERTAIN] if low <= scores[i] <= high else []
            heat = tumour_map(maps[i], self._evidence, probabilities[i], self.spec.leaves)
            made.append(
                Opinion(
                    label=labels[i],
                    finding=NO_TUMOUR if labels[i] == NO_TUMOUR else TUMOUR,
                    probabilities={leaf: float(p) for leaf, p in zip(self.spec.leaves, probabilities[i], strict=True)},
                    tumour_probability=float(scores[i]),
                    warnings=tuple(warnings),
                    heatmap=square_to_frame(heat, each.prepared.box, each.decoded.pixels.shape[:2], HEATMAP_SIDE),
                    box=each.prepared.box,
                    label_set=tuple(leaf for leaf, member in zip(self.spec.leaves, inside[i], strict=True) if member),
                )
            )
        return made
