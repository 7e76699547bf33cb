"""The viewer's geometry, statistics, placement and windows, by Node's own test runner: without a browser.

``node --test tests/viewer`` runs what needs no reference.
Where there is no Node, or an old one, this skips and says so.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_windowing

HERE = Path(__file__).resolve().parent
OLDEST = (20, 19)  # the first that takes a .js file with imports for a module without being told
WIDTH, HEIGHT = 40, 30
SHARES = (0, 0.005, 0.05, 0.31, 0.5, 0.95, 0.995, 1)
WINDOWS = [
    (voi, centre, width) for voi in ("LINEAR", "LINEAR_EXACT", "SIGMOID") for centre, width in ((300, 700), (40, 81))
]


def node() -> str:
    """The program, or a skip that says why it cannot be used."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed, so the viewer's modules were tested in the browser only")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        pytest.skip(f"Node {version} is older than {OLDEST[0]}.{OLDEST[1]}")
    return program


def pydicoms_greys(values: np.ndarray, voi: str, centre: float, width: float) -> list[float]:
    """0 to 255, by pydicom's own windowing of float values between an output range that we choose."""
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 8, 0
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = centre, width, voi
    return [float(grey) for grey in apply_windowing(values.astype(np.float64), dataset).ravel()]


def masks() -> list[tuple[dict, np.ndarray, float]]:
    """Regions, the pixels that they hold and their areas for pixels of 0.7 by 1.3 mm."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rectangle = (x >= 3.2) & (x < 20.7) & (y >= 4.1) & (y < 19.9)
    ellipse = ((x - 17) / 11.5) ** 2 + ((y - 15.25) / 9.75) ** 2 <= 1
    # A triangle with corners at (5, 2), (35, 8), (11, 27): on the same side of all three of its sides.
    corners = np.array([(5, 2), (35, 8), (11, 27)], dtype=float)
    sides = [
        (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)
    ]
    triangle = np.all([side > 0 for side in sides], axis=0)
    return [
        ({"kind": "rectangle", "points": [[3.2, 4.1], [20.7, 19.9]]}, rectangle, 17.5 * 15.8 * 0.91),
        ({"kind": "ellipse", "points": [[28.5, 5.5], [5.5, 25]]}, ellipse, np.pi * 11.5 * 9.75 * 0.91),
        # Half the determinant of two sides: (30, 6) and (6, 25).
        ({"kind": "freehand", "points": corners.tolist()}, triangle, (30 * 25 - 6 * 6) / 2 * 0.91),
    ]


def reference() -> dict:
    """Random images of each type with what pydicom and numpy say of them."""
    random = np.random.default_rng(12)
    images = []
    for dtype, low, high, slope, intercept in (
        ("uint8", 0, 256, 1.0, 0.0),
        ("uint16", 0, 4096, 1.0, -1024.0),
        ("int16", -900, 900, -0.5, 12.0),
        ("float32", 0, 500, 1.0, 0.0),
    ):
        pixels = random.uniform(low, high, (HEIGHT, WIDTH)).astype(dtype)
        values = pixels.astype(np.float64) * slope + intercept
        images.append(
            {
                "dtype": dtype,
                "pixels": pixels.ravel().tolist(),
                "width": WIDTH,
                "height": HEIGHT,
                "slope": slope,
                "intercept": intercept,
                "windows_of_pydicom": [
                    {
                        "window": {"voi": voi, "centre": centre, "width": width},
                        "greys": pydicoms_greys(values, voi, centre, width),
                    }
                    for voi, centre, width in WINDOWS
                ],
                "percentiles": [
                    [share, float(np.percentile(values, 100 * share, method="nearest"))] for share in SHARES
                ],
                "regions": [
                    {
                        "region": region,
                        "area": area,
                        "count": int(mask.sum()),
                        "mean": float(values[mask].mean()),
                        "sd": float(values[mask].std()),
                        "min": float(values[mask].min()),
                        "max": float(values[mask].max()),
                    }
                    for region, mask, area in masks()
                ],
            }
        )
    return {"images": images}


def test_viewer_modules(tmp_path: Path) -> None:
    program = node()
    written = tmp_path / "reference.json"
    written.write_text(json.dumps(reference()))
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = subprocess.run(
        [program, "--test", "--test-reporter=tap", *files],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "VIEWER_REFERENCE": str(written)},
    )
    failed = re.findall(r"^\s*not ok .*(?:\n.*){0,25}", done.stdout, re.MULTILINE)
    assert done.returncode == 0, "\n".join(failed) or done.stdout + done.stderr
    counted = dict(re.findall(r"^# (tests|pass|skipped) (\d+)$", done.stdout, re.MULTILINE))
    assert int(counted["tests"]) == int(counted["pass"]) > 60 and counted["skipped"] == "0"
