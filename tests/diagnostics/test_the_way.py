"""The way of a scan is told twice, in the code and in a document: both say the same, and what they name is there."""

import ast
import inspect
import re

import pytest

from diagnostics import pipeline
from tests.processes import ROOT

TOLD = (ROOT / "docs" / "the-way-of-a-scan.md").read_text()
TABLE = [line for line in TOLD.splitlines() if line.startswith("| **")]


def named(text):
    """Each file that a text names, and the name in it where it gives one."""
    return re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", text)


def test_document_has_the_acts_in_the_order_of_the_code():
    drawn = re.search(r"```\n(upload.*?)```", TOLD, re.DOTALL)
    assert [act.strip() for act in drawn[1].split("→")] == list(pipeline.THE_WAY)


@pytest.mark.parametrize("act", pipeline.THE_WAY)
def test_document_names_who_carries_an_act_out(act):
    function = pipeline.THE_WAY[act]
    function = inspect.unwrap(getattr(function, "run", function))
    place = function.__module__.removeprefix("diagnostics.").replace(".", "/") + ".py"
    rows = [line for line in TABLE if line.lower().startswith(f"| **{act}")]
    assert len(rows) == 1 and (place, function.__name__) in named(rows[0]), (place, function.__name__)


@pytest.mark.parametrize(("place", "name"), sorted(set(named(TOLD))))
def test_what_the_document_names_is_there(place, name):
    file = next((root / place for root in (ROOT / "diagnostics", ROOT) if (root / place).is_file()), None)
    assert file is not None, f"no {place}"
    if name:
        there = {node.name for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "name")}
        assigned = {
            target.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        assert name in there | assigned, f"no {name} in {place}"
