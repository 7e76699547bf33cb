"""While bombs arrive at a real web server, everybody else's uploads and pages are answered as quickly as before."""

import os
import signal
import statistics
import subprocess
import sys
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
from tests import processes
from tests.factories import InstitutionFactory, person, phantom
from tests.hostile.bombs import MB, SEED
from tests.mlcore.test_decoding_pool import gone, until
from tests.web import Browser, Web

PHASES = int(os.environ.get("OVERREAD_TEST_PHASES", "5"))
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
        if b"mlcore.images.decoding.server" in told:
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


# In a process of its own: what the sender takes must not hold up the people whose time is measured.
THROWN = """
import random, sys, time
from http.client import HTTPConnection
from tests.hostile.bombs import BOMBS, SEED
port, token, seconds, pause, most = int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])
dice = random.Random(SEED)
bodies = []
for data in (make() for make in BOMBS.values()):
    if len(data) <= most:
        head = "--b\\r\\nContent-Disposition: form-data; name="
        field = head + '"patient"\\r\\n\\r\\nP-7\\r\\n' + head + '"file"; filename="scan.png"\\r\\n\\r\\n'
        bodies.append(field.encode() + data + b"\\r\\n--b--\\r\\n")
print("ready", flush=True)
sys.stdin.readline()
due = time.monotonic()
end = due + seconds
headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=b"}
while time.monotonic() < end:
    asked = HTTPConnection("127.0.0.1", port, timeout=60)
    asked.request("POST", "/api/v1/scans/", dice.choice(bodies), headers)
    print(asked.getresponse().status, flush=True)
    asked.close()
    due += pause
    time.sleep(max(0.0, due - time.monotonic()))
"""


def thrower(port: int, token: str) -> subprocess.Popen[str]:
    """Somebody who is about to send one bomb after the other, in an order that the seed decides."""
    told = (str(port), token, str(SECONDS), str(2 / BOMBS_A_SECOND), str(SMALL))
    sender = subprocess.Popen([sys.executable, "-c", THROWN, *told], cwd=processes.ROOT, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert sender.stdout.readline() == "ready\n"
    return sender


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
                senders = [thrower(web.port, token) for _ in range(2)] if bombs else []
                end = time.monotonic() + SECONDS
                people = [Traffic(web.port, token) for _ in range(2)]
                threads = [threading.Thread(target=each.run, args=[end]) for each in people]
                for sender in senders:
                    sender.stdin.write("go\n")
                    sender.stdin.flush()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                statuses += [int(line) for sender in senders for line in sender.communicate()[0].split()]
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
