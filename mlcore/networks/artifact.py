"""A model as a folder: `weights.npz`, `spec.json`, `report.json`, `card.md`, known by the hash of the first two.

The weights are plain arrays (no pickle), and the network is built by code from the spec. Beside the arrays lies the
same network as LiteRT reads it: within the file that the hash covers, so that whatever serves is what was published.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcore.model.card import card
from mlcore.model.identity import CARD, REPORT, SPEC, WEIGHTS, ArtifactDamaged, sha256_of
from mlcore.model.spec import ModelSpec, SpecDamaged
from mlcore.networks.engine import Engine
from mlcore.networks.ood import BESIDE, BESIDE_WITHOUT_TEXTURE, Detector
from mlcore.preprocessing.preprocess import PREPROCESS_VERSION

if TYPE_CHECKING:
    # What only reads a model must not wait for TensorFlow.
    from tensorflow import keras

__all__ = [
    "CARD",
    "REPORT",
    "SPEC",
    "WEIGHTS",
    "ArtifactDamaged",
    "Servable",
    "arrays_of",
    "how_many_seen",
    "load",
    "load_all",
    "load_report",
    "load_servable",
    "load_spec",
    "marks_of",
    "save",
    "seen_by",
    "sha256_of",
]
_DETECTOR_MEANS, _DETECTOR_PRECISION = "novelty/means", "novelty/precision"
_DETECTOR_LINE, _DETECTOR_SCALE = "novelty/line", "novelty/scale"
_DETECTOR = (_DETECTOR_MEANS, _DETECTOR_PRECISION, _DETECTOR_LINE, _DETECTOR_SCALE)
_ENGINE, _PROBE = "engine/litert", "engine/probe"
_SEEN, _MARK = "training/seen", 8
_KERNEL = "head/kernel"


def arrays_of(model: keras.Model, detector: Detector | None, engine: Engine | None = None) -> dict[str, np.ndarray]:
    """Name every array of a model: float32, and the engine's bytes."""
    arrays = {variable.path: np.asarray(variable.numpy(), np.float32) for variable in model.weights}
    if detector is not None:
        arrays[_DETECTOR_MEANS] = detector.means
        arrays[_DETECTOR_PRECISION] = detector.precision
        if detector.line is not None and detector.scale is not None:
            arrays[_DETECTOR_LINE], arrays[_DETECTOR_SCALE] = detector.line, detector.scale
    if engine is not None:
        arrays[_ENGINE] = np.frombuffer(engine.content, np.uint8)
        arrays[_PROBE] = engine.probe
    return arrays


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Give the bytes of an npz file that depend on nothing but the arrays; numpy's own carry the time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(entry, one.getvalue())
    return buffer.getvalue()


def save(
    folder: Path,
    model: keras.Model,
    spec: ModelSpec,
    report: Mapping[str, Any],
    detector: Detector | None = None,
    engine: Engine | None = None,
    *,
    seen: np.ndarray | None = None,
) -> str:
    """Write a model folder, whole or not at all.

    Parameters
    ----------
    folder : Path
        Where to; an older model there is replaced.
    model : keras.Model
        Built by `architectures.build(spec)`.
    spec : ModelSpec
        Its description.
    report : mapping
        What `mlcore.training.train` measured; JSON-able.
    detector : Detector, optional
        What the training features look like; without it nothing is called out of distribution.
    engine : Engine, optional
        The network for LiteRT; without it TensorFlow serves.
    seen : numpy.ndarray, optional
        By `marks_of`: the images that the weights, or what was chosen after them, have seen.

    Returns
    -------
    str
        The model's identity, as `sha256_of` gives it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        arrays = arrays_of(model, detector, engine)
        if seen is not None:
            arrays[_SEEN] = seen
        (made / WEIGHTS).write_bytes(_packed(arrays))
        (made / SPEC).write_text(spec.to_json(), encoding="utf-8")
        sha256 = sha256_of(made)
        written = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (made / REPORT).write_text(written + "\n", encoding="utf-8")
        (made / CARD).write_text(card(spec, report, sha256), encoding="utf-8")
        made.chmod(0o755)
        if folder.exists():
            old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
            folder.rename(old)
            made.rename(folder)
            shutil.rmtree(old)
        else:
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return sha256


def marks_of(hashes: Iterable[str]) -> np.ndarray:
    """Give the first eight bytes of images' sha256 (hexadecimal), uint8 (N, 8), sorted: enough to know each again."""
    short = sorted({bytes.fromhex(each)[:_MARK] for each in hashes})
    return np.frombuffer(b"".join(short), np.uint8).reshape(-1, _MARK)


def seen_by(folder: Path) -> np.ndarray | None:
    """Give the marks of the images that a model has seen; None for one of before that was noted.

    Raises `ArtifactDamaged`.
    """
    marks = _read_arrays(folder / WEIGHTS, only=(_SEEN,)).get(_SEEN)
    if marks is not None and (marks.dtype != np.uint8 or marks.ndim != 2 or marks.shape[1] != _MARK):
        raise ArtifactDamaged("What the model says of the images that it has seen cannot be read.")
    return marks


def how_many_seen(folder: Path, hashes: Iterable[str]) -> int | None:
    """Count those of some images, by their sha256, that a model has seen in training or in what followed it.

    None for a model that does not say. Raises `ArtifactDamaged`.
    """
    marks = seen_by(folder)
    if marks is None:
        return None
    inside = {row.tobytes() for row in marks}
    return sum(bytes.fromhex(each)[:_MARK] in inside for each in hashes)


def load_spec(folder: Path) -> ModelSpec:
    """Read the spec alone; `ArtifactDamaged` where it cannot be."""
    try:
        return ModelSpec.from_json((folder / SPEC).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SpecDamaged) as error:
        raise ArtifactDamaged(f"The model folder {folder.name} has no readable {SPEC}: {error}") from error


def load_report(folder: Path) -> dict[str, Any]:
    """Read the report alone; `ArtifactDamaged` where it cannot be."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactDamaged(f"The model folder {folder.name} has no readable {REPORT}: {error}") from error
    if not isinstance(report, dict):
        raise ArtifactDamaged(f"The {REPORT} of {folder.name} is no report.")
    return report


def load(folder: Path, *, expected_sha256: str | None = None) -> tuple[keras.Model, ModelSpec]:
    """Read a model folder.

    Parameters
    ----------
    folder : Path
        As written by `save`.
    expected_sha256 : str, optional
        The identity that the model must have.

    Returns
    -------
    keras.Model, ModelSpec
        The network with its weights, and its description.

    Raises
    ------
    ArtifactDamaged
        On any mismatch of hash, version, names, shapes, or numbers that are none.
    """
    model, spec, _ = load_all(folder, expected_sha256=expected_sha256)
    return model, spec


def load_all(folder: Path, *, expected_sha256: str | None = None) -> tuple[keras.Model, ModelSpec, Detector | None]:
    """Read a model folder with its detector of other pictures; otherwise as `load`."""
    from mlcore.networks import architectures

    spec = _checked_spec(folder, expected_sha256)
    arrays = _read_arrays(folder / WEIGHTS)
    for name in (_ENGINE, _PROBE, _SEEN):
        arrays.pop(name, None)
    try:
        model = architectures.build(spec)
    except SpecDamaged as error:
        raise ArtifactDamaged(str(error)) from error
    detector = _detector(arrays, len(spec.leaves), int(model.output["maps"].shape[-1]))
    wanted = {variable.path: tuple(variable.shape) for variable in model.weights}
    if {name: array.shape for name, array in arrays.items()} != wanted:
        raise ArtifactDamaged(f"The weights do not fit the architecture {spec.architecture}.")
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model, spec, detector


@dataclass(frozen=True)
class Servable:
    """What serving needs of a model where LiteRT runs it.

    Attributes
    ----------
    spec : ModelSpec
        Its description.
    engine : Engine
        The network.
    kernel : numpy.ndarray, shape (features, leaves), dtype float32
        Of the head, for the heat map.
    arrays : dict of str to numpy.ndarray
        What tells that an image is unlike those of the training.
    """

    spec: ModelSpec
    engine: Engine
    kernel: np.ndarray
    arrays: dict[str, np.ndarray]

    def detector(self, channels: int) -> Detector | None:
        """Give the detector, for maps of so many channels; `ArtifactDamaged` where it misfits."""
        return _detector(dict(self.arrays), len(self.spec.leaves), channels)


def load_servable(folder: Path, *, expected_sha256: str | None = None) -> Servable | None:
    """Read a model folder without TensorFlow; None where it holds no engine. Raises `ArtifactDamaged`."""
    spec = _checked_spec(folder, expected_sha256)
    arrays = _read_arrays(folder / WEIGHTS, only=(_ENGINE, _PROBE, _KERNEL, *_DETECTOR))
    content, probe, kernel = (arrays.pop(name, None) for name in (_ENGINE, _PROBE, _KERNEL))
    if content is None:
        return None
    if probe is None or kernel is None or probe.shape != (len(spec.leaves),) or content.dtype != np.uint8:
        raise ArtifactDamaged("The engine of the model is incomplete.")
    return Servable(spec, Engine(content.tobytes(), probe), kernel, arrays)


def _checked_spec(folder: Path, expected_sha256: str | None) -> ModelSpec:
    """Read the spec of a folder whose hash is the expected one and whose preprocessing is ours."""
    found = sha256_of(folder)
    if expected_sha256 is not None and found != expected_sha256:
        raise ArtifactDamaged(
            f"The model folder {folder.name} has the hash {found[:12]}…, expected was {expected_sha256[:12]}…."
        )
    spec = load_spec(folder)
    if spec.preprocess_version != PREPROCESS_VERSION:
        raise ArtifactDamaged(
            f"The model was trained on preprocessing {spec.preprocess_version}, this code has {PREPROCESS_VERSION}."
        )
    return spec


def _read_arrays(path: Path, only: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Read the arrays, or those of them that are wanted: float32, but for what is kept as bytes."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = [name for name in stored.files if only is None or name in only]
            arrays = {
                name: np.asarray(stored[name], None if name in (_ENGINE, _SEEN) else np.float32) for name in names
            }
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArtifactDamaged(f"The weights cannot be read: {error}.") from error
    except Exception as error:  # zlib and the npy header parser raise what they like on altered bytes
        raise ArtifactDamaged("The weights cannot be read.") from error
    if any(array.dtype == np.float32 and not np.isfinite(array).all() for array in arrays.values()):
        raise ArtifactDamaged("The weights hold values that are no numbers.")
    return arrays


def _detector(arrays: dict[str, np.ndarray], leaves: int, channels: int) -> Detector | None:
    """Take the detector out of the arrays, for so many leaves and channels of maps."""
    means, precision, line, scale = (arrays.pop(name, None) for name in _DETECTOR)
    if all(each is None for each in (means, precision, line, scale)):
        return None
    if means is None or precision is None or (line is None) != (scale is None):
        raise ArtifactDamaged("What the model knows of its training images is incomplete.")
    known = [2 * channels + beside for beside in (BESIDE, BESIDE_WITHOUT_TEXTURE)]
    if (means.shape, precision.shape) not in [((leaves, numbers), (numbers, numbers)) for numbers in known]:
        raise ArtifactDamaged("What the model knows of its training images does not fit this code.")
    # A line is of the newest description only.
    if line is not None and scale is not None and (line.shape, scale.shape) != ((4, known[0]), (5,)):
        raise ArtifactDamaged("What the model knows of strangers does not fit this code.")
    return Detector(means, precision, line, scale)
