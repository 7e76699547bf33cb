"""A broker that refuses, or takes the connection and never answers: uploads go on, and nothing is lost."""

import json
import socket
import subprocess
import sys

import pytest

from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.scans.access import Role
from tests import processes
from tests.factories import InstitutionFactory, live_model, person

# Hands in five phantoms and prints how long each took, in a process whose broker is away.
HAND_IN = """
import json, sys, time
import django
django.setup()
from django.contrib.auth import get_user_model
from diagnostics import pipeline
from diagnostics.scans import phantom
by = get_user_model().objects.get(username=sys.argv[1])
institution = by.memberships.get().institution
took = []
for seed in range(5):
    data = phantom.as_png(phantom.draw(seed, side=96))
    began = time.monotonic()
    pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{seed}")
    took.append(time.monotonic() - began)
print(json.dumps(took))
"""


def refused():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1], None


def black_hole():
    """An address that takes every connection and never says a word."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener.getsockname()[1], listener


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("away", [refused, black_hole])
def test_uploads_with_the_broker_away_are_kept_and_wait(away):
    port, listener = away()
    technologist = person(Role.TECHNOLOGIST, InstitutionFactory())
    live_model()
    try:
        done = subprocess.run(
            [sys.executable, "-c", HAND_IN, technologist.username],
            cwd=processes.ROOT,
            env=processes.environment(REDIS_URL=f"redis://127.0.0.1:{port}/0"),
            capture_output=True,
            text=True,
            timeout=90,
        )
    finally:
        if listener is not None:
            listener.close()
    assert done.returncode == 0, done.stderr
    took = json.loads(done.stdout.splitlines()[-1])
    print(f"uploads with the broker {away.__name__}: {', '.join(f'{seconds:.2f} s' for seconds in took)}")
    assert Prediction.objects.filter(state=PredictionState.QUEUED).count() == 5
    assert "broker_away" in done.stderr, "the log says that the nudge did not go out"
    # Generous: what is checked is that nobody waits for the broker, not how fast this machine is.
    assert sum(took) < 60
