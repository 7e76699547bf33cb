"""Whether the heat map depends on what the network learned, and whether it points at a lesion that is known.

    python -m benchmarks.heatmaps [MODEL] [--data ../shared/data] [--count 60] [--out docs/heat-maps.md]

Two checks. By randomised weights (Adebayo et al. 2018, arXiv:1810.03292): from the head downwards layer after layer is
made random, and the map is held against the true one by rank correlation; one that stays alike would show the image,
not the network. And the pointing game (Zhang et al. 2016, arXiv:1608.00507): on drawn heads, and on true
healthy ones into which a lesion was drawn, how often the strongest point lies in the lesion, and how often one at
random would.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import rankdata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from diagnostics.scans import phantom
from mlcore.data.dataset import labelled_files
from mlcore.data.labels import NO_TUMOUR, TUMOUR
from mlcore.images.decode import decode, to_display
from mlcore.measure.agreement import Measured, share
from mlcore.measure.calibrate import softmax
from mlcore.networks import artifact
from mlcore.networks.runtime import Forward, forward, limit_threads
from mlcore.preprocessing.preprocess import crop, prepare
from mlcore.serving.explain import evidence_weights, tumour_map
from mlcore.serving.predict import Opinion, Predictor

BUNDLED = Path(__file__).resolve().parents[1] / "mlcore" / "bundled_model"
_SIDE = 256
# The strongest point of a coarse map cannot lie nearer than this to where it belongs: half a cell of it.
_REACH = 1.0


def maps_of(run: Forward, model, spec, tensors: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Heat maps, (N, h, w), of a network and its compiled twin, which follows its weights."""
    logits, maps = run(tensors)
    evidence = evidence_weights(np.asarray(model.get_layer("head").kernel), maps.shape[1:], spec.leaves)
    probabilities = softmax(logits, spec.temperature)
    return np.stack([tumour_map(m, evidence, p, spec.leaves) for m, p in zip(maps, probabilities, strict=True)])


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation of two maps; 0 where one of them is flat, as it then says nothing of the other."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    # Equal values share a rank: where most of both maps is nought, ranks by place would make any two alike.
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def randomised(  # type: ignore[no-untyped-def]
    model, spec, tensors: np.ndarray, steps: int = 6, draws: int = 5, drawn: Callable[..., np.ndarray] = maps_of
) -> Iterator[tuple[float, list[float]]]:
    """Make weights random from the head downwards; give the share of the layers, and the similarity to the true maps.

    The similarity is the mean over the images, one for each draw: a network that is random throughout still shows
    where the head is, as bright or as dark by chance. `drawn` makes the maps that are judged. The weights come back
    after the last step.
    """
    run = forward(model, spec)
    true = drawn(run, model, spec, tensors)
    layers = [layer for layer in reversed(model.layers) if layer.weights]
    kept = [layer.get_weights() for layer in layers]
    yield 0.0, [float(np.mean([similarity(each, each) for each in true]))]
    for step in range(1, steps + 1):
        upto = max(1, round(len(layers) * step / steps)) if step > 1 else 1
        found = []
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            for layer, weights in zip(layers[:upto], kept, strict=False):
                # Each array shuffled: its values stay what they are, and what they had learned is gone.
                layer.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in weights])
            now = drawn(run, model, spec, tensors)
            found.append(float(np.mean([similarity(a, b) for a, b in zip(true, now, strict=True)])))
        yield upto / len(layers), found
    for layer, weights in zip(layers, kept, strict=True):
        layer.set_weights(weights)


@dataclass(frozen=True)
class Known:
    """A picture with a lesion at a known place: its middle as shares of width and height, its radius in pixels."""

    data: bytes
    x: float
    y: float
    radius: float


def drawn_heads(count: int) -> Iterator[Known]:
    """Draw heads with a lesion."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        lesion = phantom.Lesion(rng.uniform(0.33, 0.67), rng.uniform(0.3, 0.7), rng.uniform(0.07, 0.12))
        data = phantom.as_png(phantom.draw(seed, lesion, side=_SIDE))
        yield Known(data, lesion.x, lesion.y, lesion.radius * _SIDE)


def true_heads(files: Sequence[bytes]) -> Iterator[Known]:
    """Draw a lesion with a bright rim into true heads that have none."""
    for seed, data in enumerate(files):
        rng = np.random.default_rng(seed)
        decoded = decode(data)
        picture, (x0, y0, x1, y1) = to_display(decoded), crop(decoded, _SIDE)[1]
        x, y = x0 + rng.uniform(0.3, 0.7) * (x1 - x0), y0 + rng.uniform(0.3, 0.7) * (y1 - y0)
        radius = rng.uniform(0.07, 0.12) * max(x1 - x0, y1 - y0)
        down, across = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
        far = np.hypot(across - x, down - y) / radius
        # The grey of what is bright in this head outside, half of it inside, and both as uneven as tissue is.
        bright = np.percentile(picture[y0:y1, x0:x1], 97.0)
        grey = bright * np.where(far < 0.6, 0.5, 1.0) + rng.normal(0.0, 6.0, picture.shape)
        soft = np.clip((1.0 - far) * radius / 2.0, 0.0, 1.0)
        shown = cv2.GaussianBlur(soft * grey + (1.0 - soft) * picture, (0, 0), 0.7)
        coded = cv2.imencode(".png", np.clip(np.rint(shown), 0, 255).astype(np.uint8))[1].tobytes()
        yield Known(coded, x / picture.shape[1], y / picture.shape[0], radius)


def pointed(predictor: Predictor, known: Iterable[Known]) -> tuple[int, Measured, float]:
    """Play the pointing game: how many are called a tumour, in what share of them the map points at it, and by chance.

    A picture that is called healthy has no map that would show anything, and is not counted.
    """
    hits, called, chance = 0, 0, []
    for each in known:
        said = predictor.predict([each.data])[0]
        if not isinstance(said, Opinion) or said.finding != TUMOUR:
            continue
        called += 1
        heat = said.heatmap.astype(float)
        height, width = decode(each.data).pixels.shape
        scale = heat.shape[1] / width
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        x0, y0, x1, y1 = said.box
        reach = (each.radius + _REACH * max(x1 - x0, y1 - y0) / 8 / 2) * scale
        hits += bool(np.hypot(x - each.x * width * scale, y - each.y * height * scale) <= reach)
        # Of the ellipse that fills the box, which is about what a head does.
        chance.append(reach**2 / ((x1 - x0) * (y1 - y0) * scale**2 / 4.0))
    return called, share(hits, called), float(np.mean(chance)) if chance else 0.0


def _told(kind: str, count: int, game: tuple[int, Measured, float]) -> str:
    called, found, chance = game
    words = f"Pointing game on {count} {kind}: {called} are called a tumour"
    if found.value is None:
        return f"{words}."
    return (
        f"{words}; the strongest point of the map lies in the lesion, or half a cell of the map beside it, in "
        f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}] of them; by chance it would in {chance:.0%}."
    )


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("model", type=Path, nargs="?", default=BUNDLED)
    ask.add_argument("--data", type=Path, help="folder of class folders: its images with a tumour, else drawn heads")
    ask.add_argument("--count", type=int, default=60, help="images of each check")
    ask.add_argument("--out", type=Path, help="markdown file to write to")
    asked = ask.parse_args()
    limit_threads(1)
    model, spec = artifact.load(asked.model)
    if asked.data is not None:
        files = [path for path, label, _ in labelled_files(asked.data) if label != "no_tumour"]
        some = [path.read_bytes() for path in files[:: max(1, len(files) // asked.count)][: asked.count]]
    else:
        lesions = [phantom.Lesion(0.4, 0.4, 0.1)] * asked.count
        some = [phantom.as_png(phantom.draw(i, lesion, side=_SIDE)) for i, lesion in enumerate(lesions)]
    tensors = np.stack([prepare(decode(data), spec).tensor for data in some])
    lines = [
        "| share of the layers made random, from the head | rank correlation with the true map | least and most |",
        "|---:|---:|---|",
    ]
    for part, alike in randomised(model, spec, tensors):
        lines.append(f"| {part:.0%} | {np.mean(alike):+.2f} | {min(alike):+.2f} to {max(alike):+.2f} |")
    predictor = Predictor.load(asked.model)
    lines += ["", _told("drawn heads with a lesion", asked.count, pointed(predictor, drawn_heads(asked.count)))]
    if asked.data is not None:
        healthy = [path for path, label, _ in labelled_files(asked.data) if label == NO_TUMOUR]
        chosen = [path.read_bytes() for path in healthy[:: max(1, len(healthy) // asked.count)][: asked.count]]
        before = sum(isinstance(each, Opinion) and each.finding == TUMOUR for each in predictor.predict(chosen))
        game = pointed(predictor, true_heads(chosen))
        kind = f"true heads without a tumour ({before} called one before), a lesion drawn into each"
        lines += ["", _told(kind, len(chosen), game)]
    print(f"model {spec.name}, {len(tensors)} images", *lines, sep="\n")
    if asked.out is not None:
        command = shlex.join(["python", "-m", "benchmarks.heatmaps", *sys.argv[1:]])
        asked.out.write_text(
            "# What the heat map is worth\n\n"
            f"Made by the command below with the model `{spec.name}` on {len(tensors)} images; nothing here is typed "
            "in. Weights are shuffled within each array, five times over: the mean, and the least and most of the "
            "five. A network that is random throughout still shows where the head is, as bright or as dark as chance "
            "will have it; so single draws lie on either side of nought. The drawn heads of the pointing game are "
            "none that the network was trained on, nor any that it will meet; the true ones it may have "
            "learned, as healthy: that of the bundled model has learned them all.\n\n"
            + "\n".join(lines)
            + f"\n\n```\n{command}\n```\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
