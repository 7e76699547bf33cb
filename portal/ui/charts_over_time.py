"""Charts over time, as SVG: a training epoch by epoch, a model in use week by week."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from .charts import Axes, Line, LineChart, Point, Tick, round_step, shares, wilson, y_ticks


def over_epochs(
    epochs: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], title: str, y_label: str, *, unit: bool = False
) -> LineChart | None:
    """Values of each epoch of a training, one line per name; None before the first epoch.

    ``unit`` fixes the upper end of the scale at 1, for what cannot be more.
    """
    series = _series(epochs, wanted, along="epoch")
    values = [y for points in series.values() for _x, y in points]
    if not values:
        return None
    low, high = _scale(values, unit)
    last = max(int(row["epoch"]) for row in epochs)
    axes = Axes((1, max(2, last)), (low, high))
    lines = [
        Line(label, axes.path(points), tone, axes.dots(points) if len(points) <= 40 else [])
        for tone, (label, points) in enumerate(series.items(), start=1)
        if points
    ]
    step = round_step(high - low)
    steps = [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return LineChart(
        title,
        _epochs_in_words(series),
        _("Epoch"),
        y_label,
        lines,
        [Tick(axes.x(each), str(each)) for each in _whole_ticks(last)],
        y_ticks(axes, steps, step),
    )


def _epochs_in_words(series: Mapping[str, Sequence[Point]]) -> str:
    return "; ".join(
        _("%(name)s: %(first)s at epoch %(from)d, %(last)s at epoch %(to)d")
        % {
            "name": label,
            "first": number_format(points[0][1], 3),
            "from": points[0][0],
            "last": number_format(points[-1][1], 3),
            "to": points[-1][0],
        }
        for label, points in series.items()
        if points
    )


def over_weeks(
    rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], title: str, *, of: str
) -> LineChart | None:
    """Shares week by week, one line per name, the first with its intervals; None where nothing was measured.

    ``of`` names what the first line's shares are of: their number in each row.
    """
    series = {label: points for label, points in _series(rows, wanted, along="week").items() if points}
    if not series:
        return None
    first = min(int(x) for points in series.values() for x, _y in points)
    axes = Axes((min(first, -1), 0), (0, 1))
    lines = [
        Line(label, axes.path(each), tone, axes.dots(each)) for tone, (label, each) in enumerate(series.items(), 1)
    ]
    leading = next(iter(wanted))
    ends = _intervals(rows, leading, of)
    step = max(1, math.ceil(-first / 8))
    return LineChart(
        title,
        _weeks_in_words(series),
        _("Weeks ago"),
        _("Share"),
        lines,
        [Tick(axes.x(-n), str(n)) for n in range(0, max(1, -first) + 1, step)],
        [Tick(axes.y(value), number_format(value, 1)) for value in shares()],
        note=_("Vertical lines: 95 %% interval of “%(name)s”.") % {"name": wanted[leading]} if ends else "",
        whiskers=" ".join(axes.path([(x, low), (x, high)]) for x, low, high in ends),
    )


def _intervals(rows: Sequence[Mapping[str, Any]], name: str, of: str) -> list[tuple[float, float, float]]:
    """Week, low and high end of the interval of each share that is one of something."""
    return [
        (float(row["week"]), *wilson(float(row[name]), row[of]))
        for row in rows
        if row.get(of) and _is_number(row.get(name))
    ]


def _weeks_in_words(series: Mapping[str, Sequence[Point]]) -> str:
    return "; ".join(
        _("%(name)s: %(first)s %(ago)d weeks ago, %(last)s in the last week")
        % {
            "name": label,
            "first": number_format(each[0][1], 2),
            "ago": -int(each[0][0]),
            "last": number_format(each[-1][1], 2),
        }
        for label, each in series.items()
    )


def learning(epochs: Sequence[Mapping[str, Any]]) -> list[LineChart]:
    """The two charts of a training: loss, and AUROC on the validation part."""
    loss = over_epochs(epochs, {"loss": _("Training"), "val_loss": _("Validation")}, _("Loss"), _("Loss"))
    auroc = over_epochs(
        epochs, {"val_auroc": _("Validation")}, _("AUROC on the validation part"), _("AUROC"), unit=True
    )
    return [chart for chart in (loss, auroc) if chart is not None]


def _series(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], *, along: str) -> dict[str, list[Point]]:
    """The points of each wanted value, by its label; none where a row has no number."""
    return {
        label: [(float(row[along]), float(row[name])) for row in rows if _is_number(row.get(name))]
        for name, label in wanted.items()
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _scale(values: Iterable[float], unit: bool) -> tuple[float, float]:
    found = list(values)
    low, high = min(found), max(found)
    if unit:
        return (max(0.0, min(0.5, math.floor(low * 10) / 10)), 1.0)
    room = 0.08 * (high - low or high or 1)
    return (max(0.0, low - room), high + room)


def _whole_ticks(last: int) -> list[int]:
    """Whole epochs, at most eight or so."""
    step = max(1, math.ceil(last / 8))
    return list(range(1, max(2, last) + 1, step))
