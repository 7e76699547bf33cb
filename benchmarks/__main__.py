"""``make bench``: measure, and write ``benchmarks/results.md``."""

import argparse
import atexit
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("opinions", "engines", "pages", "worklist", "lists", "stacks", "starts", "shadow", "training")


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--images", type=Path, help="a folder of real images (default: ../shared/data, else phantoms)")
    asked.add_argument("--count", type=int, default=256, help="images to work on")
    asked.add_argument("--many", type=int, nargs="*", default=[100_000], help="sizes of the large worklist")
    asked.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    asked.add_argument(
        "--database", default="", help="a PostgreSQL server to make databases on (postgres://…/postgres)"
    )
    asked.add_argument("--note", default="", help="what else the machine was doing, in words")
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "results.md")
    wish = asked.parse_args()
    nearby = ROOT.parent / "shared" / "data"
    images = wish.images or (nearby if nearby.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        lines = list(measured(Path(folder), images, wish))
    wish.out.write_text("\n".join(lines) + "\n")
    print(f"Written to {wish.out}.")


def measured(folder: Path, images: Path | None, wish: argparse.Namespace) -> Iterator[str]:
    """The lines of the results, each printed as it comes."""
    address = ""
    if wish.database:
        from benchmarks.databases import drop_own, own_on

        address = own_on(wish.database)
        atexit.register(drop_own, address)
    use(folder, address)
    from benchmarks import engines, lists, opinions, pages, shadow, stacks, starts, training, worklist, world

    made = world.made(folder, images, wish.count)
    yield from said(head(made, wish.note))
    parts = {
        "opinions": lambda: opinions.ratios(made),
        "engines": lambda: engines.ratios(made),
        "pages": lambda: pages.ratios(made, folder),
        "worklist": lambda: worklist.ratios(made, folder, wish.many),
        "lists": lambda: lists.ratios(made, folder, wish.many),
        "stacks": lambda: stacks.ratios(made, folder),
        "starts": starts.ratios,
        "shadow": lambda: shadow.ratios(made),
        "training": lambda: training.ratios(made),
    }
    for name in PARTS:
        if name not in wish.only:
            continue
        for ratio in parts[name]():
            yield from said(
                [
                    f"| {ratio.number} | {ratio.what} | {ratio.goal} | **{ratio.value:.3g}** "
                    f"({ratio.low:.3g} to {ratio.high:.3g}) | {'yes' if ratio.met else 'no'} | "
                    f"{ratio.ours:.3g} | {ratio.theirs:.3g} | {ratio.unit} | {ratio.rounds} |"
                ]
            )
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    yield from said(["", f"Load average at the end (1, 5 and 15 minutes): {load}."])


def use(folder: Path, database: str = "") -> None:
    """Set Django up on an installation of its own in a folder, with the tables made in it or in ``database``."""
    for name in ("DATABASE_URL", "REDIS_URL", "AWS_STORAGE_BUCKET_NAME", "OVERREAD_PRODUCTION", "DEBUG"):
        os.environ.pop(name, None)
    os.environ |= {
        "OVERREAD_DATA": str(folder), "OVERREAD_ENV_FILE": "", "OVERREAD_LOG_LEVEL": "ERROR",
        "DJANGO_SETTINGS_MODULE": "portal.settings", "ALLOWED_HOSTS": "localhost,testserver",
        "OVERREAD_API_REQUESTS_PER_MINUTE": "1000000", "TF_CPP_MIN_LOG_LEVEL": "2",
    }  # fmt: skip
    if database:
        os.environ["DATABASE_URL"] = database
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def said(lines: list[str]) -> list[str]:
    for line in lines:
        print(line, flush=True)
    return lines


def _database() -> str:
    from django.db import connection

    return connection.vendor.replace("sqlite", "SQLite").replace("postgresql", "PostgreSQL")


def head(made, note: str) -> list[str]:  # type: ignore[no-untyped-def]
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        "# How fast, as ratios",
        "",
        "Written by `make bench`. Each line compares two things that were run in turn (A B B A …) in one process on",
        "the same cores: the median of the rounds, and the ends over them. Absolute times on a shared machine mean",
        "little; ratios more.",
        "",
        f"- when: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, revision {revision}",
        f"- machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {_database()}, "
        f"{made.settings.INFERENCE_THREADS} thread for inference",
        f"- images: {made.source}; model: {made.version.name} ({made.version.architecture}, "
        f"{made.version.spec['size']} pixels)",
        f"- load average at the start: {load}" + (f"; running beside: {note}" if note else ""),
        "",
        "| # | ours ↔ theirs | goal | ratio (ends) | met | ours | theirs | | rounds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]


if __name__ == "__main__":
    sys.exit(main())
