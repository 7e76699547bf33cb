"""What a database says of its own tables, to compare two that came to be on different ways."""

import re

from django.db import connection


def schema() -> list[str]:
    """What the database says of its tables: columns, constraints, indexes, triggers, functions, in any order."""
    found = _postgres() if connection.vendor == "postgresql" else _sqlite()
    # SQLite keeps what it has counted of the tables in a table of its own, where somebody has asked it to count.
    return sorted(each for each in found if not each.startswith("sqlite_stat"))


def _postgres() -> list[str]:
    asked = (
        """SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable,
                  column_default, is_identity, identity_generation, collation_name)
           FROM information_schema.columns WHERE table_schema = 'public'""",
        """SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
           FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal",
        """SELECT pg_get_functiondef(oid) FROM pg_proc
           WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'""",
    )
    found: list[str] = []
    with connection.cursor() as cursor:
        for question in asked:
            cursor.execute(question)
            found += [row[0] for row in cursor.fetchall()]
    # PostgreSQL and Django call the same constraint differently: by whether it came with the column or after it.
    return [re.sub(r"_(key|[0-9a-f]{8}_uniq)\b", "_unique", each) for each in found]


def _sqlite() -> list[str]:
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        for kind, table, statement in cursor.fetchall():
            if kind == "table":
                found += [f"{table}: {part}" for part in _parts(statement)]
            else:
                found.append(statement)
    return found


def _parts(statement: str) -> list[str]:
    """The columns and constraints within the parentheses of a CREATE TABLE."""
    parts, depth, quoted = [""], 0, False
    for letter in statement[statement.index("(") + 1 : statement.rindex(")")]:
        quoted ^= letter == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [re.sub(r"\s+", " ", part).strip() for part in parts]
