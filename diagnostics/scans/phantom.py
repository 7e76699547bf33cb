"""Synthetic head phantoms, drawn by our own code: something to look at before the first real scan arrives.

Every phantom carries the word PHANTOM in its corner, and none of them ever trains a model.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

SIDE = 320  # pixels
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True)
class Lesion:
    """A round lesion with a bright rim: centre and radius as fractions of the image's side."""

    x: float
    y: float
    radius: float


def draw(seed: int, lesion: Lesion | None = None, side: int = SIDE) -> np.ndarray:
    """A slice through a made-up head.

    Returns
    -------
    numpy.ndarray
        (side, side) uint16 with values from 0 to about 2,400, as a 12-bit scanner would give.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / (side - 1) - 0.5
    tilt = rng.uniform(-0.15, 0.15)
    u, v = x * np.cos(tilt) + y * np.sin(tilt), -x * np.sin(tilt) + y * np.cos(tilt)
    wide, tall = rng.uniform(0.34, 0.37), rng.uniform(0.42, 0.45)
    radius = np.hypot(u / wide, v / tall)
    image = np.zeros((side, side))
    image[radius < 1] = 2100  # scalp
    image[radius < 0.94] = 250  # skull
    folds = _clouds(rng, side) * 260
    image = np.where(radius < 0.88, 1000 + folds, image)  # cortex
    image = np.where(radius < 0.70, 1280 + folds * 0.3, image)  # white matter
    for sign in (-1, 1):
        ventricle = np.hypot((u - sign * 0.055) / 0.035, (v + 0.01) / 0.12)
        image = np.where(ventricle < 1, 380, image)
    image = np.where((np.abs(u) < 0.004) & (radius < 0.86), 520, image)  # midline
    if lesion is not None:
        far = np.hypot(x - (lesion.x - 0.5), y - (lesion.y - 0.5)) / lesion.radius
        image = np.where(far < 1, 1900, image)
        image = np.where(far < 0.6, 1150 + folds, image)
    image = image + rng.normal(0, 28, image.shape)
    return np.clip(image, 0, 4095).astype(np.uint16)


def _clouds(rng: np.random.Generator, side: int) -> np.ndarray:
    """Smooth noise between about -1 and 1: coarse noise enlarged by cubic interpolation."""
    coarse = Image.fromarray(rng.normal(0, 1, (side // 10, side // 10)).astype(np.float32), mode="F")
    return np.clip(np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)), -2, 2) / 2


def _marked(image: np.ndarray) -> np.ndarray:
    """The image with PHANTOM written into its lower left corner."""
    mask = Image.new("L", image.shape[::-1], 0)
    ImageDraw.Draw(mask).text((6, image.shape[0] - 16), "PHANTOM (synthetic)", fill=255)
    return np.where(np.asarray(mask) > 127, np.uint16(2300), image)


def as_png(image: np.ndarray) -> bytes:
    """An 8-bit PNG of a phantom, windowed from 0 to 2,400."""
    shown = np.clip(_marked(image) / 2400 * 255, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(shown).save(out, format="PNG")
    return out.getvalue()


def as_dicom(image: np.ndarray, seed: int) -> bytes:
    """A 12-bit MR image of a phantom as DICOM, 0.7 mm a pixel, without any patient's data."""
    uid = UID(f"2.25.{int.from_bytes(b'overread', 'big') + seed}")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MR_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, uid
    file.Modality = "MR"
    file.ImageComments = "Synthetic phantom"
    file.Rows, file.Columns = image.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.PixelSpacing = [0.7, 0.7]
    file.WindowCenter, file.WindowWidth = 1200, 2400
    file.PixelData = _marked(image).astype("<u2").tobytes()
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()
