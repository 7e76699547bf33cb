"""Measure two things in turn (A B A B …), so that whatever else the machine does hits both alike."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True)
class Ratio:
    """One line of the table.

    ``value`` is the median over the rounds of ours against theirs in the direction that ``goal`` names; ``low`` and
    ``high`` are the ends over the rounds. ``ours`` and ``theirs`` are median milliseconds (or
    megabytes) of one piece, or pieces a second.
    """

    number: str
    what: str
    goal: str
    met: bool
    value: float
    low: float
    high: float
    ours: float
    theirs: float
    unit: str
    rounds: int


def seconds(act: Callable[[], object]) -> float:
    """How long one call takes, wall clock."""
    gc.collect()
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def compare(
    number: str,
    what: str,
    *,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    at_least: float | None = None,
    at_most: float | None = None,
    speed: bool = True,
    rate: bool = False,
    unit: str = "ms",
    rounds: int = ROUNDS,
) -> Ratio:
    """Measure ``ours`` and ``theirs`` in turn.

    Parameters
    ----------
    ours, theirs
        Each gives what one piece cost (seconds, bytes).
    at_least, at_most
        The goal: for ``at_least`` the ratio of speeds (theirs' cost by ours), for ``at_most`` the ratio of costs.
    speed
        False where the cost is no time, which only changes how it is shown.
    rate
        Whether to show pieces a second instead of the cost of one.
    """
    ours(), theirs()  # what is done once (compiling, caches) is no part of it
    gc.freeze()  # nor is what earlier measures left behind, which `seconds` would walk through before every call
    pairs = []
    for turn in range(rounds):
        if turn % 2:
            b, a = theirs(), ours()
        else:
            a, b = ours(), theirs()
        pairs.append((a, b))
    values = [b / a if at_least is not None else a / b for a, b in pairs]
    median = statistics.median(values)

    def shown(costs: list[float]) -> float:
        middle = statistics.median(costs)
        return 1.0 / middle if rate else middle * (1000.0 if speed else 1.0)

    return Ratio(
        number=number,
        what=what,
        goal=f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}",
        met=median >= at_least if at_least is not None else median <= (at_most or 0.0),
        value=median,
        low=min(values),
        high=max(values),
        ours=shown([a for a, _ in pairs]),
        theirs=shown([b for _, b in pairs]),
        unit=unit,
        rounds=rounds,
    )
