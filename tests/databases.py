"""Databases of a test's own, beside the one that all tests share; the migrations run once for all that begin alike."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

ROOT = Path(__file__).resolve().parent.parent
Nodes = tuple[tuple[str, str], ...]


@contextlib.contextmanager
def scratch(template: str | None = None) -> Iterator[str]:
    """A database, empty or the copy of another, to which the connection leads meanwhile; gives its name.

    The permission to use databases must be there (``django_db_blocker.unblock()``).
    """
    usual, name = connection.settings_dict["NAME"], new_name()
    create(name, template)
    _point_at(name)
    try:
        yield name
    finally:
        _point_at(usual)
        drop(name)


@contextlib.contextmanager
def shared(kept: Path) -> Iterator[None]:
    """The database named for tests, made from the template; dropped in the end."""
    usual, name = connection.settings_dict["NAME"], str(connection.settings_dict["TEST"]["NAME"])
    drop(name)
    create(name, migrated(kept))
    _point_at(name)
    settings.DATABASES["default"]["NAME"] = name
    try:
        yield
    finally:
        settings.DATABASES["default"]["NAME"] = usual
        _point_at(usual)
        drop(name)


def migrated(kept: Path) -> str:
    """The name of a database in which every migration ran, and nothing else: made by whichever process comes first.

    A file is kept for the next run too. On a server it lasts as long as this run (``drop_template``).
    """
    folder = Path(os.environ["OVERREAD_TEST_FOLDER"])
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor != "sqlite":
            mark = folder / "template"
            if not mark.exists():
                name = f"overread_template_{uuid.uuid4().hex[:12]}"
                _migrate(name)
                mark.write_text(name)
            return mark.read_text()
        file = kept / f"{code_hash()}.sqlite3"
        if not file.exists():
            making = str(folder / "template.sqlite3")
            _migrate(making)
            for old in sorted(kept.glob("*.sqlite3"), key=lambda each: each.stat().st_mtime)[:-2]:
                old.unlink(missing_ok=True)
            shutil.move(making, file)
        return str(file)


def _migrate(name: str) -> None:
    usual = connection.settings_dict["NAME"]
    create(name)
    _point_at(name)
    try:
        call_command("migrate", interactive=False, verbosity=0)
        if connection.vendor == "sqlite":
            # Into one file, without a log beside it.
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=DELETE")
    finally:
        _point_at(usual)


def drop_template() -> None:
    """Called by the process that began the run, when all are done."""
    mark = Path(os.environ["OVERREAD_TEST_FOLDER"]) / "template"
    if mark.exists():
        drop(mark.read_text())
        mark.unlink()


def code_hash() -> str:
    """Of all that decides which tables there are and what is in them when they are new."""
    found = hashlib.sha256(sys.version.encode())
    code = (path for folder in ("diagnostics", "portal") for path in (ROOT / folder).rglob("*.py"))
    for path in sorted([*code, *ROOT.glob("requirements*.txt")]):
        found.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:32]


def new_name() -> str:
    name = f"scratch_{uuid.uuid4().hex[:12]}"
    return name if connection.vendor == "postgresql" else str(Path(settings.DATA_DIR) / f"{name}.sqlite3")


def create(name: str, template: str | None = None) -> None:
    if connection.vendor == "sqlite":
        if template:
            shutil.copyfile(template, name)
        return
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))


def drop(name: str) -> None:
    if connection.vendor == "sqlite":
        for ending in ("", "-wal", "-shm"):
            Path(f"{name}{ending}").unlink(missing_ok=True)
        return
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _point_at(name: str) -> None:
    """Let the connection lead to another database from now on."""
    connection.close()
    connection.settings_dict["NAME"] = name
    ContentType.objects.clear_cache()
    cache.clear()


def migrated_to(nodes: Nodes) -> StateApps:
    """Bring the connection's database to these migrations, also backwards; gives the models of then."""
    executor = MigrationExecutor(connection)
    # A squashed migration hides those that it replaces.
    executor.loader.replace_migrations = False
    executor.loader.build_graph()
    executor.migrate(list(nodes))
    return executor.loader.project_state(list(nodes)).apps
