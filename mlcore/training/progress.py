"""How a training tells where it stands, and how it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_SAY_EVERY = 1.0
_ASK_EVERY = 0.5
_LOOK_EVERY = 0.1

T = TypeVar("T")


class Cancelled(Exception):
    """A training that was asked to stop; nothing was written."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes
    ----------
    epoch, epochs : int
        Epochs done, and at most to do.
    fraction : float
        0 to 1, never falling.
    loss, val_loss, val_auroc : float or None
        Of the running epoch, and of the last one measured on the validation part.
    seconds_left : float or None
        By the clock of the epochs, which are nearly all of the work; None until some steps are done, as the reading
        of images says nothing of how long learning takes. At most, where training may stop early.
    line : str
        The same for people.
    """

    epoch: int
    epochs: int
    fraction: float
    loss: float | None
    val_loss: float | None
    val_auroc: float | None
    seconds_left: float | None
    line: str


class Reporter:
    """Calls back about once a second, and asks about twice a second whether to stop.

    Parameters
    ----------
    on_progress : callable
        Called with a `Progress`.
    should_cancel : callable
        True asks the training to stop.
    epochs : int
        At most to do.
    """

    def __init__(
        self, on_progress: Callable[[Progress], None], should_cancel: Callable[[], bool], epochs: int
    ) -> None:
        self._tell, self._ask, self._epochs = on_progress, should_cancel, epochs
        self._said = self._asked = float("-inf")
        self._fraction = 0.0
        self._ends: float | None = None
        self.epoch = 0
        self.loss: float | None = None
        self.val_loss: float | None = None
        self.val_auroc: float | None = None

    def ends_in(self, seconds: float) -> None:
        """Tell in how many seconds the whole work should be done, as far as can be said now."""
        self._ends = time.monotonic() + max(seconds, 0.0)

    def check(self, *, now: bool = False) -> None:
        """Ask whether to stop, where it was not asked just before; raises `Cancelled`."""
        moment = time.monotonic()
        if moment - self._asked >= _ASK_EVERY or now:
            self._asked = moment
            if self._ask():
                raise Cancelled("The training was cancelled.")

    def during(self, act: Callable[[], T]) -> T:
        """Do what takes seconds and cannot be interrupted, and ask meanwhile.

        Parameters
        ----------
        act : callable
            Run in a thread of its own; it must touch nothing that the caller goes on using after `Cancelled`, as it
            is then left to end by itself.

        Returns
        -------
        object
            What `act` gave. What it raised is raised here.
        """
        given: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                given.append(act())
            except BaseException as error:  # noqa: BLE001 (handed to the caller, whatever it is)
                raised.append(error)

        thread = threading.Thread(target=run, name="training-long-work", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_EVERY)
            self.check()
        if raised:
            raise raised[0]
        return given[0]

    def at(self, fraction: float, what: str, *, now: bool = False) -> None:
        """Report; `now` reports at once. Raises `Cancelled` where the caller wants to stop."""
        moment = time.monotonic()
        self.check(now=now)
        self._fraction = max(self._fraction, min(fraction, 1.0))
        if moment - self._said < _SAY_EVERY and not now:
            return
        self._said = moment
        left = max(self._ends - moment, 0.0) if self._ends is not None else None
        words = [f"{self._fraction:4.0%}", what]
        if self.loss is not None:
            words.append(f"loss {self.loss:.3f}")
        if self.val_loss is not None:
            words.append(f"validation loss {self.val_loss:.3f}")
        if self.val_auroc is not None:
            words.append(f"AUROC {self.val_auroc:.3f}")
        if left is not None and self._fraction < 1.0:
            words.append(f"{_clock(left)} left")
        self._tell(
            Progress(
                self.epoch,
                self._epochs,
                self._fraction,
                self.loss,
                self.val_loss,
                self.val_auroc,
                left,
                " · ".join(words),
            )
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
