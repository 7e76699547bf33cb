"""Memory of a training at one and at ten times the images: the most that `python -m mlcore train` ever held.

    python -m benchmarks.memory [--counts 600 6000] [--size 128] [--json]

Each training is a process of its own on drawn heads, for one epoch, from the images in a folder to the model: finding
near-duplicates, cropping, learning, measuring and converting included. Beside it stands what the crops alone would
take in memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# Asks the kernel for the most that this process ever held, after the command is done.
_CHILD = """
import resource, sys
from mlcore.cli.main import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def draw(folder: Path, count: int) -> None:
    """Draw heads of smooth random inside, every second with a bright disc, into `yes` and `no`."""
    y, x = np.mgrid[0:128, 0:128] / 63.5 - 1.0
    for name in ("yes", "no"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = rng.uniform(40, 170, (10, 10)).astype(np.float32)
        inside = np.hypot(x / rng.uniform(0.6, 0.8), y / rng.uniform(0.8, 0.95)) < 1
        picture = np.where(inside, cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC), 0.0)
        if number % 2:
            across, down = rng.uniform(-0.3, 0.3, 2)
            picture = np.where(np.hypot(x - across, y - down) < 0.2, 240.0, picture)
        target = folder / ("yes" if number % 2 else "no") / f"{number:06}.png"
        cv2.imwrite(str(target), np.clip(picture, 0, 255).astype(np.uint8))


def most_held(count: int, size: int) -> float:
    """Train on so many images; give the most megabytes held."""
    with tempfile.TemporaryDirectory(prefix="overread-memory-") as folder:
        data = Path(folder) / "data"
        draw(data, count)
        settings = ["--architecture", "seed_cnn", "--size", str(size), "--epochs", "1", "--augment", "light"]
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, "--quiet", "train", str(data), "--out", f"{folder}/model", *settings],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    return int(done.stdout.split()[-1]) / 1024.0


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--counts", type=int, nargs="+", default=[600, 6000])
    ask.add_argument("--size", type=int, default=128, help="side of a crop in pixels")
    ask.add_argument("--json", action="store_true")
    asked = ask.parse_args()
    rows = []
    for count in asked.counts:
        rows.append(
            {"images": count, "most_mb": most_held(count, asked.size), "crops_mb": count * asked.size**2 / 2**20}
        )
        if not asked.json:
            print("{images:7} images: at most {most_mb:.0f} MB (their crops: {crops_mb:.1f} MB)".format(**rows[-1]))
    if asked.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
