"""Small model folders for tests: the right files with nothing useful in them, and no TensorFlow needed."""

import json
from pathlib import Path

from diagnostics.models import ModelVersion
from diagnostics.registry import requests
from diagnostics.registry import services as registry
from diagnostics.registry.services import register
from diagnostics.scans.access import Permission, may

SPEC = {
    "architecture": "seed_cnn",
    "channels": 3,
    "code_revision": "",
    "data_sha256": "",
    "leaves": ["no_tumour", "tumour"],
    "name": "toy",
    "novelty_threshold": None,
    "preprocess_version": "1",
    "settings": {},
    "size": 16,
    "temperature": 1.0,
    "threshold": 0.5,
    "trained_on": {},
    "uncertain": [0.4, 0.6],
}


def number(value: float | None, spread: float = 0.05) -> dict[str, float | None]:
    """A measure with its interval, as a report has it."""
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}


def report(accuracy: float = 0.8) -> dict:
    """A report as mlcore.training.train writes it, on made-up counts."""
    return {
        "test": part(accuracy),
        "validation": part(accuracy),
        "novelty": {"threshold": 9.5, "flagged": {"test": 0.02}},
        "uncertain": {"test": {"share": 0.1, "wrong_inside": 0.5, "wrong_outside": 0.1}},
        "training": {"command": "", "settings": {"epochs": 2}, "seconds": 12.0, "parameters": 120_000},
    }


def part(accuracy: float = 0.8) -> dict:
    """What was measured on one part."""
    names = ("accuracy", "auroc", "auprc", "sensitivity", "specificity", "brier", "ece", "macro_f1")
    measured = {
        "n": 40,
        "n_groups": 31,
        "n_tumour": 24,
        "metrics": {name: number(accuracy) for name in names} | {"type_accuracy": number(None)},
        "per_class": {
            leaf: {"n": 20, "sensitivity": number(accuracy), "precision": number(accuracy)}
            for leaf in ("no_tumour", "tumour")
        },
    }
    return measured | {
        "dummy": {name: number(0.5) for name in names},
        "threshold": 0.5,
        "confusion": {
            "truth": ["no_tumour", "tumour"],
            "opinion": ["no_tumour", "tumour"],
            "counts": [[13, 3], [4, 20]],
        },
        "roc": [[0.0, 0.0], [0.1, 0.7], [0.4, 0.9], [1.0, 1.0]],
        "pr": [[0.5, 1.0], [1.0, 0.6]],
        "calibration": [
            {"n": 20, "predicted": 0.2, "observed": 0.25},
            {"n": 20, "predicted": 0.8, "observed": 0.7},
        ],
        "by_source": {},
    }


def model_folder(place: Path, weights: bytes = b"weights", *, accuracy: float = 0.8, **spec: object) -> Path:
    """A model folder in ``place``; other weights make another model."""
    folder = place / f"model-{weights.hex()[:24]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.npz").write_bytes(weights)
    (folder / "spec.json").write_text(json.dumps(SPEC | spec, sort_keys=True))
    (folder / "report.json").write_text(json.dumps(report(accuracy)))
    (folder / "card.md").write_text("# A toy\n\nNot for use.\n")
    return folder


def stored_model(place: Path, weights: bytes = b"weights", **options: object) -> ModelVersion:
    """A registered candidate whose files lie in the storage, so that it can be promoted."""
    return register(by=None, folder=model_folder(place, weights, **options))


def put_into_use(by, version, why="An exception for a test, as nothing is measured here."):
    """Promote a model that no gate has judged: alone, or where there is another administrator with their approval."""
    try:
        return registry.promote(by=by, version=version, reason=why, name=str(version))
    except registry.SecondAdministratorNeeded:
        asked = requests.propose(by=by, version=version, reason=why)
        people = type(by).objects.filter(is_active=True).exclude(pk=by.pk)
        other = next(each for each in people if may(each, Permission.PROMOTE))
        return requests.approve(by=other, request=asked, exception=why, name=str(version)).promotion
