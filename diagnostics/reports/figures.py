"""Images with their annotations drawn on them, for a page of a report."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from diagnostics.annotations.measure import REGIONS
from diagnostics.annotations.models import Kind

from .content import Mark

MARK = colors.HexColor("#ffd23f")  # on grey values of every kind it stands out; a dark edge holds it on white
EDGE = colors.HexColor("#1b1b1b")


class MarkedImage(Flowable):
    """An image with its annotations, as large as the place allows, each with its number.

    Parameters
    ----------
    picture : numpy.ndarray, shape (h, w), dtype uint8
        In its true shape; it may be smaller than the image.
    size : tuple of int
        Width and height of the image in pixels, in which annotations are given.
    marks : sequence of Mark
        Those on this image.
    room : tuple of float
        Width and height of the place, in points.
    """

    def __init__(
        self, picture: np.ndarray, size: tuple[int, int], marks: Sequence[Mark], room: tuple[float, float]
    ) -> None:
        super().__init__()
        height, width = picture.shape
        scale = min(room[0] / width, room[1] / height)
        self.width, self.height = width * scale, height * scale
        # Points on paper for a pixel of the image, along a row and a column of it.
        self.scale = (self.width / size[0], self.height / size[1])
        self.hAlign = "CENTER"
        self.picture, self.marks = picture, marks

    def draw(self) -> None:
        canvas = self.canv
        image = Image.fromarray(self.picture)
        canvas.drawImage(ImageReader(image), 0, 0, self.width, self.height)
        canvas.setLineJoin(1)
        taken: list[tuple[float, float]] = []
        for mark in self.marks:
            points = [(x * self.scale[0], self.height - y * self.scale[1]) for x, y in mark.points]
            for colour, thick in ((EDGE, 2.6), (MARK, 1.2)):
                canvas.setStrokeColor(colour)
                canvas.setFillColor(colour)
                canvas.setLineWidth(thick)
                _stroke(canvas, mark.kind, points)
            _numbered(canvas, mark.number, _free(points, taken, self.width, self.height))


def _stroke(canvas: Any, kind: str, points: Sequence[tuple[float, float]]) -> None:
    """One mark in the colour that is set."""
    if kind == Kind.POINT:
        ((x, y),) = points
        canvas.line(x - 4, y, x + 4, y)
        canvas.line(x, y - 4, x, y + 4)
        return
    if kind in (Kind.ELLIPSE, Kind.RECTANGLE):
        (ax, ay), (bx, by) = points
        box = canvas.ellipse if kind == Kind.ELLIPSE else canvas.rect
        corner = (ax, ay, bx, by) if kind == Kind.ELLIPSE else (min(ax, bx), min(ay, by), abs(bx - ax), abs(by - ay))
        box(*corner, stroke=1, fill=0)
        return
    path = canvas.beginPath()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    if kind in REGIONS:
        path.close()
    canvas.drawPath(path, stroke=1, fill=0)
    if kind == Kind.ARROW:
        _tip(canvas, points)


def _tip(canvas: Any, points: Sequence[tuple[float, float]]) -> None:
    """The head of an arrow, at its second end."""
    (ax, ay), (bx, by) = points
    turn = math.atan2(by - ay, bx - ax)
    for side in (-1, 1):
        canvas.line(bx, by, bx - 7 * math.cos(turn + side * 0.45), by - 7 * math.sin(turn + side * 0.45))


def _free(
    points: Sequence[tuple[float, float]], taken: list[tuple[float, float]], width: float, height: float
) -> tuple[float, float]:
    """Where a mark's number goes: beside its upper right end, on the image, below those that stand there already."""
    x = min(max(x for x, _y in points) + 4, width - 14)
    y = min(max(y for _x, y in points) + 2, height - 10)
    while y > 12 and any(abs(x - other_x) < 14 and abs(y - other_y) < 11 for other_x, other_y in taken):
        y -= 11
    taken.append((x, y))
    return x, y


def _numbered(canvas: Any, number: int, place: tuple[float, float]) -> None:
    x, y = place
    canvas.setFillColor(EDGE)
    canvas.rect(x - 1.5, y - 2, 5 + 4.5 * len(str(number)), 10, stroke=0, fill=1)
    canvas.setFillColor(MARK)
    canvas.setFont("Helvetica-Bold", 8)
    canvas.drawString(x, y, str(number))
