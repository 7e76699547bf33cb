"""Lists of scans, tabs of the API and the scheduler's round at very many scans, with reads, claims and audit events,
against a thousand."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.test import Client

from benchmarks import clones
from benchmarks.databases import Databases
from benchmarks.interleaved import Ratio, compare, seconds
from benchmarks.world import World
from diagnostics import tasks
from diagnostics.cases.models import Case
from diagnostics.reviews.worklist import TABS
from diagnostics.reviews.worklist import refresh_order as refresh

ADDRESSES = [
    "/scans/",
    *(f"/scans/?state={state}" for state in ("queued", "analysing", "ready", "failed", "rejected")),
    *(f"/api/v1/cases/?tab={tab}" for tab in TABS),
]


def ratios(world: World, folder: Path, many: list[int]) -> Iterator[Ratio]:
    """Ratio 7, a line a page, and one for the scheduler's round."""
    tasks.infer.delay = lambda: None  # no broker runs here
    databases = Databases(folder)
    clones.pattern(world)
    _moved()
    client = Client()
    client.force_login(world.by)  # in the first database, so that each copy knows the session
    databases.looked_over()
    for count in many:
        large = databases.copy(f"lists_{count}")
        databases.turn_to(large)
        clones.copied(count // clones.PATTERN)
        databases.looked_over()
        for address in ADDRESSES:
            yield _compared(databases, large, count, address, partial(_got, client, address))
        yield _compared(databases, large, count, "the scheduler's round", tasks.reconcile.run)
        databases.drop(large)


def _moved() -> None:
    """What is overdue has been in its place for long."""
    while refresh():
        pass
    assert Case.objects.count() == clones.CASES


def _got(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200, response.status_code


def _compared(databases: Databases, large: str, count: int, what: str, act: Any) -> Ratio:
    def at(name: str) -> float:
        databases.turn_to(name)
        act()  # opening the database is no part of it
        return min(seconds(act) for _ in range(3))

    return compare(
        "7",
        f"{what} at {count:,} scans ↔ at {clones.PATTERN:,}",
        at_most=1.3,
        ours=lambda: at(large),
        theirs=lambda: at(databases.first),
        rounds=5,
    )
