"""Several counts in one question: a page that shows ten numbers need not go to the database ten times."""

from collections import Counter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import CharField, Model, QuerySet, Value
from django.db.models.expressions import Combinable


def as_word(rows: QuerySet[Model, object], word: str | Combinable) -> QuerySet[Model, dict[str, object]]:
    """The rows as nothing but a word, for :func:`counted`: a text, or an expression that gives one."""
    # Without an order: to count a thousand of a million, none of them need be sorted.
    expression = Value(word, output_field=CharField()) if isinstance(word, str) else word
    return rows.order_by().annotate(word=expression).values("word")


def counted(*several: QuerySet[Model, dict[str, object]]) -> Counter[str]:
    """How often each word occurs among the rows of some querysets, each of the one column ``word``.

    Cut a queryset (``rows[:1000]``) to bound what its count costs. Django's own ``union`` does not let SQLite cut its
    parts, hence the SQL; what stands in it is Django's, and every value is a parameter.
    """
    parts: list[str] = []
    values: list[Any] = []  # whatever the database takes as a parameter
    for rows in several:
        try:
            sql, params = rows.query.sql_with_params()
        except EmptyResultSet:  # a condition that nothing can meet, known without asking
            continue
        parts.append(f"SELECT said.word, COUNT(*) FROM ({sql}) AS said GROUP BY said.word")  # noqa: S608
        values.extend(params)
    found: Counter[str] = Counter()
    if parts:
        with connections[several[0].db].cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), values)
            for word, count in cursor.fetchall():
                found[word] += count
    return found
