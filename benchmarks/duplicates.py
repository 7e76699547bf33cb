"""Seconds to find near-duplicates among 1,000, 10,000 and 50,000 images, and by how much a doubling multiplies them.

    python -m benchmarks.duplicates [--counts 1000 10000 50000] [--data FOLDER] [--out docs/duplicates.md] [--json]

The fingerprints are drawn: heads of smooth random shape, a tenth of them copies of another, flipped, shifted in tone
and noisy. What is timed is all that follows the reading of a file: search, exact comparison, grouping. With `--data`
the search is held against a comparison of all with all on real images.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# One thread, so that seconds of processor mean the same on any machine; read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from mlcore.images.decode import decode
from mlcore.images.fingerprint import SIDE, _standardised, fingerprint, grouped, twins
from mlcore.images.similarity import _ALL_AT_ONCE

_TWIN_SHARE = 0.1


def drawn(count: int, seed: int = 1) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Draw fingerprints; give them with the pairs that are copies."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) * 2 - 1
    waves = np.stack([np.cos(np.pi * (k * x + p)) * np.cos(np.pi * (m * y + q)) for k, m, p, q in _waves(rng)])
    made = np.empty((count, SIDE, SIDE), np.uint8)
    copies = []
    for i in range(count):
        if i and rng.random() < _TWIN_SHARE:
            of = int(rng.integers(i))
            copies.append((of, i))
            picture = made[of].astype(float)[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]
            picture = picture * rng.uniform(0.8, 1.1) + rng.normal(0, 5, picture.shape)
        else:
            inside = np.hypot(x / rng.uniform(0.85, 1.0), y / rng.uniform(0.85, 1.0)) < 1
            picture = inside * (110 + np.tensordot(rng.normal(0, 22, len(waves)), waves, 1))
        made[i] = np.clip(picture, 0, 255)
    return [each.tobytes() for each in made], copies


def _waves(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    return [(rng.uniform(0.3, 4), rng.uniform(0.3, 4), rng.uniform(0, 2), rng.uniform(0, 2)) for _ in range(24)]


def timed(count: int) -> dict[str, float]:
    """Time the search among so many."""
    prints, copies = drawn(count)
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = twins(prints)
    grouped(pairs, [str(i) for i in range(count)])
    took = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    found = {(i, j) for i, j, _ in pairs}
    alike = [pair for pair in copies if pair in found or _correlation(prints, pair) > 0.93]
    return {
        "images": count,
        **took,
        "pairs": len(pairs),
        "recall": sum(p in found for p in alike) / max(len(alike), 1),
    }


def _correlation(prints: list[bytes], pair: tuple[int, int]) -> float:
    one, other = _standardised([prints[pair[0]], prints[pair[1]]])
    return float(max((one * turned).sum() for turned in (other, other[::-1], other[:, ::-1], other[::-1, ::-1])))


def held_against_all(folder: Path) -> dict[str, float]:
    """Compare the search with a comparison of all with all, on real images."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    prints = [fingerprint(decode(path.read_bytes())) for path in files]
    begun = time.process_time()
    found = {(i, j) for i, j, _ in twins(prints)}
    searched = time.process_time() - begun
    begun = time.process_time()
    wanted = all_pairs(prints)
    compared = time.process_time() - begun
    return {
        "images": len(files),
        "pairs": len(wanted),
        "found": len(found & wanted),
        "cpu_seconds": searched,
        "all_with_all_cpu_seconds": compared,
    }


def all_pairs(prints: list[bytes], threshold: float = 0.93) -> set[tuple[int, int]]:
    """Compare all with all."""
    pictures = _standardised(prints)
    flat = [
        np.ascontiguousarray(each).reshape(len(prints), -1)
        for each in (pictures, pictures[:, :, ::-1], pictures[:, ::-1], pictures[:, ::-1, ::-1])
    ]
    pairs = set()
    for top in range(0, len(prints), 1024):
        best = np.max([flat[0][top : top + 1024] @ each.T for each in flat], axis=0)
        for i, j in zip(*np.nonzero(best > threshold), strict=True):
            if top + i < j:
                pairs.add((int(top + i), int(j)))
    return pairs


def table(rows: Sequence[dict[str, float]], real: dict[str, float] | None) -> list[str]:
    """Write the table, as markdown; each row beside the one above it."""
    lines = [
        "| images | s of processor | µs an image | beside the row above | time a doubling | pairs | copies found |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    above: dict[str, float] | None = None
    for row in rows:
        each = row["cpu_seconds"] / row["images"]
        against = doubling = "–"
        if above is not None:
            against = f"× {each / (above['cpu_seconds'] / above['images']):.2f}"
            growth = row["cpu_seconds"] / above["cpu_seconds"]
            doubling = f"× {growth ** (1.0 / math.log2(row['images'] / above['images'])):.2f}"
        lines.append(
            f"| {row['images']:,} | {row['cpu_seconds']:.2f} | {each * 1e6:.0f} | {against} | {doubling} | "
            f"{row['pairs']:,} | {row['recall']:.2%} |"
        )
        above = row
    if real is not None:
        lines += [
            "",
            f"Among {real['images']:,} real images it finds {real['found']:,} of the {real['pairs']:,} pairs that a "
            f"comparison of all with all finds, in {real['cpu_seconds']:.1f} s of the processor instead of "
            f"{real['all_with_all_cpu_seconds']:.1f} s.",
        ]
    return lines


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 50_000])
    ask.add_argument("--data", type=Path, help="hold the search against all with all on these images")
    ask.add_argument("--out", type=Path, help="markdown file to write the table to")
    ask.add_argument("--json", action="store_true")
    asked = ask.parse_args()
    # What is done once in a process (loading of the linear algebra) is no part of the first row.
    timed(max(asked.counts[0] // 4, 16))
    rows = [timed(count) for count in asked.counts]
    real = held_against_all(asked.data) if asked.data is not None else None
    lines = table(rows, real)
    print(json.dumps({"drawn": rows, "real": real}) if asked.json else "\n".join(lines))
    if asked.out is not None:
        command = shlex.join(["python", "-m", "benchmarks.duplicates", *sys.argv[1:]])
        asked.out.write_text(
            "# What it costs to find near-duplicates\n\n"
            "Made by the command below on drawn fingerprints, a tenth of them copies of another, flipped, changed in "
            "tone and noisy; nothing here is typed in. It is the work after the reading of files, on one core: the "
            "search in random trees, the exact comparison of what shares a leaf, the grouping. A comparison of all "
            f"with all would take × 2 an image, and × 4 in all, a doubling. Up to {_ALL_AT_ONCE:,} images all are "
            "compared with all, as that is quicker; so the first step from below to above that number is the dearest, "
            "and what is above it shows how the search grows.\n\n" + "\n".join(lines) + f"\n\n```\n{command}\n```\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
