"""Whether a model goes by the file instead of by the head.

    python -m benchmarks.shortcuts MODEL [--data ../shared/data] [--json]

In public sets the size of a picture and of its file tell what is on it. A probe that sees nothing else (the 15 nearest
images of the training part by width, height and bytes) shows how well. Then the test part is given to the model as it
is, and again after every picture was made as large as any other, or as one of the opposite finding, and compressed
anew: what goes by the head says the same. MODEL must not have seen the test part: a model of `mlcore train`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mlcore.data.dataset import Item, from_folder
from mlcore.data.labels import NO_TUMOUR
from mlcore.images.decode import decode
from mlcore.measure.calibrate import softmax
from mlcore.measure.evaluate import compare, evaluate
from mlcore.measure.metrics import Scored, ranking
from mlcore.preprocessing.preprocess import crop, to_tensor
from mlcore.serving.predict import Predictor

_NEAREST = 15
_SIDE = 256


def _looks(item: Item) -> np.ndarray:
    """Give width, height and bytes, in logarithms."""
    data = Path(item.path).read_bytes()
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2]
    return np.log([width, height, len(data)])


def probe(learned: list[Item], asked: list[Item]) -> float:
    """Give the AUROC of telling a tumour by the looks of the file alone."""
    known, seen = np.stack([_looks(item) for item in learned]), np.stack([_looks(item) for item in asked])
    spread = known.std(axis=0) + 1e-9
    tumour = np.array([item.label != NO_TUMOUR for item in learned])
    apart = np.linalg.norm((seen[:, None] - known[None]) / spread, axis=-1)
    scores = tumour[np.argsort(apart, axis=1, kind="stable")[:, :_NEAREST]].mean(axis=1)
    truth = np.array([item.label != NO_TUMOUR for item in asked])
    return float(ranking(scores, truth, np.ones((1, len(truth))))["auroc"][0])


def _again(picture: np.ndarray, width: int, height: int, quality: int) -> bytes:
    how = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(picture, (width, height), interpolation=how)
    return cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def changes(items: list[Item]) -> dict[str, Callable[[Item, np.ndarray], bytes]]:
    """Give the ways in which a file is made another without touching what is on it."""
    rng = np.random.default_rng(1)
    sides: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for item in items:
        height, width = cv2.imread(item.path, cv2.IMREAD_GRAYSCALE).shape[:2]
        sides[item.label != NO_TUMOUR].append((width, height))

    def alike(item: Item, picture: np.ndarray) -> bytes:
        shrink = _SIDE / max(picture.shape)
        return _again(picture, *(max(1, round(each * shrink)) for each in picture.shape[::-1]), 80)

    def opposite(item: Item, picture: np.ndarray) -> bytes:
        others = sides[item.label == NO_TUMOUR]
        # As long a side as one of the opposite finding, in the picture's own proportions.
        longest = max(others[int(rng.integers(len(others)))])
        scale = longest / max(picture.shape)
        sizes = (max(1, round(each * scale)) for each in picture.shape[::-1])
        return _again(picture, *sizes, int(rng.integers(60, 96)))

    return {
        f"all of {_SIDE} pixels, JPEG 80": alike,
        "as large as one of the opposite finding, JPEG 60 to 95": opposite,
    }


def scored(predictor: Predictor, items: list[Item], change: Callable[[Item, np.ndarray], bytes] | None) -> Scored:
    """Ask the model about the items, changed or not."""
    spec, logits = predictor.spec, []
    for start in range(0, len(items), 64):
        crops = []
        for item in items[start : start + 64]:
            data = Path(item.path).read_bytes()
            if change is not None:
                data = change(item, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))
            crops.append(crop(decode(data), spec.size)[0])
        logits.append(predictor.logits(to_tensor(np.stack(crops), spec.channels))[0])
    return Scored(
        softmax(np.concatenate(logits), spec.temperature),
        [item.label for item in items],
        [item.group for item in items],
        [item.source for item in items],
        spec.leaves,
        spec.threshold,
    )


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.shortcuts", description=__doc__)
    asked.add_argument("model", type=Path)
    asked.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked.add_argument("--json", action="store_true")
    wish = asked.parse_args()
    predictor = Predictor.load(wish.model)
    if predictor.spec.measured:
        sys.exit("This model has seen all of its images; give the measured one.")
    items = from_folder(wish.data, seed=int(str(predictor.spec.settings.get("seed", 1))))
    parts = {part: [item for item in items if item.split == part] for part in ("train", "test")}
    found: dict[str, Any] = {"probe_auroc": {}, "model": {}}
    for source in sorted({item.source for item in items}):
        mine = {part: [item for item in some if item.source == source] for part, some in parts.items()}
        found["probe_auroc"][source] = round(probe(mine["train"], mine["test"]), 4)
    whole = scored(predictor, parts["test"], None)
    found["model"]["as they are"] = {"metrics": evaluate(whole)["metrics"]}
    for name, change in changes(parts["test"]).items():
        other = scored(predictor, parts["test"], change)
        found["model"][name] = {"metrics": evaluate(other)["metrics"], "difference": compare(whole, other)}
    if wish.json:
        print(json.dumps(found))
        return
    for source, value in found["probe_auroc"].items():
        print(f"{source}: AUROC {value:.3f} by width, height and bytes alone")
    for name, each in found["model"].items():
        words = [f"{key} {interval(each['metrics'][key])}" for key in ("auroc", "accuracy", "macro_f1")]
        if "difference" in each:
            words += [f"difference of macro_f1 {interval(each['difference']['macro_f1'])}"]
        print(f"{name}: {', '.join(words)}")


def interval(metric: dict[str, float]) -> str:
    """Write a figure with its interval."""
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**metric)


if __name__ == "__main__":
    main()
