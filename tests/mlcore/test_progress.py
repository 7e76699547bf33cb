import dataclasses
import threading

import pytest

from mlcore.data.dataset import read_path
from mlcore.training import loop, progress
from mlcore.training.progress import Cancelled, Reporter
from mlcore.training.train import train
from tests.mlcore.conftest import TOY


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_reading_says_nothing_of_the_time_left(clock):
    seen = []
    reporter = Reporter(seen.append, lambda: False, 3)
    for done in range(5):
        clock.now += 10
        reporter.at(0.02 * done, "read")
    assert [each.seconds_left for each in seen] == [None] * 5
    assert all("left" not in each.line for each in seen)


def test_the_time_left_runs_down_between_two_estimates(clock):
    seen = []
    reporter = Reporter(seen.append, lambda: False, 3)
    reporter.ends_in(100)
    for _ in range(3):
        clock.now += 40
        reporter.at(0.5, "learning")
    assert [each.seconds_left for each in seen] == [60, 20, 0]
    assert "1 min 00 s left" in seen[0].line


def test_long_work_gives_what_it_gave_and_raises_what_it_raised():
    reporter = Reporter(lambda progress: None, lambda: False, 1)
    assert reporter.during(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        reporter.during(lambda: 1 / 0)


def test_long_work_is_left_to_itself_when_cancelled():
    go_on = threading.Event()
    reporter = Reporter(lambda progress: None, lambda: True, 1)
    with pytest.raises(Cancelled):
        reporter.during(lambda: go_on.wait(60))
    go_on.set()


class Paced(loop._Course):
    """A training in which every step takes as long as it is told, on a clock of its own."""

    clock: Clock
    step_takes = 2.0

    def _say(self, done: float, before: str = "", *, now: bool = False) -> None:
        if done > 0.0 and not now:
            Paced.clock.now += self.step_takes
        super()._say(done, before, now=now)


@pytest.mark.parametrize("minutes", [None, 1.0, 1.4])
def test_the_time_left_follows_the_pace_of_the_steps(toy_items, tmp_path, monkeypatch, clock, minutes):
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "_Course", Paced)
    monkeypatch.setattr(Paced, "clock", clock, raising=False)
    seen = []
    # Reading takes an hour, and must not be taken for the pace.
    config = dataclasses.replace(TOY, epochs=3, patience=3, minutes=minutes)

    def read(item):
        clock.now += 60.0
        return read_path(item)

    train(toy_items, config, tmp_path / "model", on_progress=lambda each: seen.append((clock.now, each)), read=read)
    done = seen[-1][0]
    told = [(at, each.seconds_left) for at, each in seen if each.seconds_left is not None and each.fraction < 0.9]
    assert told
    for at, left in told:
        assert left == pytest.approx(done - at, rel=0.05, abs=3.0)
