"""Mosaics and montages of any size get no opinion, or at least a warning; a head alone gets neither."""

import io

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from diagnostics.scans import phantom
from mlcore.data.labels import LEAVES
from mlcore.images.decode import decode
from mlcore.model.spec import ModelSpec
from mlcore.preprocessing.montage import Heads, heads_in
from mlcore.preprocessing.preprocess import prepare, scaled
from mlcore.preprocessing.quality import Quality, assess
from tests.mlcore.phantom import DATA, head, jpeg, png
from tests.mlcore.test_decode import dicom

SPEC = ModelSpec("n", "residual", 128, 1, LEAVES, "1")
SQUARES = [(n, n) for n in range(2, 11)]
OTHERS = [(1, 2), (2, 1), (1, 3), (1, 6), (6, 1), (2, 3), (3, 2), (2, 5), (4, 3), (3, 8), (7, 4), (5, 6), (10, 7)]
REAL = sorted(path for path in DATA.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[::40]


def montage(
    rows: int,
    columns: int,
    heads: list[np.ndarray],
    *,
    tile: int = 64,
    gap: int = 0,
    between: int = 0,
    fill: float = 1.0,
) -> np.ndarray:
    """Lay heads out in a grid, each as large in its tile as ``fill``; gaps, also around, are ``between``."""
    out = np.full((rows * (tile + gap) + gap, columns * (tile + gap) + gap), between, np.uint8)
    for number in range(rows * columns):
        picture = heads[number % len(heads)]
        fit = fill * tile / max(picture.shape)
        small = cv2.resize(picture, None, fx=fit, fy=fit, interpolation=cv2.INTER_AREA)[:tile, :tile]
        top, left = gap + number // columns * (tile + gap), gap + number % columns * (tile + gap)
        out[top : top + tile, left : left + tile] = 0
        top, left = top + (tile - small.shape[0]) // 2, left + (tile - small.shape[1]) // 2
        out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out


def judged(data: bytes) -> Quality:
    decoded = decode(data)
    return assess(decoded, prepare(decoded, SPEC))


def said(data: bytes) -> str:
    """`refused`, `warned` or `passed`, of several heads."""
    quality = judged(data)
    if quality.refusal is not None:
        return "refused" if quality.refusal.code == "several_heads" else quality.refusal.code
    return "warned" if "several_heads" in quality.warnings else "passed"


DRAWN = {
    "ellipses": [head(seed, tumour=seed % 2 == 1, side=128) for seed in range(12)],
    "phantoms": [(phantom.draw(seed, side=128) // 10).clip(0, 255).astype(np.uint8) for seed in range(12)],
}


@pytest.mark.parametrize(
    ("gap", "between", "fill"), [(0, 0, 1.0), (0, 0, 0.75), (2, 0, 1.0), (2, 255, 1.0), (6, 128, 0.75), (12, 40, 1.0)]
)
@pytest.mark.parametrize("drawn", DRAWN)
def test_a_montage_of_drawn_heads_is_never_passed_over(drawn, gap, between, fill):
    answers = {
        grid: said(png(montage(*grid, DRAWN[drawn], gap=gap, between=between, fill=fill))) for grid in SQUARES + OTHERS
    }
    assert "passed" not in answers.values(), answers
    assert list(answers.values()).count("refused") >= 0.9 * len(answers), answers


@pytest.mark.skipif(not REAL, reason="the public images are not here")
@pytest.mark.parametrize(("gap", "between", "fill"), [(0, 0, 1.0), (1, 255, 1.0), (4, 0, 0.8), (8, 128, 1.0)])
def test_a_montage_of_real_heads_is_never_passed_over(gap, between, fill):
    heads = [decode(path.read_bytes()).pixels for path in REAL]
    answers = {}
    for shift, grid in enumerate(SQUARES + OTHERS):
        some = heads[shift * 7 :] + heads[: shift * 7]
        answers[grid] = said(jpeg(montage(*grid, some, gap=gap, between=between, fill=fill)))
    assert list(answers.values()).count("passed") <= 1, answers
    assert list(answers.values()).count("refused") >= 0.8 * len(answers), answers
    # The larger the montage, the surer.
    assert all(answer == "refused" for grid, answer in answers.items() if min(grid) >= 4), answers


@pytest.mark.skipif(not REAL, reason="the public images are not here")
def test_real_heads_alone_are_neither_refused_nor_warned_of():
    answers = [said(path.read_bytes()) for path in REAL]
    assert len(answers) > 100
    assert answers.count("refused") == 0
    # Of all 6,023 the share is in docs/the-science.md.
    assert answers.count("warned") <= 0.01 * len(answers) + 1


@pytest.mark.parametrize("side", [48, 128, 256])
def test_drawn_heads_alone_pass(side):
    for seed in range(8):
        assert said(png(head(seed, tumour=seed % 2 == 1, side=side))) == "passed"
        drawn = (phantom.draw(seed, side=side) // 10).clip(0, 255).astype(np.uint8)
        assert said(png(drawn)) == "passed"
        assert said(png(np.pad(drawn, side // 2, constant_values=255))) == "passed"
        assert said(png(np.pad(drawn, ((side // 3, 0), (0, side // 2))))) == "passed"


def test_folds_that_come_round_within_one_oval_are_no_montage():
    for seed in range(100):
        assert said(png(head(seed, tumour=seed % 2 == 1, side=64))) == "passed"


def test_a_montage_that_is_not_full_or_has_a_title_is_seen():
    heads = DRAWN["phantoms"]
    for rows, columns in ((3, 3), (4, 5), (6, 6)):
        picture = montage(rows, columns, heads, gap=2)
        picture[-64:, -130:] = 0
        assert said(png(picture)) == "refused"
        cv2.putText(picture, "AX T1", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255)
        titled = np.pad(picture, ((40, 0), (0, 0)), constant_values=30)
        assert said(png(titled)) == "refused"


def test_what_cannot_be_judged_is_a_warning_and_no_silent_pass():
    sparse = np.zeros((256, 256), np.uint8)
    sparse[10:24, 10:24] = sparse[200:214, 90:200] = 180
    assert "several_heads" in judged(png(sparse)).warnings
    lines = np.zeros((256, 256), np.uint8)
    lines[::16] = lines[:, 40] = 200
    assert "several_heads" in judged(png(lines)).warnings or said(png(lines)) == "refused"
    strip = np.tile(np.random.default_rng(1).integers(0, 255, (64, 1), np.uint8), (1, 256))
    assert heads_in(strip) is not Heads.ONE
    assert heads_in(np.zeros((64, 64), np.uint8)) is Heads.UNSURE


TYPES = {
    "as Siemens writes it": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
    "in the middle": ["ORIGINAL", "PRIMARY", "MOSAIC", "M"],
    "third": ["DERIVED", "SECONDARY", "MOSAIC"],
    "first": ["MOSAIC"],
    "small letters": ["ORIGINAL", "PRIMARY", "fMRI", "mosaic "],
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_dicom_file_that_says_it_is_a_mosaic_is_refused_whatever_it_shows(kind):
    alone = head(1, tumour=True, side=128).astype(np.uint16) * 9
    assert said(dicom(alone)) == "passed"
    assert said(dicom(alone, ImageType=["ORIGINAL", "PRIMARY", "M", "NORM"])) == "passed"
    assert said(dicom(alone, ImageType=TYPES[kind])) == "refused"


@pytest.mark.parametrize("stored", [1, 36, b"\x24\x00", b"\x01\x00"])
@pytest.mark.parametrize("kind", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]])
def test_siemens_own_count_of_tiles_decides(stored, kind):
    alone = dicom_with_count(stored, kind)
    assert said(alone) == ("passed" if stored in (1, b"\x01\x00") else "refused")


def dicom_with_count(stored: int | bytes, kind: list[str]) -> bytes:
    made = dcmread(io.BytesIO(dicom(head(1, tumour=True, side=128).astype(np.uint16) * 9, ImageType=kind)))
    block = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US" if isinstance(stored, int) else "UN", stored)
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def test_a_montage_of_sixteen_bits_is_seen_like_one_of_eight():
    picture = montage(5, 5, DRAWN["phantoms"], gap=1)
    assert said(dicom(picture.astype(np.uint16) * 7)) == "refused"
    assert said(dicom((4000 - picture.astype(np.int16) * 7), PhotometricInterpretation="MONOCHROME1")) == "refused"
    assert heads_in(scaled(picture)) is Heads.SEVERAL


@pytest.mark.parametrize(("side", "number"), [(150, 4), (150, 1), (110, 5), (100, 2)])
def test_a_large_head_with_small_ones_beside_it_is_warned_of(side, number):
    image = np.zeros((620, 820), np.uint8)
    image[10:610, 10:610] = cv2.resize(DRAWN["phantoms"][1], (600, 600), interpolation=cv2.INTER_AREA)
    small = cv2.resize(DRAWN["phantoms"][2], (side, side), interpolation=cv2.INTER_AREA)
    for each in range(number):
        top = each * (side + 4)
        image[top : top + side, 640 : 640 + side] = small
    assert said(png(image)) in ("warned", "refused")
