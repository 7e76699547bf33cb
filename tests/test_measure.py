"""The figures that we hold our own code against are counted rightly."""

import ast

import grimp
import pytest

from tests import measure


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 1", 1),
        ("if a:\n  return 1\nelif b:\n  return 2\nelse:\n  return 3", 3),
        ("return a and b and (c or d)", 4),
        ("return [x for x in a if x if x > 1]", 4),
        ("for x in a:\n  pass\nelse:\n  pass", 3),
        ("try:\n  pass\nexcept A:\n  pass\nexcept B:\n  pass", 3),
        ("match a:\n  case 1:\n    pass\n  case 2:\n    pass", 3),
        ("def inner():\n  if a:\n    pass\n  return 1", 1),
        ("return 1 if a else 2", 2),
    ],
)
def test_complexity_is_one_and_the_decisions(body, expected):
    text = "def f():\n" + "\n".join(f"    {line}" for line in body.splitlines())
    assert measure.complexity(ast.parse(text).body[0]) == expected


def test_percentile_is_a_value_that_covers_the_share():
    assert measure.percentile(range(1, 101), 0.95) == 95
    assert measure.percentile([7], 0.95) == 7
    assert measure.percentile([1, 2], 0.5) == 1


def test_cycles_are_found_however_long():
    graph = grimp.ImportGraph()
    for importer, imported in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f"), ("f", "e"), ("a", "e")]:
        graph.add_import(importer=importer, imported=imported)
    assert sorted(measure.cycles(graph)) == [["a", "b", "c"], ["e", "f"]]


def test_every_figure_is_measured_here():
    figures = measure.measure()
    assert len(figures) == 13
    assert all(each.found and each.goal for each in figures)
