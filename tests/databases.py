"""Databases of a test's own, beside the one that all tests share; the migrations run once for all that begin alike."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

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
