"""While bombs arrive at a real web server, everybody else's uploads and pages are answered as quickly as before."""

import os
import random
import signal
import statistics
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.utils import timezone

from diagnostics.models import Scan
from diagnostics.scans.access import Role
from portal.accounts.models import Scope, issue_token
from tests.factories import InstitutionFactory, person, phantom
from tests.hostile.bombs import BOMBS, MB, SEED
from tests.mlcore.test_decoding_pool import gone, until
from tests.web import Browser, Web

PHASES = int(os.environ.get("OVERREAD_TEST_PHASES", "3"))
SECONDS = float(os.environ.get("OVERREAD_TEST_SECONDS", "20"))
BOMBS_A_SECOND = 4.0
# Small files; the larger ones cost what any upload of their size costs.
SMALL = 4 * MB


def token_of(user) -> str:
    return issue_token(user=user, name="t", scopes=list(Scope.values), expires_at=timezone.now() + timedelta(days=1))[
        1
    ]


def decoding_servers(above: int) -> list[int]:
    """The processes below this one that decode, and those that they are forked from."""
    found, waiting = [], [above]
    while waiting:
        process = waiting.pop()
        try:
            words = [
                each for task in Path(f"/proc/{process}/task").glob("*/children") for each in task.read_text().split()
            ]
            told = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        waiting += [int(word) for word in words]
        if b"mlcore.decoding_server" in told:
            found.append(process)
    return found


class Traffic:
    """People who upload and look, one request after the other with a pause; how long each took."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token, self.number = port, token, 0
        self.took: dict[str, list[float]] = {"upload": [], "page": []}

    def run(self, end: float) -> None:
        asked = Browser(self.port)
        while time.monotonic() < end:
            self.number += 1
            picture = phantom(self.number + 1000 * threading.get_ident() % 10**9, side=256)
            for kind in ("upload", "page"):
                begun = time.monotonic()
                if kind == "upload":
                    answer = asked.hand_in(self.token, picture)
                else:
                    answer = asked.get("/api/v1/scans/", Authorization=f"Bearer {self.token}")
                self.took[kind].append(time.monotonic() - begun)
                assert answer.status in (200, 201), answer.text
                time.sleep(0.1)


def throw(port: int, token: str, end: float, statuses: list[int]) -> None:
    """One bomb after the other, in an order that the seed decides."""
    dice = random.Random(SEED)
    small = [data for make in BOMBS.values() if len(data := make()) <= SMALL]
    asked, due = Browser(port), time.monotonic()
    while time.monotonic() < end:
        statuses.append(asked.hand_in(token, dice.choice(small)).status)
        due += 2 / BOMBS_A_SECOND
        time.sleep(max(0.0, due - time.monotonic()))


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_others_are_answered_as_quickly_while_bombs_arrive(capsys):
    institution = InstitutionFactory()
    token = token_of(person(Role.TECHNOLOGIST, institution))
    found: dict[bool, dict[str, list[float]]] = {b: {"upload": [], "page": []} for b in (False, True)}
    ratios: dict[str, list[float]] = {"upload": [], "page": []}
    statuses: list[int] = []
    with Web() as web:
        Traffic(web.port, token).run(time.monotonic() + 4)
        for _ in range(PHASES):
            p95 = {}
            for bombs in (False, True):
                end = time.monotonic() + SECONDS
                people = [Traffic(web.port, token) for _ in range(2)]
                threads = [threading.Thread(target=each.run, args=[end]) for each in people]
                if bombs:
                    threads += [
                        threading.Thread(target=throw, args=[web.port, token, end, statuses]) for _ in range(2)
                    ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for kind in ratios:
                    took = [each for one in people for each in one.took[kind]]
                    found[bombs][kind] += took
                    p95[bombs, kind] = np.percentile(took, 95)
            for kind, kept in ratios.items():
                kept.append(p95[True, kind] / p95[False, kind])
    with capsys.disabled():
        print(f"\nseed {SEED}, {PHASES} x ({SECONDS:g} s quiet, {SECONDS:g} s with bombs), {len(statuses)} bombs")
        for kind, kept in ratios.items():
            quiet, loud = (found[bombs][kind] for bombs in (False, True))
            print(
                f"{kind}: {len(quiet)} and {len(loud)} requests, p95 {1000 * np.percentile(quiet, 95):.0f} ms quiet, "
                f"{1000 * np.percentile(loud, 95):.0f} ms with bombs, median {1000 * statistics.median(quiet):.0f} "
                f"and {1000 * statistics.median(loud):.0f} ms; p95 by phase x "
                + ", ".join(f"{each:.2f}" for each in kept)
            )
    assert set(statuses) <= {200, 201, 400} and len(statuses) > PHASES * SECONDS
    for kind in ratios:
        whole = np.percentile(found[True][kind], 95) / np.percentile(found[False][kind], 95)
        assert min(whole, statistics.median(ratios[kind])) <= 1.2, kind


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_no_decoding_process_outlives_the_web_server(by):
    institution = InstitutionFactory()
    token = token_of(person(Role.TECHNOLOGIST, institution))
    with Web() as web:
        assert web.browser().hand_in(token, phantom()).status == 201
        until(lambda: len(decoding_servers(web.process.pid)) >= 3)  # one a web process, and a decoder
        servers = decoding_servers(web.process.pid)
        os.kill(web.process.pid, by)
        until(lambda: all(gone(each) for each in servers), 15)
    assert Scan.objects.count() == 1
