"""Measure the guard against several heads: montages at random of true slices, and each slice alone.

python -m benchmarks.montages ../shared/data --montages 1000 --seed 77
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from mlcore.images.decode import Refused, decode
from mlcore.preprocessing.montage import Heads, heads_in
from mlcore.preprocessing.preprocess import find_head, scaled

_GRIDS = ("1 × n and n × 1", "2 and 3 by n", "4 × 4 and larger")


def judged(picture: np.ndarray) -> Heads:
    """What becomes of an image uint8 (H, W): the verdict of both guards."""
    grey = scaled(picture)
    return Heads.SEVERAL if find_head(grey).several else heads_in(grey)


def drawn_by_lot(slices: list[np.ndarray], rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Give a montage from 1 × 2 to 10 × 10 and its kind: gaps, margins, backgrounds, tiles and fit go by lot."""
    rows, columns = (int(side) for side in rng.integers(1, 11, 2))
    if rows * columns == 1:
        columns = 2
    high = int(rng.choice([32, 48, 64, 96, 128]))
    wide = int(high * rng.choice([1, 1, 1, 0.8, 1.25]))
    gap, between = int(rng.choice([0, 0, 1, 2, high // 10, high // 5])), int(rng.choice([0, 0, 0, 255, 128, 30]))
    margin, fit = int(rng.choice([0, 0, 0, gap, high // 4])), str(rng.choice(["stretched", "whole", "small"]))
    empty = int(rng.integers(1, columns)) if rows > 1 and columns > 1 and rng.random() < 0.25 else 0
    sides = (rows * (high + gap) - gap + 2 * margin, columns * (wide + gap) - gap + 2 * margin)
    out = np.full(sides, between, np.uint8)
    first, apart = int(rng.integers(len(slices))), bool(rng.random() < 2 / 3)
    for number in range(rows * columns - empty):
        chosen = int(rng.integers(len(slices))) if apart else (first + number) % len(slices)
        top, left = margin + number // columns * (high + gap), margin + number % columns * (wide + gap)
        out[top : top + high, left : left + wide] = _tile(slices[chosen], high, wide, fit, rng)
    return _GRIDS[(min(rows, columns) > 1) + (min(rows, columns) > 3)], out


def _tile(picture: np.ndarray, high: int, wide: int, fit: str, rng: np.random.Generator) -> np.ndarray:
    if fit == "stretched":
        return np.asarray(cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA))
    scale = min(high / picture.shape[0], wide / picture.shape[1]) * (rng.uniform(0.55, 0.85) if fit == "small" else 1)
    down, across = (max(1, int(side * scale)) for side in picture.shape)
    out = np.zeros((high, wide), np.uint8)
    top, left = (high - down) // 2, (wide - across) // 2
    out[top : top + down, left : left + across] = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--montages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=77)
    asked = parser.parse_args()
    slices = []
    for path in sorted(path for path in asked.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")):
        try:
            slices.append(decode(path.read_bytes()).pixels)
        except Refused as refused:
            print(f"{path.name} is left out: {refused.code}")
    found: dict[str, Counter[str]] = {"one slice": Counter(judged(each).value for each in slices)}
    rng = np.random.default_rng(asked.seed)
    for _ in range(asked.montages):
        kind, picture = drawn_by_lot(slices, rng)
        found.setdefault(kind, Counter())[judged(picture).value] += 1
    print("| image | number | refused | warned of | passed |\n|---|---|---|---|---|")
    for kind in ("one slice", *_GRIDS):
        count = found.get(kind, Counter())
        columns = (count[heads.value] for heads in (Heads.SEVERAL, Heads.UNSURE, Heads.ONE))
        print(f"| {kind} | {count.total()} | {' | '.join(map(str, columns))} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
