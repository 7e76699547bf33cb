"""Charts put numbers where they belong, and bear what is missing."""

import math
import re

from django.template.loader import render_to_string
from django.utils import translation

from diagnostics.registry.queries import measured
from portal.ui import charts, charts_over_time


def test_roc_begins_at_the_origin_and_ends_in_the_corner():
    chart = charts.roc({"model": [[0, 0], [0.25, 0.5], [1, 1]]})
    points = [tuple(map(float, point)) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", chart.lines[0].path)]
    left, right, top, bottom = chart.left, chart.right_edge, chart.top, chart.bottom_edge
    assert points[0] == (left, bottom)
    assert points[-1] == (right, top)
    assert points[1] == (left + 0.25 * (right - left), (top + bottom) / 2)


def test_charts_of_nothing_are_none():
    assert charts.roc({"model": []}) is None
    assert charts.calibration({"model": []}) is None
    assert charts.confusion({}, {}) is None
    assert charts_over_time.learning([]) == []
    assert charts_over_time.learning([{"epoch": 1, "loss": None, "val_loss": math.nan, "val_auroc": None}]) == []


def test_confusion_matrix_says_every_cell_in_words():
    table = {"truth": ["a", "b"], "opinion": ["a", "b"], "counts": [[3, 1], [0, 0]]}
    chart = charts.confusion(table, {"a": "First"})
    assert [cell.share for cell in chart.cells] == ["75 %", "25 %", "–", "–"]
    assert "First called b: 1 of 4" in chart.text
    assert [cell.strong for cell in chart.cells] == [True, False, False, False]


def test_learning_curve_leaves_out_epochs_without_a_number():
    epochs = [{"epoch": 1, "loss": 2.0, "val_loss": None}, {"epoch": 2, "loss": 1.0, "val_loss": 1.5}]
    (loss,) = charts_over_time.learning(epochs)
    assert [len(line.dots) for line in loss.lines] == [2, 1]
    assert loss.lines[0].dots[0][1] < loss.lines[0].dots[1][1]


def test_ticks_of_the_scale_are_round():
    epochs = [{"epoch": n, "loss": 1.32 - 0.2 * n} for n in range(1, 6)]
    (loss,) = charts_over_time.learning(epochs)
    assert [tick.text for tick in loss.y_ticks] == ["0.4", "0.6", "0.8", "1.0"]


def test_drawn_charts_bear_no_inline_style_or_script():
    chart = charts.roc({"<script>": [[0, 0], [1, 1]]}, note="a & b")
    drawn = render_to_string("components/chart_lines.html", {"chart": chart})
    assert "style=" not in drawn and "<script" not in drawn
    assert 'role="img"' in drawn and "aria-label=" in drawn


def test_weeks_have_the_interval_of_the_share_that_leads():
    rows = [
        {"week": -1, "overrides": 0.5, "agreed": 0.5, "reads": 10},
        {"week": 0, "overrides": None, "agreed": None, "reads": 0},
    ]
    chart = charts_over_time.over_weeks(rows, {"overrides": "Overrides", "agreed": "Agreed"}, "Weeks", of="reads")
    assert chart.whiskers.count("M") == 1
    assert "Overrides" in chart.note


def test_ticks_are_written_as_the_language_writes_numbers():
    rows = [{"week": 0, "overrides": 0.5, "reads": 10}]
    with translation.override("de"):
        chart = charts_over_time.over_weeks(rows, {"overrides": "Overrides"}, "Weeks", of="reads")
        assert measured({"value": -0.5}, signed=True).value == "−0,500"
    assert "0,2" in [tick.text for tick in chart.y_ticks]
