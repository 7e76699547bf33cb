"""Siemens mosaics: one image that holds the slices of a volume as tiles, and where each of these lies."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from mlcore.images.dicom.geometry import Vector, dot, normal_of, vector_of
from mlcore.images.dicom.groups import Frame
from mlcore.images.dicom.header import is_little_endian, number_of
from mlcore.images.dicom.siemens import csa_header, private_value

_PARALLEL = math.cos(math.radians(1.0))
_MOST_TILES = 1024


class NoHeader(ValueError):
    """A mosaic whose header lacks what its tiles need; `lacks` is the slug of the first such thing.

    `number`, `normal`, `position`, `spacing`, `slice_spacing`, `size`.
    """

    def __init__(self, lacks: str) -> None:
        self.lacks = lacks
        super().__init__(f"a mosaic without {lacks}")


@dataclass(frozen=True)
class Mosaic:
    """How a mosaic is cut, and how its tiles lie.

    Attributes
    ----------
    tiles : int
        How many show something: those behind are black.
    side : int
        Tiles in a row, and rows of them.
    rows, columns : int
        Pixels of a tile.
    step : (float, float, float)
        From tile to tile, mm in the patient.
    """

    tiles: int
    side: int
    rows: int
    columns: int
    step: Vector

    def tile(self, pixels: np.ndarray, index: int) -> np.ndarray:
        """Cut a tile out.

        Parameters
        ----------
        pixels : numpy.ndarray, shape (H, W)
            The mosaic.
        index : int
            From 0.

        Returns
        -------
        numpy.ndarray, shape (rows, columns)
            A copy.
        """
        top, left = index // self.side * self.rows, index % self.side * self.columns
        return np.ascontiguousarray(pixels[top : top + self.rows, left : left + self.columns])

    def frames(self, whole: Frame) -> tuple[Frame, ...]:
        """Give the tiles as the frames of a file.

        Parameters
        ----------
        whole : Frame
            What the file says of the mosaic.

        Returns
        -------
        tuple of Frame
            Each with its place.

        Raises
        ------
        NoHeader
            `position`, `spacing`.

        Notes
        -----
        ImagePositionPatient is computed by the scanner as though the first slice had the size of the mosaic:
        the centre of both is the same. So the corner of the first tile lies half of what the mosaic is larger further
        along row and column.

        References
        ----------
        "Siemens mosaic format", documentation of nibabel, section "DICOM orientation for mosaic".
        """
        if whole.position is None or whole.cosines is None:
            raise NoHeader("position")
        if whole.spacing is None:
            raise NoHeader("spacing")
        across = (self.side - 1) * self.columns / 2 * whole.spacing[1]
        down = (self.side - 1) * self.rows / 2 * whole.spacing[0]
        row, column = whole.cosines[:3], whole.cosines[3:]
        first = np.array(whole.position) + np.array(row) * across + np.array(column) * down
        places = first + np.arange(self.tiles)[:, None] * np.array(self.step)
        return tuple(
            dataclasses.replace(whole, index=index, position=(float(x), float(y), float(z)))
            for index, (x, y, z) in enumerate(places)
        )


def mosaic_of(dataset: Dataset, whole: Frame, rows: int, columns: int, between: float | None) -> Mosaic:
    """Read how a mosaic is cut.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset
        Of a file for which `view.is_mosaic` holds.
    whole : Frame
        What it says of its one image.
    rows, columns : int
        Pixels of the mosaic.
    between : float or None
        SpacingBetweenSlices, mm.

    Returns
    -------
    Mosaic
        Of it.

    Raises
    ------
    NoHeader
        Where the header lacks what is needed. Nothing is guessed: the direction in which slices follow each other is
        told by the CSA header alone.
    """
    csa = csa_header(dataset)
    tiles = _number_of_tiles(dataset, csa)
    if whole.cosines is None:
        raise NoHeader("position")
    across = normal_of(whole.cosines)
    normal = _normal(csa, across)
    if between is None:
        raise NoHeader("slice_spacing")
    side = math.isqrt(tiles - 1) + 1
    if rows < side or rows % side or columns < side or columns % side:
        raise NoHeader("size")
    sign = math.copysign(between, dot(normal, across))
    step = (across[0] * sign, across[1] * sign, across[2] * sign)
    return Mosaic(tiles, side, rows // side, columns // side, step)


def _normal(csa: dict[str, list[str]], across: Vector) -> Vector:
    """Give SliceNormalVector, which is perpendicular to row and column like `across`, or against it."""
    told = [number_of(each) for each in csa.get("SliceNormalVector", [])]
    normal = vector_of(tuple(each for each in told if each is not None))
    if normal is None or abs(math.hypot(*normal) - 1) > 0.01 or abs(dot(normal, across)) < _PARALLEL:
        raise NoHeader("normal")
    return normal


def _number_of_tiles(dataset: Dataset, csa: dict[str, list[str]]) -> int:
    """Give NumberOfImagesInMosaic, of the private element or of the CSA header."""
    value = private_value(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little" if is_little_endian(dataset) else "big")
    told = value if value is not None else next(iter(csa.get("NumberOfImagesInMosaic", [])), None)
    number = number_of(told) or 0.0
    if not 2 <= number <= _MOST_TILES or number != int(number):
        raise NoHeader("number")
    return int(number)
