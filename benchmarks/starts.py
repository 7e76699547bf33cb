"""What a web process costs against a process with TensorFlow: memory and time until it could answer."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.turns import Ratio, compare

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
    """Ratio 16, twice."""
    kept: dict[str, list[list[float]]] = {WEB: [], TENSORFLOW: []}

    def take(what: str, column: int) -> Callable[[], float]:
        def one() -> float:
            if column == 0:
                kept[what].append(measured(what))
                return kept[what][-1][0]
            return kept[what].pop(0)[1]

        return one

    yield compare(
        "16a", "start of a web process, first page drawn ↔ of a process with TensorFlow", at_most=0.25,
        ours=take(WEB, 0), theirs=take(TENSORFLOW, 0), rounds=5,
    )  # fmt: skip
    yield compare(
        "16b", "memory of a web process, first page drawn ↔ of a process with TensorFlow", at_most=0.35,
        ours=take(WEB, 1), theirs=take(TENSORFLOW, 1), speed=False, unit="MB", rounds=5,
    )  # fmt: skip
