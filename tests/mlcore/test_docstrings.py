"""Public docstrings follow the numpydoc convention as far as a machine can tell."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

MLCORE = Path(__file__).resolve().parents[2] / "mlcore"
SECTIONS = ("Parameters", "Returns", "Yields", "Raises", "Attributes", "Notes", "References", "See Also", "Examples")
MODULES = sorted(path for path in MLCORE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))
Documented = ast.FunctionDef | ast.ClassDef


def public(tree: ast.Module) -> Iterator[tuple[str, Documented]]:
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inside in node.body:
                    if isinstance(inside, ast.FunctionDef) and not inside.name.startswith("_"):
                        yield f"{node.name}.{inside.name}", inside


def sections(docstring: str) -> dict[str, list[str]]:
    """Give the lines of each section; the summary is under ''."""
    found: dict[str, list[str]] = {"": []}
    lines, name = docstring.splitlines(), ""
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1].strip()):
            name = line.strip()
            found[name] = []
        elif not re.fullmatch(r"-{3,}", line.strip()):
            found[name].append(line)
    return found


def named(lines: list[str]) -> list[str]:
    """Give the names that a section of parameters or attributes explains."""
    heads = [line.partition(":")[0] for line in lines if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def faults(name: str, node: Documented) -> Iterator[str]:
    docstring = ast.get_docstring(node)
    if docstring is None:
        yield f"{name} has no docstring"
        return
    parts = sections(docstring)
    summary = docstring.partition("\n\n")[0]
    if not summary.endswith("."):
        yield f"{name} does not begin with a sentence"
    for title in parts:
        if title and title not in SECTIONS:
            yield f"{name} has the section {title!r}"
    if isinstance(node, ast.FunctionDef):
        arguments = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        wanted = {each for each in arguments if each not in ("self", "cls")}
        if "Parameters" in parts:
            explained = set(named(parts["Parameters"]))
            for each in sorted(explained - wanted):
                yield f"{name} explains {each}, which it does not take"
            # A docstring may refer to another function for what both take.
            if "parameters as of" not in docstring.lower():
                for each in sorted(wanted - explained):
                    yield f"{name} does not explain {each}"
            nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
            if not nothing and "Returns" not in parts and not summary.startswith(("Give", "Tell", "Choose", "Load")):
                yield f"{name} does not say what it returns"
    elif "Attributes" in parts:
        fields = {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
        for each in sorted(fields ^ set(named(parts["Attributes"]))):
            if fields:
                yield f"{name} and its docstring disagree about {each}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(MLCORE).as_posix())
def test_public_docstrings_agree_with_the_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path.name} does not say what it is"
    assert [fault for name, node in public(tree) for fault in faults(name, node)] == []


def test_a_fault_is_found():
    tree = ast.parse(
        'def give(a, b):\n    """Give b.\n\n    Parameters\n    ----------\n    c : int\n        What?\n    """\n'
        "def bare(): pass\n"
    )
    assert [fault for name, node in public(tree) for fault in faults(name, node)] == [
        "give explains c, which it does not take",
        "give does not explain a",
        "give does not explain b",
        "bare has no docstring",
    ]
