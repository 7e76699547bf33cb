"""Several databases side by side, of SQLite or on a PostgreSQL server, and turning from one to the other."""

import os
import shutil
from pathlib import Path

from django.db import connection

from diagnostics.scans import planner_statistics


class Databases:
    """Copies of the database that Django is set up on; ``turn_to`` one of them, ``drop`` it when done.

    ``folder`` is where copies of SQLite's file lie. On a server the database must have no other connection.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.first = str(connection.settings_dict["NAME"])

    def turn_to(self, name: str) -> None:
        """Let every question from now on go to this database."""
        if connection.settings_dict["NAME"] != name:
            connection.close()
            connection.settings_dict["NAME"] = name

    def copy(self, label: str) -> str:
        """A copy of the first database; gives its name."""
        connection.close()
        if connection.vendor == "sqlite":
            name = str(self._folder / f"{label}.sqlite3")
            shutil.copyfile(self.first, name)
            return name
        name = f"{self.first}_{label}"
        _on_server(connection.settings_dict, f'CREATE DATABASE "{name}" TEMPLATE "{self.first}"')
        return name

    def drop(self, name: str) -> None:
        self.turn_to(self.first)
        connection.close()
        if connection.vendor == "sqlite":
            Path(name).unlink()
        else:
            _on_server(connection.settings_dict, f'DROP DATABASE "{name}"')

    def looked_over(self) -> None:
        """Let the database look at its tables as each installation does by itself."""
        planner_statistics.refresh()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("VACUUM")  # what its autovacuum does within a minute


def own_on(server: str) -> str:
    """Make a database of this process's own on a PostgreSQL server; gives its address."""
    import environ

    settings = environ.Env.db_url_config(server)
    name = f"overread_bench_{os.getpid()}"
    _on_server(settings, f'CREATE DATABASE "{name}"')
    return f"{server.rpartition('/')[0]}/{name}"


def drop_own(address: str) -> None:
    import environ

    connection.close()
    _on_server(environ.Env.db_url_config(address), f'DROP DATABASE "{address.rpartition("/")[2]}"')


def _on_server(settings: dict, sql: str) -> None:  # type: ignore[type-arg]
    import psycopg

    names = {"USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    where = {key: settings[name] for name, key in names.items() if settings.get(name)}
    with psycopg.connect(dbname="postgres", autocommit=True, **where) as server:
        server.execute(sql)
