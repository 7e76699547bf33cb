"""Charts as SVG that the server draws: geometry here, drawing in ``templates/components/chart_*.html``, colour in CSS.

No script and no inline style, so the strict content policy holds; every chart says in words what it shows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

WIDTH, HEIGHT = 420, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 46
_OTHER_INK_FROM = 0.65  # share of a row from which the text of a cell needs the other ink

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One series: ``path`` in pixels; ``tone`` 1 to 5 picks a colour, ``dots`` its single points."""

    name: str
    path: str
    tone: int = 1
    dots: list[Point] = field(default_factory=list)
    dashed: bool = False


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes. ``text`` is what a screen reader says."""

    title: str
    text: str
    x_label: str
    y_label: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    diagonal: str = ""
    note: str = ""
    band: str = ""
    whiskers: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right_edge: int = WIDTH - RIGHT
    top: int = TOP
    bottom_edge: int = HEIGHT - BOTTOM

    @property
    def x_middle(self) -> float:
        return (self.left + self.right_edge) / 2

    @property
    def y_middle(self) -> float:
        return (self.top + self.bottom_edge) / 2


@dataclass(frozen=True)
class Cell:
    x: float
    y: float
    count: int
    share: str
    strength: str
    strong: bool
    text: str
    url: str = ""


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix; rows are the truth, columns the opinion."""

    title: str
    text: str
    cells: list[Cell]
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]
    cell_width: float
    cell_height: float
    width: int
    height: int
    left: int
    note: str = ""


class Axes:
    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        low, high = self._x
        return round(LEFT + (value - low) / (high - low or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self._y
        return round(HEIGHT - BOTTOM - (value - low) / (high - low or 1) * (HEIGHT - TOP - BOTTOM), 1)

    def path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{'M' if n == 0 else 'L'}{self.x(x)} {self.y(y)}" for n, (x, y) in enumerate(points))

    def dots(self, points: Sequence[Point]) -> list[Point]:
        return [(self.x(x), self.y(y)) for x, y in points]


def shares() -> list[float]:
    return [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def _unit_chart(
    title: str,
    text: str,
    labels: tuple[str, str],
    lines: list[Line],
    axes: Axes,
    note: str,
    *,
    diagonal: bool = True,
    band: str = "",
    whiskers: str = "",
) -> LineChart:
    return LineChart(
        title,
        text,
        *labels,
        lines,
        [Tick(axes.x(value), number_format(value, 1)) for value in shares()],
        [Tick(axes.y(value), number_format(value, 1)) for value in shares()],
        diagonal=axes.path([(0, 0), (1, 1)]) if diagonal else "",
        note=note,
        band=band,
        whiskers=whiskers,
    )


def roc(
    series: Mapping[str, Sequence[Sequence[float]]], note: str = "", band: Sequence[Sequence[float]] = ()
) -> LineChart | None:
    """Sensitivity against false alarms, one line per model; None where nothing was measured.

    ``band``: false positive rate, low and high end of the first model's interval.
    """
    axes = Axes((0, 1), (0, 1))
    lines = [
        Line(name, axes.path([(x, y) for x, y in points]), tone)
        for tone, (name, points) in enumerate(series.items(), start=1)
        if points
    ]
    if not lines:
        return None
    text = _("ROC curve of %(names)s. %(note)s") % {"names": ", ".join(line.name for line in lines), "note": note}
    outline = [(x, low) for x, low, _high in band] + [(x, high) for x, _low, high in reversed(band)]
    shape = f"{axes.path(outline)}Z" if outline else ""
    return _unit_chart(_("ROC"), text, (_("1 − specificity"), _("Sensitivity")), lines, axes, note, band=shape)


def precision_recall(series: Mapping[str, Sequence[Sequence[float]]], note: str = "") -> LineChart | None:
    """Precision against the share of tumours found, one line per model; None where nothing was measured."""
    axes = Axes((0, 1), (0, 1))
    lines = [
        Line(name, axes.path([(x, y) for x, y in points]), tone)
        for tone, (name, points) in enumerate(series.items(), start=1)
        if points
    ]
    if not lines:
        return None
    text = _("Precision and recall of %(names)s. %(note)s") % {
        "names": ", ".join(line.name for line in lines),
        "note": note,
    }
    labels = (_("Sensitivity (recall)"), _("Precision"))
    return _unit_chart(_("Precision and recall"), text, labels, lines, axes, note, diagonal=False)


def decision(series: Mapping[str, Sequence[Sequence[float]]], note: str = "") -> LineChart | None:
    """Net benefit by the probability from which a reader acts; None where nothing was measured."""
    measured = {name: points for name, points in series.items() if points}
    if not measured:
        return None
    everybody = [(x, y) for x, _model, y in next(iter(measured.values()))]
    values = [y for points in measured.values() for _x, y, _all in points]
    low, high = min(0.0, *values), max(0.05, *values, everybody[0][1])
    low = max(low, -0.5 * high) - 0.05 * high
    axes = Axes((0, 1), (low, 1.08 * high))
    step = round_step(1.08 * high - low)
    steps = [n * step for n in range(math.ceil(low / step), math.floor(1.08 * high / step) + 1)]
    text = _("Net benefit of %(names)s, compared with calling every or no scan a tumour. %(note)s") % {
        "names": ", ".join(measured),
        "note": note,
    }
    return LineChart(
        _("Decision curve"),
        text,
        _("Decision threshold"),
        _("Net benefit per scan"),
        [*_benefit_lines(measured, axes, low), _everybody_line(everybody, axes, low)],
        [Tick(axes.x(value), number_format(value, 1)) for value in shares()],
        y_ticks(axes, steps, step),
        diagonal=axes.path([(0, 0), (1, 0)]),
        note=note,
    )


def _benefit_lines(measured: Mapping[str, Sequence[Sequence[float]]], axes: Axes, low: float) -> list[Line]:
    """One line per model; what lies below the lower end of the chart runs along it."""
    return [
        Line(name, axes.path([(x, max(y, low)) for x, y, _all in points]), tone)
        for tone, (name, points) in enumerate(measured.items(), start=1)
    ]


def _everybody_line(everybody: Sequence[Point], axes: Axes, low: float) -> Line:
    """The line of calling everybody a tumour, as far as it stays within the chart."""
    above = [(x, y) for x, y in everybody if y >= low]
    return Line(_("Call every scan a tumour"), axes.path(above), 3)


def calibration(series: Mapping[str, Sequence[Mapping[str, float]]], note: str = "") -> LineChart | None:
    """How often it was a tumour against how probable it was called; None where nothing was measured."""
    axes = Axes((0, 1), (0, 1))
    lines, whiskers = [], ""
    for tone, (name, bins) in enumerate(series.items(), start=1):
        points = [(each["predicted"], each["observed"]) for each in bins]
        if not points:
            continue
        lines.append(Line(name, axes.path(points), tone, axes.dots(points)))
        if not whiskers:
            ends = [(each["predicted"], *wilson(each["observed"], each["n"])) for each in bins]
            whiskers = " ".join(axes.path([(x, low), (x, high)]) for x, low, high in ends)
    if not lines:
        return None
    text = _("Calibration of %(names)s. On the diagonal, probabilities are accurate. %(note)s") % {
        "names": ", ".join(line.name for line in lines),
        "note": note,
    }
    labels = (_("Predicted probability"), _("Fraction with a tumour"))
    return _unit_chart(_("Calibration"), text, labels, lines, axes, note, whiskers=whiskers)


def wilson(share: float, n: float) -> tuple[float, float]:
    """The ends of the 95 % interval of a share of n scans (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def confusion(
    table: Mapping[str, Any], words: Mapping[str, str], link: Callable[[str, str], str] = lambda truth, opinion: ""
) -> Matrix | None:
    """Opinions by truth with each row's shares; None where there is no table.

    ``link`` gives the address of the cases behind a cell, empty where they cannot be opened.
    """
    truths, opinions, counts = table.get("truth", []), table.get("opinion", []), table.get("counts", [])
    if not (truths and opinions and counts):
        return None
    left, bottom, gap = 100, 34, 3
    cell_width, cell_height = (WIDTH - left - RIGHT) / len(opinions), (HEIGHT - TOP - bottom) / len(truths)
    cells, said = [], []
    for row, (truth, numbers) in enumerate(zip(truths, counts, strict=True)):
        total = sum(numbers)
        for column, (opinion, count) in enumerate(zip(opinions, numbers, strict=True)):
            share = count / total if total else 0.0
            text = _("%(truth)s called %(opinion)s: %(count)d of %(total)d") % {
                "truth": words.get(truth, truth),
                "opinion": words.get(opinion, opinion),
                "count": count,
                "total": total,
            }
            said.append(text)
            x, y = left + column * cell_width, TOP + row * cell_height
            cells.append(
                Cell(
                    round(x, 1),
                    round(y, 1),
                    int(count),
                    f"{share:.0%}".replace("%", " %") if total else "–",
                    f"{0.06 + 0.94 * share:.2f}",
                    share > _OTHER_INK_FROM,
                    text,
                    link(truth, opinion) if count else "",
                )
            )
    return Matrix(
        _("Confusion matrix"),
        "; ".join(said),
        cells,
        [(round(TOP + (n + 0.5) * cell_height, 1), words.get(each, each)) for n, each in enumerate(truths)],
        [(round(left + (n + 0.5) * cell_width, 1), words.get(each, each)) for n, each in enumerate(opinions)],
        round(cell_width - gap, 1),
        round(cell_height - gap, 1),
        WIDTH,
        HEIGHT,
        left,
        _("Rows: correct label. Columns: AI result. Percentages are of each row."),
    )


def y_ticks(axes: Axes, values: Sequence[float], step: float) -> list[Tick]:
    """Ticks of the upright axis, with as many decimals as the distance between them asks for."""
    decimals = max(1, -math.floor(math.log10(step)))
    return [Tick(axes.y(value), number_format(value, decimals)) for value in values]


def round_step(span: float) -> float:
    """A round distance of ticks that gives about five of them."""
    rough = max(span, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
