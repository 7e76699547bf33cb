"""A database of an earlier version is migrated to the newest with every row kept, and pages and API answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.urls import reverse

from diagnostics import pipeline
from diagnostics.audit import checking, guards
from diagnostics.scans import intake
from portal.accounts.models import User
from tests import databases
from tests.access import table
from tests.access.test_access import ALL
from tests.factories import phantom
from tests.transactions import around
from tests.upgrade.schema import schema

KEPT = sorted(Path(__file__).parent.glob("kept_*.json"))
# Columns that a migration fills anew on purpose, as "table.column", each with its reason.
CHANGED: frozenset[str] = frozenset()
# Who looks at an address: the first of them who may see it.
VIEWERS = ("radiologist", "administrator", "adjudicator", "technologist", "data_manager")

# What has another name since.
RENAMED_TABLES = {"accounts_habit": "accounts_preferences"}
RENAMED_COLUMNS = {"accounts_habit.goes_on": "auto_advance", "diagnostics_patient.made_up": "is_synthetic"}


@dataclass
class Old:
    """What was kept, what each table held before the upgrade, and the tables of a new installation."""

    content: dict[str, Any]
    before: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)


def columns_of(table_name: str) -> list[str]:
    with connection.cursor() as cursor:
        return [column.name for column in connection.introspection.get_table_description(cursor, table_name)]


def contents() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as the database gives it."""
    found = {}
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            if name in ("django_migrations", "django_content_type", "auth_permission", "sqlite_sequence"):
                continue
            columns = columns_of(name)
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(name)}")
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def fill(old: Any, rows: list[dict[str, Any]]) -> None:
    """Put the kept rows into the tables as they were then."""
    many = []
    filled = set()
    with around():
        for row in rows:
            Model = old.get_model(*row["model"].split("."))
            filled.add(Model)
            values = {Model._meta.pk.attname: Model._meta.pk.to_python(row["pk"])}
            for name, value in row["fields"].items():
                target = Model._meta.get_field(name)
                if target.many_to_many:
                    many += [(Model, row["pk"], name, value)] if value else []
                elif target.is_relation and target.related_model._meta.model_name == "contenttype":
                    values[target.attname] = ContentType.objects.get_for_model(User).pk
                elif target.get_internal_type() == "BinaryField":
                    values[target.attname] = target.to_python(value)
                else:
                    values[target.attname] = target.to_python(value)
            Model(**values).save_base(raw=True, force_insert=True)
        for Model, pk, name, value in many:
            getattr(Model._base_manager.get(pk=pk), name).set(value)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(filled)):
            cursor.execute(statement)


def store_files(rows: list[dict[str, Any]]) -> None:
    """Something to look at under each key that a kept row names."""
    for number, row in enumerate(rows):
        named = row["fields"]
        if row["model"] == "diagnostics.scan":
            taken = intake.ingest(phantom(number))
            for key, data in (("original", taken.original), ("pixels", taken.pixels), ("preview", taken.preview)):
                default_storage.save(named[key], ContentFile(data))
        elif row["model"] == "diagnostics.prediction" and named["heatmap"]:
            default_storage.save(named["heatmap"], ContentFile(b"\x89PNG heat"))


@pytest.fixture(scope="module", params=KEPT, ids=[path.stem for path in KEPT])
def old(request, django_db_setup, django_db_blocker) -> Iterator[Old]:
    """A kept database of its own, migrated from then to now."""
    kept = Old(json.loads(request.param.read_text()))
    with django_db_blocker.unblock():
        kept.new = schema()
    with django_db_blocker.unblock(), databases.scratch():
        leaves = [
            node
            for node in MigrationExecutor(connection).loader.graph.leaf_nodes()
            if node[0] not in kept.content["at"]
        ]
        models = databases.migrated_to((*leaves, *kept.content["at"].items()))
        ContentType.objects.get_for_model(User)
        fill(models, kept.content["rows"])
        kept.before = contents()
        call_command("migrate", interactive=False, verbosity=0)
        store_files(kept.content["rows"])
        yield kept


def squashed() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Each migration that stands for others of ours, with those."""
    found = MigrationLoader(None).disk_migrations.items()
    return {
        node: set(each.replaces) for node, each in found if node[0] in ("accounts", "diagnostics") and each.replaces
    }


def test_upgraded_tables_are_those_of_a_new_installation(old):
    """Which begins with the squashed migrations, while the old database goes on with the ones they replace."""
    assert schema() == old.new and len(old.new) > 700


def test_squashed_migrations_take_over_where_all_that_they_replace_was_done(old):
    done = set(MigrationRecorder(connection).applied_migrations())
    assert len(squashed()) == 2 and all(parts <= done for parts in squashed().values())
    with around():
        for node in squashed():
            MigrationRecorder(connection).record_unapplied(*node)
        executor = MigrationExecutor(connection)
        assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
        call_command("migrate", interactive=False, verbosity=0)
        assert set(squashed()) <= set(MigrationRecorder(connection).applied_migrations())
        transaction.set_rollback(True)


def test_upgrade_keeps_every_row_as_it_was(old):
    now = contents()
    for former, rows in old.before.items():
        if not rows:
            continue
        name = RENAMED_TABLES.get(former, former)
        rows = [{RENAMED_COLUMNS.get(f"{former}.{key}", key): value for key, value in row.items()} for row in rows]
        left = set(columns_of(name)) if name in now else set()
        assert left, f"{name} is gone: move its rows, and say here where they are"
        still = sorted(column for column in set(rows[0]) & left if f"{name}.{column}" not in CHANGED)
        as_then = sorted(json.dumps([row[column] for column in still], default=str) for row in rows)
        as_now = [json.dumps([row[column] for column in still], default=str) for row in now[name]]
        missing = [row for row in as_then if row not in as_now]
        assert missing == [], f"{name} {still}"


def client_of(old: Old, viewer: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(pk=old.content["people"][viewer]))
    return client


def test_upgraded_pages_and_api_answer_as_the_table_says(old, monkeypatch):
    monkeypatch.setattr(pipeline, "nudge", lambda *_: True)
    words = old.content["words"]
    clients = {viewer: client_of(old, viewer) for viewer in VIEWERS}
    wrong, asked = [], 0
    for line in ALL:
        if line.method != "GET" or (line.word and line.word not in words):
            continue
        address = reverse(line.name, args=table.arguments_of(line.name, words[line.word] if line.word else None))
        viewer = next((each for each in VIEWERS if line.expected[each] == "200"), VIEWERS[0])
        response = clients[viewer].get(address)
        if response.streaming:
            b"".join(response.streaming_content)
        asked += 1
        if str(response.status_code) not in line.expected[viewer].split("|"):
            wrong.append(f"{line.name} as {viewer}: {response.status_code}, not {line.expected[viewer]}")
    assert wrong == [] and asked > 80, "\n".join(wrong)


def test_upgraded_admin_lists_and_opens_rows(old, rf):
    client = client_of(old, "superuser")
    request = rf.get("/admin/")
    request.user = User.objects.get(pk=old.content["people"]["superuser"])
    wrong = []
    for model, desk in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = [reverse(f"{name}_change", args=[row.pk]) for row in desk.get_queryset(request)[:1]]
        for address in [reverse(f"{name}_changelist"), *rows]:
            status = client.get(address).status_code
            if status != 200:
                wrong.append(f"{address}: {status}")
    assert wrong == [], "\n".join(wrong)


def test_token_of_before_the_upgrade_still_signs_in(old):
    answered = Client().get(reverse("api:user-me"), headers={"Authorization": f"Bearer {old.content['token']}"})
    assert answered.status_code == 200, answered.content


def test_events_of_before_the_upgrade_are_links_of_the_chain(old):
    events = old.before["diagnostics_auditevent"]
    count = checking.Count()
    assert list(checking.breaks(count)) == [] and count.events >= len(events) > 40
    with around():
        guards.take_down()
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {guards.EVENT} SET act = 'x' WHERE id = %s", [events[7]["id"]])
        assert [each.where for each in checking.breaks() if each.kind == "edited"] == [f"event {events[7]['id']}"]
        transaction.set_rollback(True)
