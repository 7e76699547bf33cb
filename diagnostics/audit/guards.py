"""Triggers by which the database itself refuses to change or remove an audit event, whoever asks.

Who owns the tables can take them down; then the chain tells what was done. They are put up by a migration and again
after each one, for SQLite drops them where a migration makes a table anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

EVENT, LINK, CHAIN = "diagnostics_auditevent", "diagnostics_auditlink", "diagnostics_auditchain"
TABLES = (EVENT, LINK, CHAIN)
WORDS = "The audit is append-only: its rows are never changed or deleted."
_GROWS = "NEW.id = OLD.id AND NEW.length = OLD.length + 1"


def _sqlite() -> dict[str, tuple[str, str]]:
    """Name → table and statement."""
    found = {}
    for table in TABLES:
        stays = f"SELECT RAISE(ABORT, '{WORDS}');"
        key = "event_id" if table == LINK else "id"
        when = {
            "no_delete": "BEFORE DELETE ON {table}",
            "no_update": "BEFORE UPDATE ON {table}" + (f" WHEN NOT ({_GROWS})" if table == CHAIN else ""),
            # INSERT OR REPLACE removes a row without a DELETE that a trigger would see.
            "no_replace": "BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})",
        }
        for what, event in when.items():
            name = f"{table}_{what}"
            found[name] = (table, f"CREATE TRIGGER {name} {event.format(table=table, key=key)} BEGIN {stays} END")
    return found


_FUNCTION = f"""
CREATE OR REPLACE FUNCTION diagnostics_audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def _postgres() -> dict[str, tuple[str, str]]:
    """Name → table and statement."""
    found = {}
    for table in TABLES:
        when = {
            "no_delete": "BEFORE DELETE ON {table} FOR EACH ROW",
            "no_update": "BEFORE UPDATE ON {table} FOR EACH ROW"
            + (f" WHEN (NOT ({_GROWS}))" if table == CHAIN else ""),
            "no_truncate": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT",
        }
        for what, event in when.items():
            name = f"{table}_{what}"
            statement = (
                f"CREATE TRIGGER {name} {event.format(table=table)} EXECUTE FUNCTION diagnostics_audit_refuses()"
            )
            found[name] = (table, statement)
    return found


def _wanted() -> dict[str, tuple[str, str]]:
    return _postgres() if connection.vendor == "postgresql" else _sqlite()


def _standing() -> set[str]:
    """The names of those that stand, are what they should be and are not switched off."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'diagnostics_audit%' AND tgenabled IN ('O', 'A')"
            )
            return {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        found = dict(cursor.fetchall())
    return {name for name, (_, statement) in _sqlite().items() if found.get(name) == statement}


def missing() -> list[str]:
    """Names of triggers that should stand and do not."""
    return sorted(set(_wanted()) - _standing())


def put_up(**_: object) -> None:
    """Put up what is missing; nothing where the tables are not there (a database of an earlier version)."""
    absent = missing()
    if not absent or not set(TABLES) <= set(connection.introspection.table_names()):
        return
    wanted = _wanted()
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTION)
        for name in absent:
            table, statement = wanted[name]
            cursor.execute(_drop(name, table))
            cursor.execute(statement)


def take_down() -> None:
    """Let the tables be emptied. For ``flush``, the tests, and the way back of the migration; nothing else."""
    if not set(TABLES) <= set(connection.introspection.table_names()):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        for name, (table, _) in _wanted().items():
            cursor.execute(_drop(name, table))


def _drop(name: str, table: str) -> str:
    return f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if connection.vendor == "postgresql" else "")


@contextmanager
def lifted() -> Iterator[None]:
    """Without the triggers meanwhile."""
    take_down()
    try:
        yield
    finally:
        put_up()


def put_up_by_migration(apps: object, schema_editor: object) -> None:
    put_up()


def take_down_by_migration(apps: object, schema_editor: object) -> None:
    take_down()
