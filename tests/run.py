"""``make test``: every test on SQLite and the embedded broker, then the sensitive ones on the servers that answer.

A few failed tests run once more, alone: what passes then failed because of what ran beside it. Their names are printed
as unsteady, so that somebody mends them; the pass counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import redis

ROOT = Path(__file__).resolve().parent.parent
# More failures than these are no accident of a busy machine.
MOST_TRIED_AGAIN = 3
# Without bytecode each of some hundred processes compiles what it imports anew.
NOT_INHERITED = ("OVERREAD_TEST_DATABASE_URL", "OVERREAD_TEST_REDIS_URL", "PYTHONDONTWRITEBYTECODE")
SENSITIVE = ["tests/diagnostics", "tests/access", "tests/journeys", "tests/faults"]
# Among them, those that compute or compare pages for minutes and ask the database nothing that the others do not.
INSENSITIVE = [
    "tests/access/test_blinding_everywhere.py",
    "tests/access/test_controls_are_invisible.py",
    "tests/diagnostics/test_training_fit.py",
]


def main() -> None:
    more = sys.argv[1:]
    failed = [name for name, environment, paths in passes() if run(name, environment, [*paths, *more])]
    if failed:
        sys.exit(f"Tests failed: {', '.join(failed)}.")


def passes() -> list[tuple[str, dict[str, str], list[str]]]:
    """The embedded pass, and one on each real server that answers; a line says which does not."""
    planned: list[tuple[str, dict[str, str], list[str]]] = [("on SQLite and the embedded broker", {}, [])]
    servers: dict[str, str] = {}
    if found := postgres():
        servers["OVERREAD_TEST_DATABASE_URL"] = found
    else:
        print("PostgreSQL was not reachable (127.0.0.1:5432 or OVERREAD_TEST_POSTGRES_URL): not tested on it.")
    if found := system_redis():
        servers["OVERREAD_TEST_REDIS_URL"] = found
    else:
        print("Redis was not reachable (127.0.0.1:6379 or OVERREAD_TEST_REDIS_URL): not tested on it.")
    if servers:
        sensitive = [*SENSITIVE, *(f"--ignore={path}" for path in INSENSITIVE)]
        names = {"OVERREAD_TEST_DATABASE_URL": "PostgreSQL", "OVERREAD_TEST_REDIS_URL": "Redis"}
        planned.append(("on " + " and ".join(names[variable] for variable in servers), servers, sensitive))
    return planned


def run(name: str, environment: dict[str, str], arguments: list[str]) -> int:
    """Run pytest once; gives its exit code, 0 where it found nothing to run."""
    print(f"\n=== Tests {name}", flush=True)
    begun = time.monotonic()
    # One more than there are cores: for a third of the time a test waits, for a browser, a server or a time limit.
    processes = str((os.cpu_count() or 2) + 1)
    inherited = {variable: value for variable, value in os.environ.items() if variable not in NOT_INHERITED}
    with tempfile.TemporaryDirectory() as cache:

        def pytest(*chosen: str) -> int:
            command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", *chosen, *arguments]
            return subprocess.run(command, cwd=ROOT, env={**inherited, **environment}).returncode

        code = pytest("-n", processes, "--dist", "worksteal")
        failed = failures(Path(cache)) if code == 1 else []
        if 0 < len(failed) <= MOST_TRIED_AGAIN:
            print(f"\n=== {len(failed)} failed {name}; once more, alone", flush=True)
            code = pytest("--last-failed")
            if code == 0:
                print("UNSTEADY, failed beside others and passed alone:", *failed, sep="\n  ", flush=True)
    print(f"=== {name}: {'passed' if code in (0, 5) else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
    return 0 if code == 5 else code


def failures(cache: Path) -> list[str]:
    """The tests that the last run of pytest with this cache saw fail."""
    kept = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def postgres() -> str | None:
    """The address of a PostgreSQL server where this person may make databases."""
    named = os.environ.get("OVERREAD_TEST_POSTGRES_URL")
    people = dict.fromkeys(("postgres", os.environ.get("USER") or "root", "root"))
    for address in [named] if named else [f"postgres://{person}@127.0.0.1:5432/postgres" for person in people]:
        try:
            with psycopg.connect(address, connect_timeout=3) as connection:
                allowed = connection.execute(
                    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.Error:
            continue
        if allowed and allowed[0]:
            return address
    return None


def system_redis() -> str | None:
    """The address of a Redis server that answers; each test process takes an empty database of it."""
    address = os.environ.get("OVERREAD_TEST_REDIS_URL") or "redis://127.0.0.1:6379"
    try:
        redis.Redis.from_url(address, socket_timeout=3, socket_connect_timeout=3).ping()
    except redis.RedisError:
        return None
    return address


if __name__ == "__main__":
    main()
