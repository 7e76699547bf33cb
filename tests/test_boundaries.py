"""The storeys and rooms hold: by the linter, by what a fresh web process loads, by where heavy code is imported."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

ROOT = processes.ROOT
HEAVY = ("tensorflow", "keras", "cv2", "sklearn", "scipy", "ai_edge_litert")
# What these load is for a worker's child alone: one TensorFlow operation before the fork hangs every task.
WORKER_ONLY = (
    "diagnostics.predictions.inference",
    "diagnostics.shadow.scoring",
    "diagnostics.training.fitting",
)


def in_a_fresh_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=processes.environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_after(code: str, **environment: str) -> list[str]:
    asked = f"import json, sys\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    return json.loads(in_a_fresh_process(f"{code}\n{asked}", **environment))


def test_linter_finds_every_contract_kept() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


def test_web_process_has_loaded_nothing_heavy(collected: Path) -> None:
    loaded = heavy_after(
        "from portal.wsgi import application\n"
        "from django.urls import get_resolver, reverse\n"
        "assert len(list(get_resolver().reverse_dict)) > 0 and reverse('worklist:list')\n"
        "from django.test import Client\n"
        "assert Client().get('/healthz').status_code == 200\n"
        "assert Client().get('/accounts/sign-in/').status_code == 200",
        STATIC_ROOT=str(collected),
        ALLOWED_HOSTS="testserver",
    )
    assert loaded == []


def test_parent_of_the_worker_pool_has_loaded_nothing_heavy() -> None:
    assert (
        heavy_after(
            "from celery_worker import app\n"
            "app.loader.import_default_modules()\n"
            "app.finalize()\n"
            "assert 'diagnostics.tasks.infer' in app.tasks and 'diagnostics.tasks.train' in app.tasks"
        )
        == []
    )


def test_web_process_nudges_through_our_celery_application() -> None:
    said = in_a_fresh_process(
        "import portal.wsgi, celery\nprint(celery.current_app.main, celery.current_app.conf.broker_url)",
        REDIS_URL="redis://broker.example.org:6379/0",
    )
    assert said.split() == ["overread", "redis://broker.example.org:6379/0"]


def imports_at_the_top(file: Path) -> set[str]:
    """Every module that a file imports outside of a function body and of TYPE_CHECKING."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = file.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join((*package, *([node.module] if node.module else [])))
            found |= {base, *(f"{base}.{name.name}" for name in node.names)}
        waiting.extend(ast.iter_child_nodes(node))
    return found


def test_worker_only_modules_are_imported_inside_function_bodies_alone() -> None:
    guilty = [
        f"{file.relative_to(ROOT)} imports {module}"
        for storey in ("portal", "diagnostics")
        for file in sorted((ROOT / storey).rglob("*.py"))
        for module in WORKER_ONLY
        if module in imports_at_the_top(file)
    ]
    assert guilty == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from diagnostics.training import fitting", True),
        ("try:\n    import diagnostics.training.fitting\nfinally:\n    pass", True),
        ("def body():\n    from diagnostics.training import fitting", False),
        ("from .training import fitting", True),
    ],
)
def test_search_for_imports_sees_the_top_and_not_the_bodies(
    text: str, found: bool, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.test_boundaries.ROOT", tmp_path)
    (tmp_path / "diagnostics").mkdir()
    file = tmp_path / "diagnostics" / "tried.py"
    file.write_text(text)
    assert ("diagnostics.training.fitting" in imports_at_the_top(file)) is found


# What of Django a storey leaves to the storeys above it. The linter knows whole packages only.
NOT_IN_THE_DOMAIN = (
    "django.contrib.admin",
    "django.forms",
    "django.http",
    "django.shortcuts",
    "django.template",
    "django.urls",
    "django.views",
)
ABOVE = {"diagnostics": ("portal",), "mlcore": ("portal", "diagnostics")}


def reaches_up(file: Path, storey: str) -> list[str]:
    """What a file of ``storey`` imports, or names by a string as for ``import_module``, that lies above it."""
    forbidden = ABOVE[storey] + (NOT_IN_THE_DOMAIN if storey == "diagnostics" else ())
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"^\w+\.[\w.]*$", node.value):
            named = [node.value]
        elif isinstance(node, ast.Call) and re.search(r"import_(module|string)$|__import__$", ast.unparse(node.func)):
            named = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        found += [name for name in named if any(f"{name}.".startswith(f"{each}.") for each in forbidden)]
    return found


def test_no_storey_names_what_is_above_it_not_even_by_a_string() -> None:
    guilty = [
        f"{file.relative_to(ROOT)} names {name}"
        for storey in ABOVE
        for file in sorted((ROOT / storey).rglob("*.py"))
        for name in reaches_up(file, storey)
    ]
    assert guilty == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from django import forms", ["django.forms"]),
        ("def body():\n    import django.http", ["django.http"]),
        ("FRESH = 'portal.accounts.freshness'", ["portal.accounts.freshness"]),
        ("import_module('portal')", ["portal"]),
        ("import_module(f'portal.{room}')", ["portal."]),
        ("SOURCE = 'portal'", []),
        ("from django.db import models", []),
        ("'portal. Uploaded in the portal'", []),
    ],
)
def test_search_for_what_is_above_sees_imports_and_strings(text: str, found: list[str], tmp_path: Path) -> None:
    file = tmp_path / "tried.py"
    file.write_text(text)
    assert reaches_up(file, "diagnostics") == found


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static files as a real installation collects them."""
    folder = tmp_path_factory.mktemp("static")
    in_a_fresh_process(
        "import django; django.setup()\n"
        "from django.core.management import call_command as call\n"
        "call('collectstatic', verbosity=0, interactive=False)",
        STATIC_ROOT=str(folder),
    )
    return folder


def names_of(collected: Path) -> dict[str, str]:
    return json.loads((collected / "staticfiles.json").read_text())["paths"]


def test_every_module_that_our_scripts_import_is_found_under_its_hashed_name(collected: Path) -> None:
    imported = 0
    for name, hashed in names_of(collected).items():
        if not name.startswith("js/"):
            continue
        text = (collected / hashed).read_text()
        for told in re.findall(r"""(?:from|import)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""", text):
            target = ((collected / hashed).parent / told).resolve()
            assert target.is_file(), f"{hashed} imports {told}, which is not there"
            assert re.search(r"\.[0-9a-f]{12}\.js$", told), f"{hashed} imports {told} under a name that may go stale"
            imported += 1
    assert imported >= 5


def test_every_file_that_our_styles_name_is_found_under_its_hashed_name(collected: Path) -> None:
    for name, hashed in names_of(collected).items():
        if not name.startswith("css/"):
            continue
        for told in re.findall(r"""url\(["']?(?!data:|#)([^"')#]+)""", (collected / hashed).read_text()):
            target = ((collected / hashed).parent / told).resolve()
            assert target.is_file(), f"{hashed} names {told}, which is not there"
            assert re.search(r"\.[0-9a-f]{12}\.\w+$", told), f"{hashed} names {told} under a name that may go stale"


def test_static_files_are_compressed_and_served_for_ever(collected: Path) -> None:
    page = names_of(collected)["js/page.js"]
    assert (collected / f"{page}.gz").is_file()
    said = in_a_fresh_process(
        "from portal.wsgi import application\n"
        "from django.test import Client\n"
        f"answer = Client().get('/static/{page}')\n"
        "print(answer.status_code, answer['Cache-Control'])",
        STATIC_ROOT=str(collected),
    )
    assert said.strip() == "200 max-age=315360000, public, immutable"
