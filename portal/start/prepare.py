"""What is done before the processes start, each time: tables, static files, the bundled model."""

import hashlib
import sys
from pathlib import Path

import django
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.start.refusal import Refusal

MANAGE = ".venv/bin/python manage.py"


def prepare() -> None:
    """Bring the database, the static files and the live model up to date."""
    django.setup()
    from django.db import OperationalError, connection

    from diagnostics.scans import planner_statistics
    from diagnostics.scans.twins import NamesCollide

    try:
        first = "django_migrations" not in connection.introspection.table_names()
        print("Preparing the database." if first else "Looking whether the database is up to date.", flush=True)
        call_command("migrate", interactive=False, verbosity=0)
        planner_statistics.refresh()
    except NamesCollide as error:
        raise Refusal(str(error)) from None
    except OperationalError as error:
        raise Refusal(
            f"The database does not answer ({str(error).strip().splitlines()[0]}): "
            "see that it runs and that DATABASE_URL is right."
        ) from None
    collect_static_files()
    try:
        call_command("install_model")
    except CommandError as error:
        # Everything but opinions works without a model, and /readyz tells it: so this is said, not refused.
        print(f"No model was installed. {error}", flush=True)
    connection.close()


def why_unprepared() -> str | None:
    """What a person at the command line must do before the database can be used; None where it is up to date."""
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except OperationalError:
        return "The database does not answer: see that it runs and that DATABASE_URL is right."
    if not behind:
        return None
    return f"The database is not prepared: `make run` does it at each start, or `{MANAGE} migrate` now."


def collect_static_files() -> None:
    """Collect the static files, unless they are what was collected last: compressing them takes seconds."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders

    found = hashlib.sha256(str(settings.STATIC_ROOT).encode())
    for finder in get_finders():
        for name, storage in finder.list(None):
            told = Path(storage.path(name)).stat()
            found.update(f"{name} {told.st_size} {told.st_mtime_ns}\n".encode())
    stamp = settings.DATA_DIR / "run" / "static-files"
    if (
        (settings.STATIC_ROOT / "staticfiles.json").is_file()
        and stamp.is_file()
        and stamp.read_text() == found.hexdigest()
    ):
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp.write_text(found.hexdigest())


def is_first_run() -> bool:
    """Whether nobody has an account here yet."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    exists = get_user_model()._default_manager.exists()
    connection.close()
    return not exists


def wants_demo(wish: str, *, first: bool, interactive: bool) -> bool:
    """Whether demo people are to be made: DEMO=1 says so; else a person at the terminal is asked, the first time."""
    if wish:
        return wish.lower() not in ("0", "no", "n", "false")
    if not first or not interactive:
        return False
    try:
        reply = input("Nobody has an account yet. Make demo people, one per role, and phantom scans? [y/N] ")
    except EOFError:
        return False
    return reply.strip().lower() in ("y", "yes")


def at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def how_to_sign_in(*, first: bool, demo: bool) -> str:
    """The sentence under the address."""
    if demo:
        return "Sign in as one of the demo people above; new passwords are shown once."
    if first:
        return (
            f"Nobody has an account yet: `{MANAGE} createsuperuser` makes yours; "
            f"`make run DEMO=1` or `{MANAGE} demo` makes demo people and phantom scans."
        )
    return f"Sign in with your account (forgotten: `{MANAGE} changepassword NAME`)."
