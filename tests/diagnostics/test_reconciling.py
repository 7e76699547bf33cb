"""What the scheduler puts right: one step that fails keeps no other from running."""

import pytest

from diagnostics import reconciling, tasks
from diagnostics.reconciling import Nudge


def broken():
    raise RuntimeError("the disk went away")


def also_broken():
    raise ValueError("so did the broker")


@pytest.fixture
def steps(monkeypatch):
    def be(*steps):
        monkeypatch.setattr(reconciling, "STEPS", steps)

    return be


def test_step_that_fails_keeps_no_other_from_running(steps):
    ran, told = [], []
    steps(lambda: ran.append(1), broken, lambda: [Nudge("infer")], lambda: ran.append(2))
    with pytest.raises(RuntimeError, match="the disk went away"):
        reconciling.reconcile(told.append)
    assert (ran, told) == ([1, 2], [Nudge("infer")])


def test_several_steps_that_fail_are_raised_together(steps):
    steps(broken, also_broken)
    with pytest.raises(ExceptionGroup) as raised:
        reconciling.reconcile(lambda nudge: None)
    assert [type(error) for error in raised.value.exceptions] == [RuntimeError, ValueError]


def test_worker_that_cannot_be_told_keeps_no_other_from_being_told(steps):
    told = []

    def tell(nudge):
        if nudge.task == "infer":
            raise ConnectionError
        told.append(nudge.task)

    steps(lambda: [Nudge("infer")], lambda: [Nudge("send_mails")])
    with pytest.raises(ConnectionError):
        reconciling.reconcile(tell)
    assert told == ["send_mails"]


def test_every_nudge_reaches_its_task(steps, monkeypatch, settings):
    sent = []
    kept = [Nudge("infer"), Nudge("train", ("run",)), Nudge("send_mails"), Nudge("plan_datasets")]
    brief = [Nudge("judge", ("version",), keep=False), Nudge("score_in_the_shadow", keep=False)]
    for nudge in kept:
        task = getattr(tasks, nudge.task)
        monkeypatch.setattr(task, "delay", lambda *args, name=nudge.task: sent.append(Nudge(name, args)))
    for nudge in brief:

        def send(args, expires, name=nudge.task):
            sent.append(Nudge(name, args, keep=expires != settings.RECONCILE_SECONDS))

        monkeypatch.setattr(getattr(tasks, nudge.task), "apply_async", send)
    steps(lambda: [*kept, *brief])
    tasks.reconcile()
    assert sent == [*kept, *brief]
