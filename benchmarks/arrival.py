"""What an image costs when so many of its series are here already, and what closing the series costs.

    python -m benchmarks.arrival [--images 1000] [--side 256] [--database postgres://…/postgres] [--out FILE]

Every slice goes through ``pipeline.submit_scan`` as a door hands it in: decoded in the processes for that, stored,
filed. Times are the median over each tenth of the series; memory is the most that this process ever held by then.
"""

from __future__ import annotations

import argparse
import atexit
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.__main__ import _database, said, use
from benchmarks.databases import drop_own, own_on

PARTS = 10


class Counter:
    """Counts queries; Django's own log of them is kept short."""

    count = 0

    def __call__(self, execute: Any, *args: Any) -> Any:
        self.count += 1
        return execute(*args)


def main() -> None:
    """Measure, print, and write where asked to."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--images", type=int, default=1000)
    ask.add_argument("--side", type=int, default=256)
    ask.add_argument("--database", default="", help="a PostgreSQL server to make a database on")
    ask.add_argument("--out", type=Path)
    asked = ask.parse_args()
    address = ""
    if asked.database:
        address = own_on(asked.database)
        atexit.register(drop_own, address)
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        use(Path(folder), address)
        lines = list(measured(asked.images, asked.side))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


def measured(images: int, side: int) -> Iterator[str]:
    """The lines of the answer."""
    from django.db import connection
    from django.utils import timezone

    from diagnostics import closing, pipeline
    from diagnostics.scans.access import Role
    from diagnostics.scans.models import Institution, Membership, Scan
    from diagnostics.scans.series import Series
    from portal.accounts.models import User
    from tests.dicom_images import slice_of

    pipeline.nudge = lambda task, *args: True  # type: ignore[assignment] # no broker runs here
    place = Institution.objects.create(code="bench", name="Bench")
    by = User.objects.create_user(username="bench")
    Membership.objects.create(user=by, institution=place, role=Role.TECHNOLOGIST)
    order = list(range(images))
    random.Random(7).shuffle(order)
    yield from said(_head(images, side))
    part = max(1, images // PARTS)
    queries = Counter()
    for start in range(0, images, part):
        took, asked = [], []
        for n in order[start : start + part]:
            data = slice_of(n, side=side)
            queries.count = 0
            began = time.perf_counter()
            with connection.execute_wrapper(queries):
                pipeline.submit_scan(by=by, institution=place, data=data, patient="P-1")
            took.append(1000 * (time.perf_counter() - began))
            asked.append(queries.count)
        yield from said([f"| {start} | {median(took):.1f} | {max(took):.0f} | {median(asked):.0f} | {_held():.0f} |"])
    Series.objects.update(close_at=timezone.now())
    queries.count = 0
    began = time.perf_counter()
    with connection.execute_wrapper(queries):
        assert closing.close_due() == 1
    took_ms = 1000 * (time.perf_counter() - began)
    assert list(Scan.objects.values_list("image_count", "arrival")) == [(images, "complete")]
    yield from said(
        [
            "",
            f"Closing the series: {took_ms:.0f} ms, {queries.count} queries, {_held():.0f} MB held at most.",
        ]
    )


def _held() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _head(images: int, side: int) -> list[str]:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        "# What an image of a series costs at the door",
        "",
        f"Written by `python -m benchmarks.arrival --images {images} --side {side} --out …`, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {_database()}; "
        f"load average at the start {load}.",
        "Absolute times on a shared machine mean little; that the lines are alike is the point.",
        "",
        "| images here already | median ms | slowest ms | queries | most MB held |",
        "|---|---|---|---|---|",
    ]


if __name__ == "__main__":
    main()
