"""Heads drawn by code: an ellipse with a skull, folds and noise, and a bright spot where a tumour is wanted."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mlcore.data.dataset import Item

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def head(seed: int, *, tumour: bool, side: int = 64) -> np.ndarray:
    """Draw one slice, uint8 (side, side)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side].astype(float) / (side - 1) * 2 - 1
    wide, high = rng.uniform(0.6, 0.75), rng.uniform(0.75, 0.9)
    radius = np.hypot(x / wide, y / high)
    folds = np.sin(x * rng.uniform(3, 12) + rng.uniform(0, 6)) * np.cos(y * rng.uniform(3, 12) + rng.uniform(0, 6))
    image = np.where(radius < 1, 90 + 40 * folds, 0.0)
    image = np.where((radius > 0.88) & (radius < 1), 170, image)
    if tumour:
        at = rng.uniform(-0.3, 0.3, 2)
        image = np.where(np.hypot(x - at[0], y - at[1]) < rng.uniform(0.18, 0.26), 235, image)
    image = image + rng.normal(0, 5, image.shape) * (radius < 1)
    return np.clip(image, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """Write an array as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(pixels: np.ndarray, **options) -> bytes:
    """Write an array as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **{"quality": 95, **options})
    return buffer.getvalue()


def items(folder: Path, count: int = 60, *, side: int = 64) -> list[Item]:
    """Write phantoms to a folder and list them: every second has a tumour, parts 60 to 20 to 20."""
    made = []
    parts = ("train", "train", "train", "validation", "test")
    for number in range(count):
        tumour = number % 2 == 1
        data = png(head(number, tumour=tumour, side=side))
        path = folder / f"{number:03d}.png"
        path.write_bytes(data)
        label = "tumour" if tumour else "no_tumour"
        made.append(
            Item(
                str(path),
                hashlib.sha256(data).hexdigest(),
                label,
                str(number),
                "phantom",
                parts[(number // 2) % len(parts)],
            )
        )
    return made
