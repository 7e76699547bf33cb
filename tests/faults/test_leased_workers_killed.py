"""A worker killed with a row in its hands, or stopped past its lease: the row goes on, under another token."""

import contextlib
import signal
import subprocess
import sys

import pytest
from django.db import close_old_connections

from tests import processes
from tests.diagnostics.leased import USERS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]

# Claims the row, says so, and finishes it when it is told to.
WORK = """
import sys
import django
django.setup()
from tests.diagnostics.leased import USERS
user = USERS[sys.argv[1]]
held = user.claim(sys.argv[2])
print("claimed" if held is not None else "nothing", flush=True)
sys.stdin.readline()
try:
    user.finish(held)
except Exception as error:
    print(type(error).__name__)
print("over", flush=True)
"""


@contextlib.contextmanager
def worker(name, row):
    """A process that has claimed the row."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, name, str(row)],
        cwd=processes.ROOT, env=processes.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline().strip() == "claimed"
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(name, row):
    with worker(name, row) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    close_old_connections()


@pytest.mark.parametrize("name", USERS)
def test_row_of_a_killed_worker_is_finished_by_another(name):
    user = USERS[name]
    row = user.make().pk
    kill(name, row)
    left = user.now(row)
    assert (left.state, left.attempts) == (user.leases.running, 1)
    assert user.claim(row) is None and not user.reconcile(), "its lease is not over"
    user.let_the_lease_run_out(row)
    assert user.reconcile(), "the scheduler finds it"
    user.finish(user.claim(row))
    assert user.now(row).state == user.done and user.now(row).attempts == 2


@pytest.mark.parametrize("name", USERS)
def test_row_that_kills_each_worker_is_given_up_with_a_reason(name):
    user = USERS[name]
    row = user.make().pk
    for _ in range(user.leases.attempts()):
        kill(name, row)
        user.let_the_lease_run_out(row)
        user.reconcile()
    now = user.now(row)
    assert now.state == "failed" and now.reason.endswith("."), now
    assert user.claim(row) is None and not user.reconcile()


@pytest.mark.parametrize("name", USERS)
def test_worker_stopped_past_its_lease_changes_nothing_when_it_goes_on(name):
    user = USERS[name]
    row = user.make().pk
    with worker(name, row) as process:
        process.send_signal(signal.SIGSTOP)
        user.let_the_lease_run_out(row)
        quick = user.claim(row)
        before = user.now(row)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate("finish\n", timeout=60)
        assert said.strip().endswith("over")
    close_old_connections()
    assert user.now(row) == before
    user.finish(quick)
    assert user.now(row).state == user.done
