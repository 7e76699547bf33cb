"""What a web process costs against a process with TensorFlow: memory and time until it could answer."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.interleaved import Ratio, compare

ROOT = Path(__file__).resolve().parent.parent
TOLD = """
import json, time
began = time.perf_counter()
{what}
took = time.perf_counter() - began
words = [line.split() for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(json.dumps([took, int(words[0][1]) / 1024]))
"""
WEB = """
from portal.wsgi import application
from django.test import Client
assert Client().get("/accounts/sign-in/").status_code == 200
"""
TENSORFLOW = """
import tensorflow as tf
tf.constant([1.0]) + 1.0
"""


def measured(what: str) -> list[float]:
    """[seconds, megabytes at the most] of a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(what=what)], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    told: list[float] = json.loads(done.stdout.splitlines()[-1])
    return told


def ratios() -> Iterator[Ratio]:
    """Ratio 16, of the web process."""
    yield from both(
        "ab", "a process", ("of the web, first page drawn", WEB), ("with TensorFlow", TENSORFLOW), goals=(0.25, 0.35)
    )


def both(
    letters: str, what: str, ours: tuple[str, str], theirs: tuple[str, str], *, goals: tuple[float, float]
) -> Iterator[Ratio]:
    """Start and memory of two processes, each given as (words, code), from the same starts."""
    kept: dict[str, list[list[float]]] = {ours[1]: [], theirs[1]: []}

    def take(code: str, column: int) -> Callable[[], float]:
        def one() -> float:
            if column == 0:
                kept[code].append(measured(code))
                return kept[code][-1][0]
            return kept[code].pop(0)[1]

        return one

    for column, (letter, measure) in enumerate(zip(letters, ("start", "memory"), strict=True)):
        yield compare(
            f"16{letter}", f"{measure} of {what} {ours[0]} ↔ {theirs[0]}", at_most=goals[column],
            ours=take(ours[1], column), theirs=take(theirs[1], column), speed=column == 0,
            unit="ms" if column == 0 else "MB", rounds=5,
        )  # fmt: skip
