"""``python -m tests.measure``: how large, tangled and loosely typed the code is, beside what we want it to be.

Lines are all lines of a file, as ``wc -l`` counts them. Migrations and empty files do not count.
"""

import argparse
import ast
import re
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("portal", "diagnostics", "mlcore")
MOST_COMPLEX = 12
LONG_TEMPLATE_LINE = 200
SMALL_MODULE = 60


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, what we want, and whether it is so."""

    name: str
    found: str
    goal: str
    reached: bool
    examples: tuple[str, ...] = ()


def modules() -> list[Path]:
    """The files of the product that hold code."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    files += [ROOT / "celery_worker.py", ROOT / "manage.py"]
    return [file for file in files if "migrations" not in file.parts and file.read_text().strip()]


def lines_of(file: Path) -> int:
    return file.read_text().count("\n")


def functions(file: Path) -> Iterator[tuple[str, int, int]]:
    """Each function of a file: where it is, its lines from its first decorator to its end, its complexity."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            place = f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
            yield place, (node.end_lineno or first) - first + 1, complexity(node)


def percentile(values: Iterable[int], share: float) -> int:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def complexity(function: ast.AST) -> int:
    """One more than the decisions of a function; those of functions within it count for themselves.

    Counted as radon does: branches, loops, comprehensions and their conditions, handlers, asserts, match cases, and
    each further operand of `and` and `or`.
    """
    found, waiting = 1, list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            # A lambda has no name to be listed under: it counts where it stands.
            found += complexity(node) if isinstance(node, ast.Lambda) else 0
            continue
        if isinstance(node, ast.If | ast.IfExp | ast.Assert | ast.ExceptHandler | ast.match_case):
            found += 1
        elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
            found += 1 + bool(node.orelse)
        elif isinstance(node, ast.comprehension):
            found += 1 + len(node.ifs)
        elif isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        waiting.extend(ast.iter_child_nodes(node))
    return found


def words(pattern: str, files: Iterable[Path]) -> int:
    return sum(len(re.findall(pattern, file.read_text())) for file in files)


def imports() -> grimp.ImportGraph:
    """Which module imports which, also inside functions and under ``TYPE_CHECKING``."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Sets of modules each of which reaches all others of its set by imports (strongly connected components)."""
    targets = {each: sorted(graph.find_modules_directly_imported_by(each)) for each in sorted(graph.modules)}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found = []
    for start in targets:
        if start in index:
            continue
        index[start] = low[start] = len(index)
        path.append(start)
        waiting = [(start, iter(targets[start]))]
        while waiting:
            module, rest = waiting[-1]
            following = next(rest, None)
            if following is None:
                waiting.pop()
                if waiting:
                    low[waiting[-1][0]] = min(low[waiting[-1][0]], low[module])
                if low[module] == index[module]:
                    at = path.index(module)
                    found.append(path[at:])
                    del path[at:]
            elif following not in index:
                index[following] = low[following] = len(index)
                path.append(following)
                waiting.append((following, iter(targets[following])))
            elif following in path:
                low[module] = min(low[module], index[following])
    return [sorted(each) for each in found if len(each) > 1]


def small_with_one_importer(graph: grimp.ImportGraph, files: Iterable[Path]) -> list[str]:
    """Modules that may have been split off for their length alone."""
    found = []
    for file in files:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if name in graph.modules and lines_of(file) < SMALL_MODULE:
            importers = graph.find_modules_that_directly_import(name)
            if len(importers) == 1:
                found.append(f"{name} ({lines_of(file)} lines, by {next(iter(importers))})")
    return found


def template_lines() -> tuple[int, int, list[str]]:
    """All lines of templates, the length of the longest, and where those are that are too long."""
    total, longest, long = 0, 0, []
    for file in sorted((ROOT / "templates").rglob("*.*")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            total += 1
            longest = max(longest, len(line))
            if len(line) > LONG_TEMPLATE_LINE:
                long.append(f"{file.relative_to(ROOT)}:{number} ({len(line)})")
    return total, longest, long


def measure() -> list[Figure]:
    """Every line of the table."""
    files = modules()
    lengths = {str(file.relative_to(ROOT)): lines_of(file) for file in files}
    middle, high, longest = (
        statistics.median(lengths.values()),
        percentile(lengths.values(), 0.95),
        max(lengths.values()),
    )
    by_length = tuple(f"{name} {lengths[name]}" for name in sorted(lengths, key=lambda name: -lengths[name])[:12])
    found = [each for file in files for each in functions(file)]
    sizes = {place: size for place, size, _ in found}
    long_functions = [f"{name} ({size})" for name, size in sizes.items() if size > 50]
    graph = imports()
    circles = cycles(graph)
    split = small_with_one_importer(graph, files)
    any_, ignores = words(r"(?m)^(?!from typing import).*?\bAny\b", files), words(r"type:\s*ignore", files)
    tests = sum(lines_of(file) for file in (ROOT / "tests").rglob("*.py"))
    code = sum(lengths.values())
    complicated = [f"{place} ({decisions})" for place, _, decisions in found if decisions > MOST_COMPLEX]
    total, longest_line, long = template_lines()
    return [
        Figure("module lines, median", f"{middle:g}", "<= 80", middle <= 80),
        Figure("module lines, 95th percentile", f"{high}", "<= 300", high <= 300),
        Figure("module lines, longest", f"{longest}", "<= 400", longest <= 400, by_length),
        Figure("function lines, median", f"{statistics.median(sizes.values()):g}", "<= 7",
               statistics.median(sizes.values()) <= 7),
        Figure("function lines, 95th percentile", f"{percentile(sizes.values(), 0.95)}", "<= 33",
               percentile(sizes.values(), 0.95) <= 33),
        Figure("functions over 50 lines", f"{len(long_functions) / len(sizes):.1%}", "<= 1.4 %",
               len(long_functions) / len(sizes) <= 0.014, tuple(long_functions)),
        Figure(f"functions above complexity {MOST_COMPLEX}", f"{len(complicated)}", "0", not complicated,
               tuple(complicated)),
        Figure("`Any`", f"{any_}", "<= 150", any_ <= 150),
        Figure("`type: ignore`", f"{ignores}", "<= 30", ignores <= 30),
        Figure("lines of tests to lines of code", f"{tests / code:.2f}", ">= 1.0", tests >= code),
        Figure("import cycles, imports in functions too", f"{len(circles)}", "0", not circles,
               tuple(" + ".join(each) for each in circles)),
        Figure(f"modules under {SMALL_MODULE} lines with one importer", f"{len(split)}", "no artificial splits", True,
               tuple(split)),
        Figure(f"template lines over {LONG_TEMPLATE_LINE} characters (longest {longest_line})",
               f"{len(long) / total:.1%}", "<= 1 %", len(long) <= 0.01 * total, tuple(long)),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.measure", description=__doc__)
    parser.add_argument("--where", action="store_true", help="name the places behind each figure")
    parser.add_argument("--check", action="store_true", help="end with 1 where a goal is not reached")
    asked = parser.parse_args()
    figures = measure()
    print("| | here | goal | |\n|---|---|---|---|")
    for each in figures:
        print(f"| {each.name} | {each.found} | {each.goal} | {'' if each.reached else 'not reached'} |")
    if asked.where:
        for each in figures:
            if each.examples:
                print(f"\n{each.name}:\n" + "\n".join(f"  {one}" for one in each.examples))
    if asked.check and not all(each.reached for each in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
